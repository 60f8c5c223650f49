package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport/internal/metrics"
	"sallyport/internal/upstream"
)

// Options are what a Gateway needs from its surroundings.
type Options struct {
	// Log takes events: reloads, listeners, refused handshakes. It must not be nil.
	Log *slog.Logger
	// Access takes one record per request. It must not be nil, and it must not drop: it may block.
	Access *slog.Logger
	// Clock is what certificates are judged by; nil is the system's.
	Clock *Clock
	// Metrics counts what happens; nil counts nothing.
	Metrics *metrics.Set
}

// Gateway is the running data plane: sockets and the snapshot that they serve. It must be made with New.
type Gateway struct {
	log, access *slog.Logger
	clock       *Clock
	metrics     *metrics.Set
	snapshot    atomic.Pointer[Snapshot]
	tickets     tickets
	streams     streams
	buffers     buffers
	refusals    refusals
	swapped     chan struct{} // tells Run that streams have to be judged again

	mu      sync.Mutex         // guards what follows, and serialises Swap
	sockets map[string]*socket // by configured address
	closed  bool
	drains  sync.WaitGroup     // sockets that are being retired
	cutting context.Context    //nolint:containedctx // it ends the drains, which belong to nobody's call
	cutAll  context.CancelFunc // ends the drains before their time
}

// New returns a gateway that serves nothing until the first Swap.
func New(o Options) *Gateway {
	if o.Clock == nil {
		o.Clock = NewClock(nil)
	}
	g := &Gateway{
		log: o.Log, access: o.Access, clock: o.Clock, metrics: o.Metrics,
		sockets: map[string]*socket{}, swapped: make(chan struct{}, 1),
	}
	g.cutting, g.cutAll = context.WithCancel(context.Background())
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
				bound[l.Name] = sock.listener.Addr().String()
			}
		}
	}
	return bound
}

// Swap puts a snapshot to work. It binds the addresses that are new first: when one cannot be bound nothing changes and
// the error says which. Sockets whose address stays are kept with their connections; those whose address is gone
// stop accepting and end with their requests, at the end of shutdown.drain at the latest. Streams are judged again at once.
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
	next.reporter.gateway.Store(g)
	g.metrics.Retain(next.names()) // before anything of the snapshot can count
	previous := g.snapshot.Swap(next)
	maps.Copy(g.sockets, fresh)
	for address, l := range next.listeners {
		g.sockets[address].name.Store(&l.Name)
	}
	for _, s := range fresh {
		s.start()
	}
	g.retire(next)
	if previous != nil {
		g.replace(previous.upstreams, next.upstreams)
	}
	select {
	case g.swapped <- struct{}{}:
	default: // it is going to happen
	}
	return nil
}

// replace closes the upstreams that are gone. One that was made anew begins with all of its targets up.
func (g *Gateway) replace(previous, next map[string]*upstream.Upstream) {
	for name, old := range previous {
		if next[name] == old {
			continue
		}
		old.Close()
		if next[name] == nil {
			continue
		}
		for _, t := range next[name].Targets() {
			g.metrics.Target(name, t.String()).Up()
		}
	}
}

// bind opens the sockets that next needs and the gateway does not have.
func (g *Gateway) bind(next *Snapshot) (map[string]*socket, error) {
	fresh := map[string]*socket{}
	var errs []error
	for address, l := range next.listeners {
		if g.sockets[address] != nil {
			continue
		}
		bound, err := g.listen(address, next)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", l.Name, err))
			continue
		}
		fresh[address] = newSocket(g, address, bound)
	}
	if len(errs) > 0 {
		for _, s := range fresh {
			errs = append(errs, s.abandon())
		}
		return nil, errors.Join(errs...)
	}
	return fresh, nil
}

// listen binds one address. Where it overlaps with one that goes in the same moment, such as 127.0.0.1:8443 with :8443,
// the two share the port until the old one is closed, so that no client finds it closed.
func (g *Gateway) listen(address string, next *Snapshot) (*net.TCPListener, error) {
	l, err := listenTCP(address, nil)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	var going []*socket
	for old, s := range g.sockets {
		if next.listeners[old] == nil && samePort(old, address) && share(s.listener, true) == nil {
			going = append(going, s)
		}
	}
	if len(going) == 0 {
		return nil, err
	}
	l, shared := listenTCP(address, sharing)
	if shared != nil {
		for _, s := range going {
			_ = share(s.listener, false) // it stays as it was
		}
		return nil, err
	}
	_ = share(l, false) // no other program is to bind it
	return l, nil
}

func listenTCP(address string, control func(network, address string, c syscall.RawConn) error) (*net.TCPListener, error) {
	config := &net.ListenConfig{Control: control}
	config.SetMultipathTCP(false) // its sockets cannot be quietened
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen on %s: it is a %T", address, l), l.Close())
	}
	return tcp, nil
}

func samePort(a, b string) bool {
	_, p, errP := net.SplitHostPort(a)
	_, q, errQ := net.SplitHostPort(b)
	return errP == nil && errQ == nil && p == q
}

// retire closes the sockets that next does not have. When it returns they accept nobody; their requests go on.
func (g *Gateway) retire(next *Snapshot) {
	var closing sync.WaitGroup
	for _, address := range slices.Sorted(maps.Keys(g.sockets)) {
		if next.listeners[address] != nil {
			continue
		}
		s := g.sockets[address]
		delete(g.sockets, address)
		closed := make(chan struct{})
		closing.Go(func() {
			defer close(closed)
			if err := s.close(); err != nil {
				g.log.Warn("close listener", slog.String("address", address), slog.Any("error", err))
			}
		})
		g.drains.Go(func() {
			<-closed
			ctx, cancel := context.WithTimeout(g.cutting, next.drain)
			defer cancel()
			if err := s.drain(ctx); err != nil {
				g.log.Warn("listener retired before its requests ended", slog.String("address", address), slog.Any("error", err))
			}
		})
	}
	closing.Wait()
}

// reviewEvery is how often the streams are judged again, so that what expires ends within about a second.
const reviewEvery = time.Second

// Run does the gateway's regular work until ctx ends: it judges streams again, replaces session ticket keys, and says what
// has become worth a look. It accepts nothing by itself: Swap does.
func (g *Gateway) Run(ctx context.Context) error {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	review := time.NewTicker(reviewEvery)
	defer review.Stop()
	last := time.Now()
	steppedBack := false
	known := map[string]bool{} // warnings that were said
	for _, w := range g.warnings() {
		known[w] = true // whoever put the snapshot to work said them
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.swapped:
			g.review(time.Since(last))
			last = time.Now()
		case <-review.C:
			g.review(time.Since(last))
			last = time.Now()
		case <-minute.C:
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
	return s.stores.Warnings(g.clock.Now())
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
	stop := context.AfterFunc(ctx, g.cutAll)
	g.drains.Wait()
	stop()
	g.cutAll()
	if s := g.snapshot.Load(); s != nil {
		for _, u := range s.upstreams {
			u.Close()
		}
	}
	return errors.Join(errs...)
}
