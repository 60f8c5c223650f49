package upstream

import (
	"context"
	"net/netip"
)

// NewWithLookup is New with another way to find the addresses of names.
func NewWithLookup(config Config, events Events, find func(ctx context.Context, host string) ([]netip.Addr, error)) (*Upstream, error) {
	return newUpstream(config, events, find)
}

// InFlight returns the slots that are taken at each target.
func InFlight(u *Upstream) []int64 {
	all := make([]int64, len(u.targets))
	for i, t := range u.targets {
		all[i] = t.inFlight.Load()
	}
	return all
}

// Waiting returns how many requests wait for a slot.
func Waiting(u *Upstream) int { return int(u.waiting.Load()) }

// Out reports which targets are out.
func Out(u *Upstream) []bool {
	all := make([]bool, len(u.targets))
	for i, t := range u.targets {
		all[i] = t.health.out.Load()
	}
	return all
}
