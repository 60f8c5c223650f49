package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
)

// defaultBounds are those of a listener that says nothing.
func defaultBounds() config.ListenerBounds {
	return config.ListenerBounds{
		MaxConnections:           20_000,
		MaxConnectionsPerAddress: 10_000,
		MaxConnectionAge:         time.Hour,
		HandshakeTimeout:         10 * time.Second,
		HeaderTimeout:            10 * time.Second,
		IdleTimeout:              2 * time.Minute,
		SendTimeout:              30 * time.Second,
		MaxHeaderSize:            65_536,
		MaxHeaderFields:          100,
		MaxTargetSize:            16_384,
		MaxStreams:               100,
		MaxControlFrames:         200,
	}
}

// contradiction says what is wrong with bounds that nobody could keep; "" means nothing.
func contradiction(b config.ListenerBounds) string {
	v := reflect.ValueOf(b)
	for i := range v.NumField() {
		if v.Field(i).Int() < 1 {
			return v.Type().Field(i).Name + " is not more than 0"
		}
	}
	switch {
	case b.MaxConnectionsPerAddress > b.MaxConnections:
		return "an address has more connections than all together"
	case b.MaxTargetSize > b.MaxHeaderSize:
		return "a target is longer than the head that it is in"
	}
	return ""
}

// limited is a document whose listener and API have limits; both texts are flow mappings.
func limited(listener, api string) string {
	text := strings.Replace(minimal, "client_auth: optional}}", "client_auth: optional}, limits: "+listener+"}", 1)
	return text + "apis:\n  - {name: a, upstream: echo, limits: " + api + "}\n"
}

func TestListenerBoundsTakeWhatIsWrittenAndTheDefaultForTheRest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		limits string
		change func(*config.ListenerBounds)
	}{
		{"max_connections: 31", func(b *config.ListenerBounds) { b.MaxConnections, b.MaxConnectionsPerAddress = 31, 15 }},
		{"max_connections: 1", func(b *config.ListenerBounds) { b.MaxConnections, b.MaxConnectionsPerAddress = 1, 1 }},
		{"max_connections_per_address: 20000", func(b *config.ListenerBounds) { b.MaxConnectionsPerAddress = 20_000 }},
		{"max_connection_age: 31m", func(b *config.ListenerBounds) { b.MaxConnectionAge = 31 * time.Minute }},
		{"handshake_timeout: 31s", func(b *config.ListenerBounds) { b.HandshakeTimeout = 31 * time.Second }},
		{"header_timeout: 31s", func(b *config.ListenerBounds) { b.HeaderTimeout = 31 * time.Second }},
		{"idle_timeout: 31s", func(b *config.ListenerBounds) { b.IdleTimeout = 31 * time.Second }},
		{"send_timeout: 31s", func(b *config.ListenerBounds) { b.SendTimeout = 31 * time.Second }},
		{"max_header_size: 31KiB", func(b *config.ListenerBounds) { b.MaxHeaderSize = 31 << 10 }},
		{"max_header_size: 3000", func(b *config.ListenerBounds) { b.MaxHeaderSize, b.MaxTargetSize = 3000, 3000 }},
		{"max_header_fields: 31", func(b *config.ListenerBounds) { b.MaxHeaderFields = 31 }},
		{"max_target_size: 64KiB", func(b *config.ListenerBounds) { b.MaxTargetSize = 64 << 10 }},
		{"max_streams: 31", func(b *config.ListenerBounds) { b.MaxStreams = 31 }},
		{"max_control_frames: 31", func(b *config.ListenerBounds) { b.MaxControlFrames = 31 }},
		// Those of the requests belong to RequestBounds.
		{"max_body_size: 31GiB", func(*config.ListenerBounds) {}},
		{"min_body_rate: 31", func(*config.ListenerBounds) {}},
		{"stream_idle_timeout: 31s", func(*config.ListenerBounds) {}},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		key, _, _ := strings.Cut(tt.limits, ":")
		covered[key] = true
		t.Run(tt.limits, func(t *testing.T) {
			t.Parallel()
			want := defaultBounds()
			tt.change(&want)
			d := mustLoad(t, limited("{"+tt.limits+"}", "{}"))
			if diff := cmp.Diff(want, d.Listeners[0].Bounds()); diff != "" {
				t.Errorf("Bounds (-want +got):\n%s", diff)
			}
		})
	}
	for f := range reflect.TypeFor[config.ListenerLimits]().Fields() {
		if key := f.Tag.Get("yaml"); !covered[key] {
			t.Errorf("no test says what %s does", key)
		}
	}
}

func TestListenerBoundsOfSilence(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*config.Listener{"no listener": nil, "no limits": {}, "empty limits": {Limits: &config.ListenerLimits{}}} {
		if diff := cmp.Diff(defaultBounds(), l.Bounds()); diff != "" {
			t.Errorf("Bounds of %s (-want +got):\n%s", name, diff)
		}
	}
}

// A document that Load refuses can still be built by hand: its bounds must not come to mean that there are none.
func TestListenerBoundsNeverContradictThemselves(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]config.ListenerLimits{
		"less than nothing": {
			MaxConnections: -1, MaxConnectionsPerAddress: -1, MaxConnectionAge: -1, HandshakeTimeout: -1, HeaderTimeout: -1, IdleTimeout: -1, SendTimeout: -1,
			MaxHeaderSize: config.NoLimit, MaxHeaderFields: -1, MaxTargetSize: config.NoLimit, MaxStreams: -1, MaxControlFrames: -1,
		},
		"more for one address than for all": {MaxConnections: 5, MaxConnectionsPerAddress: 6},
		"a target that fits into no head":   {MaxHeaderSize: 10, MaxTargetSize: 11},
	} {
		l := config.Listener{Limits: &limits}
		if problem := contradiction(l.Bounds()); problem != "" {
			t.Errorf("%s: %s: %+v", name, problem, l.Bounds())
		}
	}
}

func TestRequestBoundsMergeListenerThenAPIKeyByKey(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	byDefault := config.RequestBounds{MaxBody: gib, MinBodyRate: 240, StreamIdle: time.Hour}
	tests := []struct {
		name, listener, api string
		want                config.RequestBounds
	}{
		{"nobody says anything", "{}", "{}", byDefault},
		{
			"the listener's holds where the API says nothing", "{max_body_size: 2GiB, min_body_rate: 31, stream_idle_timeout: 31s}", "{}",
			config.RequestBounds{MaxBody: 2 * gib, MinBodyRate: 31, StreamIdle: 31 * time.Second},
		},
		{
			"the API's replaces it, be it more or less", "{max_body_size: 2GiB, min_body_rate: 31, stream_idle_timeout: 31s}",
			"{max_body_size: 1, min_body_rate: 1KiB, stream_idle_timeout: 31m}",
			config.RequestBounds{MaxBody: 1, MinBodyRate: 1024, StreamIdle: 31 * time.Minute},
		},
		{
			"one key of the API leaves the others", "{max_body_size: 2GiB, stream_idle_timeout: 31s}", "{max_body_size: 3GiB}",
			config.RequestBounds{MaxBody: 3 * gib, MinBodyRate: 240, StreamIdle: 31 * time.Second},
		},
		{
			"the API's only size leaves the default of the rest", "{}", "{min_body_rate: 31}",
			config.RequestBounds{MaxBody: gib, MinBodyRate: 31, StreamIdle: time.Hour},
		},
		{
			"a listener takes a limit away", "{max_body_size: unlimited, min_body_rate: none}", "{}",
			config.RequestBounds{StreamIdle: time.Hour},
		},
		{
			"an API takes a limit away", "{max_body_size: 2GiB, min_body_rate: 31}", "{max_body_size: unlimited, min_body_rate: none}",
			config.RequestBounds{StreamIdle: time.Hour},
		},
		{
			"an API has limits that the listener took away", "{max_body_size: unlimited, min_body_rate: none}", "{max_body_size: 31, min_body_rate: 32}",
			config.RequestBounds{MaxBody: 31, MinBodyRate: 32, StreamIdle: time.Hour},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := mustLoad(t, limited(tt.listener, tt.api))
			if diff := cmp.Diff(tt.want, d.RequestBounds(&d.Listeners[0], &d.APIs[0])); diff != "" {
				t.Errorf("RequestBounds (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestBoundsOfSilence(t *testing.T) {
	t.Parallel()
	var d config.Document
	want := config.RequestBounds{MaxBody: 1 << 30, MinBodyRate: 240, StreamIdle: time.Hour}
	listener := &config.Listener{Limits: &config.ListenerLimits{MaxBodySize: 31}}
	api := &config.API{Limits: &config.APILimits{MaxBodySize: 32}}
	ofBody := func(bytes int64) config.RequestBounds { b := want; b.MaxBody = bytes; return b }
	tests := []struct {
		name string
		l    *config.Listener
		a    *config.API
		want config.RequestBounds
	}{
		{"neither", nil, nil, want},
		{"both without limits", &config.Listener{}, &config.API{}, want},
		{"no API leaves the listener's", listener, nil, ofBody(31)},
		{"no listener leaves the API's", nil, api, ofBody(32)},
		{"less than nothing is nothing said", &config.Listener{Limits: &config.ListenerLimits{MaxBodySize: -2, MinBodyRate: -2, StreamIdleTimeout: -1}}, nil, want},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, d.RequestBounds(tt.l, tt.a)); diff != "" {
			t.Errorf("RequestBounds of %s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestShutdownBounds(t *testing.T) {
	t.Parallel()
	const byDefault = 20 * time.Second
	tests := []struct {
		name, text string
		want       config.Shutdown
	}{
		{"nothing said", "", config.Shutdown{Drain: byDefault}},
		{"an empty mapping", "shutdown: {}", config.Shutdown{Drain: byDefault}},
		{"no delay", "shutdown: {delay: 0s}", config.Shutdown{Drain: byDefault}},
		{"a delay", "shutdown: {delay: 5s}", config.Shutdown{Delay: 5 * time.Second, Drain: byDefault}},
		{"a drain", "shutdown: {drain: 5s}", config.Shutdown{Drain: 5 * time.Second}},
		{"both", "shutdown: {delay: 5s, drain: 1h}", config.Shutdown{Delay: 5 * time.Second, Drain: time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, mustLoad(t, minimal+tt.text+"\n").Shutdown.Bounds()); diff != "" {
				t.Errorf("Bounds (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(config.Shutdown{Drain: byDefault}, config.Shutdown{Delay: -1, Drain: -1}.Bounds()); diff != "" {
		t.Errorf("Bounds of less than nothing (-want +got):\n%s", diff)
	}
}

func TestUpstreamLimitsAreKeptAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, `listeners:
  - {name: public, address: "127.0.0.1:8080"}
upstreams:
  - {name: silent, targets: ["http://a.test"]}
  - name: loud
    targets: ["http://a.test"]
    protocol: h2
    retry: false
    timeouts: {connect: 1s, response: 2s, idle: 3s, pause: 4s, queue: 5s}
    pool: {max_idle: 6, max: 7}
    health: {max_failures: 8, recovery: 9s}
    resolve_every: 10s
`)
	no := false
	want := []config.Upstream{
		{Name: "silent", Targets: []string{"http://a.test"}},
		{
			Name: "loud", Targets: []string{"http://a.test"}, Protocol: config.H2, Retry: &no,
			Timeouts:     &config.UpstreamTimeouts{Connect: time.Second, Response: 2 * time.Second, Idle: 3 * time.Second, Pause: 4 * time.Second, Queue: 5 * time.Second},
			Pool:         &config.UpstreamPool{MaxIdle: 6, Max: 7},
			Health:       &config.Health{MaxFailures: 8, Recovery: 9 * time.Second},
			ResolveEvery: 10 * time.Second,
		},
	}
	if diff := cmp.Diff(want, d.Upstreams); diff != "" {
		t.Errorf("Upstreams (-want +got):\n%s", diff)
	}
}

func TestLimitsHavePositions(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, limited("{max_streams: 1, max_body_size: unlimited}", "{min_body_rate: 1KiB}")+"shutdown: {delay: 1s}\n")
	for want, field := range map[string]any{
		"max_streams":     &d.Listeners[0].Limits.MaxStreams,
		"max_body_size":   &d.Listeners[0].Limits.MaxBodySize,
		"min_body_rate":   &d.APIs[0].Limits.MinBodyRate,
		"delay":           &d.Shutdown.Delay,
		"an API's limits": d.APIs[0].Limits,
	} {
		if d.Position(field).Line == 0 {
			t.Errorf("%s stands nowhere", want)
		}
	}
	if p := d.Position(&d.Listeners[0].Limits.IdleTimeout); !p.IsZero() {
		t.Errorf("what is absent stands at %s", p)
	}
}

func TestSizePrintsAsItIsWritten(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]config.Size{
		"0": 0, "1": 1, "1023": 1023, "1KiB": 1 << 10, "1025": 1025, "1536KiB": 3 << 19, "64KiB": 64 << 10, "1MiB": 1 << 20, "1GiB": 1 << 30,
		"1025MiB": 1025 << 20, "1048576GiB": 1 << 50, "unlimited": config.NoLimit, "-2": -2,
	} {
		if got := fmt.Sprint(s); got != want {
			t.Errorf("%d prints as %s; want %s", int64(s), got, want)
		}
	}
}
