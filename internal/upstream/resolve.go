package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lookupFunc finds the addresses of a host name.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// lookup asks the operating system.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

const (
	// maxAddresses bounds how many addresses of a name are used.
	maxAddresses = 64
	// missedUntilGone is how many answers in a row lack an address that is gone. Many name servers say a part of what they
	// know, another one each time.
	missedUntilGone = 3
)

// names knows the addresses behind the host of a target. It asks when an address is needed for the first time, and again
// in the background when the answer has become old while requests come. A name that cannot be resolved any more keeps
// the addresses that it had.
type names struct {
	host    string // a name, or the text of an IP address
	port    string
	timeout time.Duration // of one question
	every   time.Duration
	find    lookupFunc
	changed func(now []string, gone bool) // not called for the first answer

	known atomic.Pointer[addresses] // nil until the first answer

	mu     sync.Mutex
	asking *question
}

// addresses are what a name means. Only the marks and the turn change.
type addresses struct {
	list []*address // of the last answer; not empty
	late []*address // that were in one before and are not gone yet: they keep their connections and get no new ones
	old  time.Time  // when they have to be asked for again; zero means never
	turn atomic.Uint32
}

// address is one place to connect to.
type address struct {
	ip     netip.Addr
	target string      // the address and the port
	failed atomic.Bool // the last connection could not be made
	missed int         // answers in a row that lack it; used by answered alone
}

// question is one lookup that several may wait for.
type question struct {
	done chan struct{}
	err  error // set before done is closed
}

// get returns the addresses. Without any, it waits for the name to be resolved, at most as long as ctx lasts.
func (n *names) get(ctx context.Context) (*addresses, error) {
	if known := n.known.Load(); known != nil {
		return known, nil
	}
	q := n.ask()
	select {
	case <-q.done:
		if q.err != nil {
			return nil, q.err
		}
		return n.known.Load(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("lookup %s: %w", n.host, ctx.Err())
	}
}

// refresh asks again, without waiting for the answer, when the addresses are old.
func (n *names) refresh(now time.Time) {
	if known := n.known.Load(); known != nil && !known.old.IsZero() && now.After(known.old) {
		n.ask()
	}
}

// ask starts a lookup unless one is running. It ends within the timeout, whoever waits for it.
func (n *names) ask() *question {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asking != nil {
		return n.asking
	}
	q := &question{done: make(chan struct{})}
	if ip, err := netip.ParseAddr(n.host); err == nil {
		n.known.Store(&addresses{list: []*address{n.address(ip)}})
		close(q.done)
		return q
	}
	n.asking = q
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.timeout)
		defer cancel()
		found, err := n.find(ctx, n.host)
		n.answered(q, found, err)
	}()
	return q
}

func (n *names) address(ip netip.Addr) *address {
	ip = ip.Unmap()
	return &address{ip: ip, target: net.JoinHostPort(ip.String(), n.port)}
}

// answered takes over what a lookup found.
func (n *names) answered(q *question, found []netip.Addr, err error) {
	fresh, known := &addresses{old: time.Now().Add(n.every)}, n.known.Load()
	for _, ip := range found {
		a := known.find(ip.Unmap()) // with what is known about it
		if a == nil {
			a = n.address(ip)
		}
		if len(fresh.list) < maxAddresses && !slices.Contains(fresh.list, a) && fresh.find(a.ip) == nil {
			a.missed = 0
			fresh.list = append(fresh.list, a)
		}
	}
	if len(fresh.list) == 0 {
		if q.err = err; err == nil {
			q.err = fmt.Errorf("lookup %s: no addresses", n.host)
		}
		if known != nil {
			fresh.list, fresh.late = known.list, known.late
		}
	}
	if len(fresh.list) > 0 {
		gone := known != nil && q.err == nil && fresh.keep(known)
		if known != nil {
			fresh.turn.Store(known.turn.Load())
		}
		n.known.Store(fresh)
		if known != nil && (gone || len(fresh.list)+len(fresh.late) != len(known.list)+len(known.late)) {
			n.changed(fresh.texts(), gone)
		}
	}
	n.mu.Lock()
	n.asking = nil
	n.mu.Unlock()
	close(q.done)
}

// find returns what is known about an address, nil for nothing. a may be nil.
func (a *addresses) find(ip netip.Addr) *address {
	if a == nil {
		return nil
	}
	for _, list := range [][]*address{a.list, a.late} {
		if i := slices.IndexFunc(list, func(b *address) bool { return b.ip == ip }); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// keep takes over those of the addresses known before that the last answer lacks, and reports whether one of them is gone.
func (a *addresses) keep(known *addresses) (gone bool) {
	for _, list := range [][]*address{known.list, known.late} {
		for _, b := range list {
			if slices.Contains(a.list, b) {
				continue
			}
			if b.missed++; b.missed < missedUntilGone && len(a.late) < maxAddresses {
				a.late = append(a.late, b)
			} else {
				gone = true
			}
		}
	}
	return gone
}

// texts returns the addresses in an order that is theirs, not the answer's.
func (a *addresses) texts() []string {
	ips := make([]netip.Addr, 0, len(a.list)+len(a.late))
	for _, b := range append(slices.Clip(a.list), a.late...) {
		ips = append(ips, b.ip)
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.String()
	}
	return texts
}

// inTurn returns the addresses in the order in which they are tried: each is first in its turn, and those that failed
// last time are last.
func (a *addresses) inTurn() []*address {
	n := len(a.list)
	start := int((a.turn.Add(1) - 1) % uint32(n)) //nolint:gosec // G115: at most maxAddresses
	order := make([]*address, 0, n)
	for _, failed := range []bool{false, true} {
		for i := range n {
			if b := a.list[(start+i)%n]; b.failed.Load() == failed && !slices.Contains(order, b) {
				order = append(order, b)
			}
		}
	}
	return order
}

// connect opens a TCP connection to one of the addresses, the next one where the first does not answer within its share
// of the time that ctx has left.
func (a *addresses) connect(ctx context.Context, dialer *net.Dialer) (net.Conn, error) {
	order := a.inTurn()
	var first error
	for i, next := range order {
		if ctx.Err() != nil {
			break
		}
		c, err := next.connect(ctx, dialer, len(order)-i)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case first == nil:
		return nil, ctx.Err()
	case len(order) > 1:
		return nil, fmt.Errorf("%w, and none of the other addresses (%d in all)", first, len(order))
	}
	return nil, first
}

// connect opens a connection to one address in an equal share of the time that ctx has left.
func (b *address) connect(ctx context.Context, dialer *net.Dialer, shares int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && shares > 1 {
		limited, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(shares))
		defer cancel()
		ctx = limited
	}
	c, err := dialer.DialContext(ctx, "tcp", b.target)
	b.failed.Store(err != nil && !errors.Is(err, context.Canceled))
	return c, err
}
