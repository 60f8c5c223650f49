package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/config"
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
	leaving sync.Map           // of *socket: those that still have an address and are not among sockets; it guards itself
	closed  bool
	drains  sync.WaitGroup     // sockets that are being retired, and upstreams that are being closed
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

// closePatience is how long the idle connections of an upstream may take to close before that is worth a record. Nobody but
// the end of the program waits for them, and no longer than this.
const closePatience = 2 * time.Second

// awaitClosed waits until an upstream is closed, or says that it is not.
func (g *Gateway) awaitClosed(name string, closed <-chan struct{}, patience time.Duration) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-closed:
	case <-late.C:
		g.log.Warn("the idle connections of an upstream do not close", slog.String("upstream", name), slog.String("waited", patience.String()))
	}
}

// replace closes the upstreams that are gone. One that was made anew begins with all of its targets up.
func (g *Gateway) replace(previous, next map[string]*upstream.Upstream) {
	for name, old := range previous {
		if next[name] == old {
			continue
		}
		closed := old.Close()
		g.drains.Go(func() { g.awaitClosed(name, closed, closePatience) })
		if next[name] == nil {
			continue
		}
		for _, t := range next[name].Targets() {
			g.metrics.Target(name, t.String()).Up()
		}
	}
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
		known[w.Message] = true // whoever put the snapshot to work said them
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
		if !known[w.Message] { // its place may change
			known[w.Message] = true
			g.log.Warn("trust", slog.String("note", w.String()))
		}
	}
}

// warnings are those of the running snapshot, none before the first.
func (g *Gateway) warnings() []config.Note {
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
		wg.Go(func() { errs[i] = errors.Join(s.close(0), s.drain(ctx)) })
	}
	wg.Wait()
	clear(g.sockets)
	stop := context.AfterFunc(ctx, g.cutAll)
	g.drains.Wait()
	stop()
	g.cutAll()
	if s := g.snapshot.Load(); s != nil {
		for name, u := range s.upstreams {
			closed := u.Close()
			g.drains.Go(func() { g.awaitClosed(name, closed, closePatience) })
		}
		g.drains.Wait()
	}
	return errors.Join(errs...)
}
