package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Gateway needs from its surroundings.
type Options struct {
	// Log takes events: reloads, listeners, refused handshakes. It must not be nil.
	Log *slog.Logger
	// Access takes one record per request. It must not be nil, and it must not drop: it may block.
	Access *slog.Logger
	// Clock is what certificates are judged by; nil is the system's.
	Clock *Clock
}

// Gateway is the running data plane: sockets and the snapshot that they serve. It must be made with New.
type Gateway struct {
	log, access *slog.Logger
	clock       *Clock
	snapshot    atomic.Pointer[Snapshot]
	tickets     tickets
	proxy       proxy

	mu      sync.Mutex         // guards what follows, and serialises Swap
	sockets map[string]*socket // by configured address
	closed  bool
	drains  sync.WaitGroup // sockets that are being retired
}

// New returns a gateway that serves nothing until the first Swap.
func New(o Options) *Gateway {
	if o.Clock == nil {
		o.Clock = NewClock(nil)
	}
	g := &Gateway{log: o.Log, access: o.Access, clock: o.Clock, sockets: map[string]*socket{}}
	g.proxy = newProxy(g)
	return g
}

// Snapshot returns the running snapshot, nil before the first Swap.
func (g *Gateway) Snapshot() *Snapshot { return g.snapshot.Load() }

// Addresses returns the bound addresses by listener name: with a configured port 0 the one that was chosen.
func (g *Gateway) Addresses() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	bound := map[string]string{}
	if s := g.snapshot.Load(); s != nil {
		for address, l := range s.listeners {
			if sock := g.sockets[address]; sock != nil {
				bound[l.name] = sock.listener.Addr().String()
			}
		}
	}
	return bound
}

// Swap puts a snapshot to work. It binds the addresses that are new first: when one cannot be bound nothing changes and
// the error says which. Sockets whose address stays are kept with their connections; those whose address is gone
// stop accepting and end with their requests, at most retireTimeout later.
func (g *Gateway) Swap(next *Snapshot) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errors.New("the gateway is shut down")
	}
	fresh, err := g.bind(next)
	if err != nil {
		return err
	}
	g.tickets.adopt(next, g.clock.Now())
	previous := g.snapshot.Swap(next)
	for address, s := range fresh {
		g.sockets[address] = s
		s.start()
	}
	for _, address := range slices.Sorted(maps.Keys(g.sockets)) {
		if next.listeners[address] == nil {
			g.retire(address)
		}
	}
	if previous != nil {
		for name, u := range previous.upstreams {
			if next.upstreams[name] != u {
				u.Close()
			}
		}
	}
	return nil
}

// bind opens the sockets that next needs and the gateway does not have.
func (g *Gateway) bind(next *Snapshot) (map[string]*socket, error) {
	fresh := map[string]*socket{}
	var errs []error
	for address, l := range next.listeners {
		if g.sockets[address] != nil {
			continue
		}
		s, err := listen(g, address)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", l.name, err))
			continue
		}
		fresh[address] = s
	}
	if len(errs) > 0 {
		for _, s := range fresh {
			errs = append(errs, s.listener.Close())
		}
		return nil, errors.Join(errs...)
	}
	return fresh, nil
}

// retireTimeout bounds how long the requests of a removed listener may go on.
const retireTimeout = 30 * time.Second

func (g *Gateway) retire(address string) {
	s := g.sockets[address]
	delete(g.sockets, address)
	if err := s.close(); err != nil {
		g.log.Warn("close listener", slog.String("address", address), slog.Any("error", err))
	}
	g.drains.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), retireTimeout)
		defer cancel()
		if err := s.drain(ctx); err != nil {
			g.log.Warn("listener retired before its requests ended", slog.String("address", address), slog.Any("error", err))
		}
	})
}

// Run does the gateway's regular work, such as replacing session ticket keys, until ctx ends. It accepts nothing by
// itself: Swap does.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	steppedBack := false
	known := map[string]bool{} // warnings that were said
	for _, w := range g.warnings() {
		known[w] = true // whoever put the snapshot to work said them
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			g.tickets.rotate(g.clock.Now())
			g.warn(known)
			if back := g.clock.SteppedBack(); back != steppedBack {
				steppedBack = back
				if back {
					g.log.Warn("the clock went back by more than five minutes; certificates are judged by the latest time seen")
				}
			}
		}
	}
}

// warn says what has become worth a look, such as an anchor that has expired, once.
func (g *Gateway) warn(known map[string]bool) {
	for _, w := range g.warnings() {
		if !known[w] {
			known[w] = true
			g.log.Warn("trust", slog.String("note", w))
		}
	}
}

// warnings are those of the running snapshot, none before the first.
func (g *Gateway) warnings() []string {
	s := g.snapshot.Load()
	if s == nil {
		return nil
	}
	return s.warnings(g.clock.Now())
}

// Shutdown stops accepting, lets requests end until ctx does, then closes every connection. It returns the context's
// error when requests were cut. The gateway cannot be used again.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	var wg sync.WaitGroup
	errs := make([]error, len(g.sockets))
	for i, s := range slices.Collect(maps.Values(g.sockets)) {
		wg.Go(func() { errs[i] = errors.Join(s.close(), s.drain(ctx)) })
	}
	wg.Wait()
	clear(g.sockets)
	g.drains.Wait()
	if s := g.snapshot.Load(); s != nil {
		for _, u := range s.upstreams {
			u.Close()
		}
	}
	return errors.Join(errs...)
}
