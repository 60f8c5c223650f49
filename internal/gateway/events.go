package gateway

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"sallyport/internal/upstream"
)

// reporter is what upstreams tell of their targets' health and of each attempt, for the log and the metrics of the gateway
// that runs them. Compile makes upstreams before there is one, and one that is only asked by explain never has any.
type reporter struct{ gateway atomic.Pointer[Gateway] }

// TargetDown says that a target gets no requests for a while.
func (r *reporter) TargetDown(name, target string, cause upstream.Cause) {
	if g := r.gateway.Load(); g != nil {
		g.metrics.Target(name, target).Down()
		g.log.LogAttrs(context.Background(), slog.LevelWarn, "target down",
			slog.String("upstream", name), slog.String("target", target), slog.String("cause", string(cause)))
	}
}

// TargetUp says that a target gets requests again.
func (r *reporter) TargetUp(name, target string) {
	if g := r.gateway.Load(); g != nil {
		g.metrics.Target(name, target).Up()
		g.log.LogAttrs(context.Background(), slog.LevelInfo, "target up", slog.String("upstream", name), slog.String("target", target))
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
