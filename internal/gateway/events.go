package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/upstream"
)

// reporter is what upstreams tell of their targets' health and of each attempt, for the log and the metrics of the gateway
// that runs them. Compile makes upstreams before there is one, and one that is only asked by explain never has any.
type reporter struct {
	gateway atomic.Pointer[Gateway]

	mu   sync.Mutex
	down map[[2]string]int // upstreams of a name that say that a target is out: the old one and the new one, at a reload
}

// counts takes note of one more upstream that says that a target is out, or of one less, and shows whether any does.
func (r *reporter) counts(g *Gateway, name, target string, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down == nil {
		r.down = map[[2]string]int{}
	}
	at := [2]string{name, target}
	if r.down[at] += change; r.down[at] > 0 {
		g.metrics.Target(name, target).Down()
		return
	}
	delete(r.down, at)
	g.metrics.Target(name, target).Up()
}

// TargetDown says that a target gets no requests for a while.
func (r *reporter) TargetDown(name, target string, cause upstream.Cause) {
	if g := r.gateway.Load(); g != nil {
		r.counts(g, name, target, 1)
		g.log.LogAttrs(context.Background(), slog.LevelWarn, "target down",
			slog.String("upstream", name), slog.String("target", target), slog.String("cause", string(cause)))
	}
}

// TargetUp says that a target gets requests again.
func (r *reporter) TargetUp(name, target string) {
	if g := r.gateway.Load(); g != nil {
		r.counts(g, name, target, -1)
		g.log.LogAttrs(context.Background(), slog.LevelInfo, "target up", slog.String("upstream", name), slog.String("target", target))
	}
}

// TargetForgotten says that an upstream that had a target out is closed. The one that replaced it knows nothing against it.
func (r *reporter) TargetForgotten(name, target string) {
	if g := r.gateway.Load(); g != nil {
		r.counts(g, name, target, -1)
	}
}

// AddressesChanged says that a target's name stands for other addresses.
func (r *reporter) AddressesChanged(name, target string, addresses []string) {
	if g := r.gateway.Load(); g != nil {
		g.log.LogAttrs(context.Background(), slog.LevelInfo, "target addresses changed",
			slog.String("upstream", name), slog.String("target", target), slog.Any("addresses", addresses))
	}
}

// Attempt counts one attempt to send a request.
func (r *reporter) Attempt(name, target string, cause upstream.Cause, retry bool, took time.Duration) {
	if g := r.gateway.Load(); g != nil {
		g.metrics.Target(name, target).Attempted(string(cause), retry, took)
	}
}
