package metrics

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The series are kept here rather than in the vectors of client_golang: a series belongs to its handle and is gone with
// it, however late somebody counts; a first use never waits for a scrape; and a series takes a fraction of the memory,
// which matters where a hundred thousand APIs have some.

// counts are the counters of one family under one handle, by the labels that tell them apart. A counter exists from its
// first use. The zero value is empty and ready.
type counts[K comparable] struct {
	mu    sync.Mutex // orders writers
	known atomic.Pointer[map[K]*atomic.Uint64]
}

// of returns the counter of a key. It allocates nothing when there is one.
func (c *counts[K]) of(key K) *atomic.Uint64 {
	if n := c.all()[key]; n != nil {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.all()[key]; n != nil {
		return n
	}
	next := make(map[K]*atomic.Uint64, len(c.all())+1)
	maps.Copy(next, c.all())
	n := new(atomic.Uint64)
	next[key] = n
	c.known.Store(&next)
	return n
}

// all returns every counter. Nobody changes the map.
func (c *counts[K]) all() map[K]*atomic.Uint64 {
	if known := c.known.Load(); known != nil {
		return *known
	}
	return nil
}

// forget drops the counters of the keys that match.
func (c *counts[K]) forget(match func(K) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(c.all())
	maps.DeleteFunc(next, func(key K, _ *atomic.Uint64) bool { return match(key) })
	c.known.Store(&next)
}

// bounds are the upper bounds of every histogram's buckets: from what a kept connection to a near backend takes to the
// longest that a target is waited for by default.
var bounds = [...]time.Duration{
	500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// histogram counts durations. The zero value is empty and ready.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // each for itself; the last is for what is longer than every bound
	seconds atomic.Uint64                  // the sum, as the bits of a float64
}

// observe counts one duration; less than zero is zero.
func (h *histogram) observe(took time.Duration) {
	took = max(took, 0)
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	for {
		sum := h.seconds.Load()
		if h.seconds.CompareAndSwap(sum, math.Float64bits(math.Float64frombits(sum)+took.Seconds())) {
			return
		}
	}
}

// emit sends the histogram as it is now. What is counted meanwhile may be in the sum and not yet in a bucket.
func (h *histogram) emit(f *family, out chan<- prometheus.Metric, labels ...string) {
	var count uint64
	cumulative := make(map[float64]uint64, len(bounds))
	for i := range bounds {
		count += h.buckets[i].Load()
		cumulative[bounds[i].Seconds()] = count
	}
	count += h.buckets[len(bounds)].Load()
	f.send(out)(prometheus.NewConstHistogram(f.desc, count, math.Float64frombits(h.seconds.Load()), cumulative, labels...))
}

// lazily returns what p points to, a new zero value when it is nil.
func lazily[T any](p *atomic.Pointer[T]) *T {
	if v := p.Load(); v != nil {
		return v
	}
	p.CompareAndSwap(nil, new(T))
	return p.Load()
}
