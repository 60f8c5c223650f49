package metrics

import (
	"iter"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Set is everything that one program counts. It must be made with New; a nil Set counts nothing and has no handles.
type Set struct {
	registry *prometheus.Registry
	version  string

	accepted, refused atomic.Uint64 // documents
	lastSuccess       atomic.Int64  // Unix milliseconds; 0 before the first
	generation        atomic.Uint64

	mu      sync.Mutex // one Retain at a time
	handles atomic.Pointer[handles]
}

// handles are all there are. Nobody changes the maps.
type handles struct {
	listeners map[string]*Listener
	apis      map[string]*API
	upstreams map[string]*upstream
	targets   map[targetName]*Target
}

type targetName struct{ upstream, target string }

// New returns an empty set with a registry of its own, which also has the collectors of the Go runtime and of the
// process. buildVersion is what build_info says. The only handle is that of API "".
func New(buildVersion string) *Set {
	s := &Set{registry: prometheus.NewRegistry(), version: text(buildVersion)}
	s.handles.Store(&handles{apis: map[string]*API{"": {}}})
	s.registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return s
}

// Gatherer returns what collects the set for exposition; for a nil set, something that collects nothing.
func (s *Set) Gatherer() prometheus.Gatherer {
	if s == nil {
		return prometheus.Gatherers{}
	}
	return s.registry
}

// Reloaded counts a document that was put to work, the first one included, or was refused. generation is that of the
// snapshot that the document became; it is ignored when ok is false.
func (s *Set) Reloaded(ok bool, generation uint64) {
	switch {
	case s == nil:
	case !ok:
		s.refused.Add(1)
	default:
		s.generation.Store(generation)
		s.lastSuccess.Store(time.Now().UnixMilli())
		s.accepted.Add(1)
	}
}

// Listener returns the handle of a listener, nil when the running snapshot has none of that name.
func (s *Set) Listener(name string) *Listener {
	if s == nil {
		return nil
	}
	return s.handles.Load().listeners[name]
}

// API returns the handle of an API by its label: the name, with @ and the version when it has one, or "" for requests
// that belong to no API. It is nil when the running snapshot has no such API.
func (s *Set) API(label string) *API {
	if s == nil {
		return nil
	}
	return s.handles.Load().apis[label]
}

// Target returns the handle of a target of an upstream, nil when the running snapshot has none of those names.
func (s *Set) Target(upstream, target string) *Target {
	if s == nil {
		return nil
	}
	return s.handles.Load().targets[targetName{upstream, target}]
}

// Retain says what the running snapshot has: the names of its listeners, the labels of its APIs, and its upstreams with
// each of their targets. There are handles for exactly these, and for API "". It is called whenever a snapshot begins to
// serve, before the first request.
//
// What stays keeps its handle. The series of what is gone are deleted, and what still counts with a handle of it is not
// shown; so nothing that ends late brings a name back. A listener with open connections or requests and an API with open
// streams are an exception: they keep handle and series until the last one has ended.
//
// A nil sequence is an empty one; a name may come twice.
func (s *Set) Retain(listeners, apis iter.Seq[string], targets iter.Seq2[string, string]) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.handles.Load()
	next := &handles{upstreams: map[string]*upstream{}, targets: map[targetName]*Target{}}
	var removed bool
	next.listeners, removed = carry(old.listeners, listeners, func(name string) *Listener { return &Listener{name: text(name)} })
	next.apis, _ = carry(old.apis, also(apis, ""), func(label string) *API { return &API{label: text(label)} })
	if targets != nil {
		for name, target := range targets {
			next.addTarget(old, name, target)
		}
	}
	s.handles.Store(next)
	if removed {
		for _, a := range next.apis {
			a.forgetListeners()
		}
	}
}

// stage is where a handle is in its life. The zero value is inUse.
type stage uint32

const (
	inUse  stage = iota // the running snapshot has the name
	ending              // it has not, but something that belongs to it is open
	gone                // shown no more, whatever is counted with it: the name may have another handle
)

// life is the stage of a handle as others see it change.
type life struct{ now atomic.Uint32 }

func (l *life) become(s stage) { l.now.Store(uint32(s)) }

// shown reports whether the series of a handle are shown, with open things that belong to it.
func (l *life) shown(open int64) bool {
	switch stage(l.now.Load()) {
	case inUse:
		return true
	case ending:
		return open > 0
	case gone:
	}
	return false
}

// handle is what a Listener and an API have in common.
type handle interface {
	become(stage)
	shown() bool
}

// carry returns the handles of names, those of before where there are any, and those of before that are still shown. It
// reports whether handles were left behind.
func carry[H handle](before map[string]H, names iter.Seq[string], fresh func(string) H) (now map[string]H, removed bool) {
	now = make(map[string]H, len(before))
	if names != nil {
		for name := range names {
			h, known := before[name]
			if known && !h.shown() { // it has ended since the last Retain
				h.become(gone)
				known, removed = false, true
			}
			if !known {
				h = fresh(name)
			}
			h.become(inUse)
			now[name] = h
		}
	}
	for name, h := range before {
		if _, stays := now[name]; stays {
			continue
		}
		h.become(ending)
		if h.shown() {
			now[name] = h
			continue
		}
		h.become(gone)
		removed = true
	}
	return now, removed
}

// also returns a sequence with one name more. A nil sequence is an empty one.
func also(names iter.Seq[string], more string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if yield(more) && names != nil {
			names(yield)
		}
	}
}

// addTarget takes a target over, or makes it.
func (h *handles) addTarget(old *handles, name, target string) {
	u := h.upstreams[name]
	if u == nil {
		if u = old.upstreams[name]; u == nil {
			u = &upstream{name: text(name)}
		}
		h.upstreams[name] = u
	}
	key := targetName{name, target}
	t := old.targets[key]
	if t == nil {
		t = &Target{upstream: u, name: text(target)}
	}
	h.targets[key] = t
}

// collector is the set as the registry sees it.
type collector struct{ set *Set }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector. It takes no lock.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.set
	buildInfo.emit(out, 1, s.version, runtime.Version())
	configReloads.emit(out, float64(s.accepted.Load()), "success")
	configReloads.emit(out, float64(s.refused.Load()), "refused")
	if last := s.lastSuccess.Load(); last != 0 {
		configLastSuccess.emit(out, float64(last)/1000)
		configGeneration.emit(out, float64(s.generation.Load()))
	}
	h := s.handles.Load()
	for _, l := range h.listeners {
		if l.shown() {
			l.collect(out)
		}
	}
	for _, a := range h.apis {
		if a.shown() {
			a.collect(out)
		}
	}
	for _, u := range h.upstreams {
		u.collect(out)
	}
	for _, t := range h.targets {
		t.collect(out)
	}
}

// text is a name as the value of a label, which has to be UTF-8. What is not is quoted, so that two names stay two.
func text(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}
