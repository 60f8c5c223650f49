package gateway

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"sync"
	"time"
)

// ticketLife is how long a ticket key seals new tickets. Each key opens tickets for one more such time, so a ticket is
// good for twice that at most: twelve hours.
const ticketLife = 6 * time.Hour

// tickets holds the session ticket keys of every TLS profile. Keys belong to a profile and the content of its effective
// trust: a profile whose trust did not change keeps its keys over a reload, one whose trust changed starts with new keys
// so that every old ticket ends in a full handshake. Without keys of its own a tls.Config returned by
// GetConfigForClient would use the listener's, and a ticket of a lax profile would open a strict one.
type tickets struct {
	mu   sync.Mutex
	keys map[[32]byte]*ticketKeys
}

type ticketKeys struct {
	current, previous [32]byte
	hasPrevious       bool
	born              time.Time
	config            *tls.Config // where the keys are set; that of the newest snapshot
}

// adopt gives every profile of a snapshot its keys and forgets those of profiles that are gone.
func (t *tickets) adopt(s *Snapshot, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := map[[32]byte]*ticketKeys{}
	for _, l := range s.listeners {
		for _, a := range l.asks {
			if a.config.SessionTicketsDisabled {
				continue
			}
			k := t.keys[a.ticketID]
			if k == nil {
				k = &ticketKeys{current: newTicketKey(), born: now}
			}
			k.config = a.config
			k.install()
			kept[a.ticketID] = k
		}
	}
	t.keys = kept
}

// rotate replaces the keys that are due at the time.
func (t *tickets) rotate(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.keys {
		age := now.Sub(k.born)
		if age < ticketLife {
			continue
		}
		k.previous, k.hasPrevious = k.current, age < 2*ticketLife
		k.current, k.born = newTicketKey(), now
		k.install()
	}
}

func (k *ticketKeys) install() {
	keys := [][32]byte{k.current}
	if k.hasPrevious {
		keys = append(keys, k.previous)
	}
	k.config.SetSessionTicketKeys(keys)
}

func newTicketKey() (key [32]byte) {
	rand.Read(key[:]) // it never fails: it ends the process instead
	return key
}

// sessionLife is how long after its full handshake a session may be resumed. Each resumption brings a new ticket, so without
// this whoever has one could go on for ever and never prove again that the key is his (RFC 8446, section 4.6.1).
const sessionLife = 2 * ticketLife

// resuming returns the configuration for one connection: the ask's, with tickets that remember when the full handshake was.
func (c *conn) resuming(clock *Clock) *tls.Config {
	common := c.ask.config
	if common.SessionTicketsDisabled {
		return common
	}
	var full time.Time // of the session that is resumed
	own := common.Clone()
	own.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := common.DecryptTicket(ticket, state)
		if err != nil || session == nil || len(session.Extra) != 1 || len(session.Extra[0]) != 8 {
			return nil, err // a full handshake follows
		}
		full = time.Unix(int64(binary.BigEndian.Uint64(session.Extra[0])), 0) //nolint:gosec // G115: it was one below
		if clock.Now().Sub(full) >= sessionLife {
			return nil, nil
		}
		return session, nil
	}
	own.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		began := clock.Now()
		if state.DidResume {
			began = full
		}
		session.Extra = [][]byte{binary.BigEndian.AppendUint64(nil, uint64(began.Unix()))} //nolint:gosec // G115: after 1970
		return common.EncryptTicket(state, session)
	}
	return own
}
