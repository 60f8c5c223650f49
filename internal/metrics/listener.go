package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Listener counts what happens on one listener. A nil Listener counts nothing.
type Listener struct {
	name string
	life life

	open, requests atomic.Int64
	accepted       atomic.Uint64
	refused        [refusalCauses]atomic.Uint64
	closed         [closeCauses]atomic.Uint64

	handshakes [tlsVersions][2][handshakeResults]atomic.Uint64 // by version, resumed or not, and result
	handshake  histogram
	denied     counts[string] // refused handshakes, by reason
	http2      counts[string]
}

// Opened counts a connection that was accepted, before its handshake. Exactly one Closed of the same handle has to
// follow.
func (l *Listener) Opened() {
	if l == nil {
		return
	}
	l.accepted.Add(1)
	l.open.Add(1)
}

// Closed counts the end of a connection that Opened counted.
func (l *Listener) Closed(cause CloseCause) {
	if l == nil {
		return
	}
	if cause >= closeCauses {
		cause = ClosedOther
	}
	l.closed[cause].Add(1)
	l.open.Add(-1)
}

// Refused counts a connection that was closed at once, for which nobody calls Opened.
func (l *Listener) Refused(cause RefusalCause) {
	if l == nil {
		return
	}
	if cause >= refusalCauses {
		cause = ListenerFull
	}
	l.refused[cause].Add(1)
}

// Handshake counts a TLS handshake that ended. version is crypto/tls's number of the protocol version, 0 when none was
// agreed on. How long it took is looked at only when it completed.
func (l *Listener) Handshake(version uint16, resumed bool, result HandshakeResult, took time.Duration) {
	if l == nil {
		return
	}
	if result >= handshakeResults {
		result = HandshakeFailed
	}
	how := 0
	if resumed {
		how = 1
	}
	l.handshakes[tlsVersionOf(version)][how][result].Add(1)
	if result == HandshakeOK {
		l.handshake.observe(took)
	}
}

// HandshakeDenied counts why a handshake was refused that Handshake counted as HandshakeRefused. The reason is a decision's.
func (l *Listener) HandshakeDenied(reason string) {
	if l == nil {
		return
	}
	l.denied.of(reason).Add(1)
}

// RequestBegan counts a request that is being served. Exactly one RequestEnded of the same handle has to follow.
func (l *Listener) RequestBegan() {
	if l == nil {
		return
	}
	l.requests.Add(1)
}

// RequestEnded counts the end of a request that RequestBegan counted.
func (l *Listener) RequestEnded() {
	if l == nil {
		return
	}
	l.requests.Add(-1)
}

// maxKinds bounds how many kinds of HTTP/2 errors one listener tells apart. There are a few dozen.
const maxKinds = 128

// HTTP2Error counts an error on an HTTP/2 connection. kind is a word of whoever found it, as the CountError of net/http
// gives; never text that a client chose. From a number on that no closed set has, further kinds are "other".
func (l *Listener) HTTP2Error(kind string) {
	if l == nil {
		return
	}
	if known := l.http2.all(); known[kind] == nil && len(known) >= maxKinds {
		kind = "other"
	}
	l.http2.of(kind).Add(1)
}

func (l *Listener) become(s stage) { l.life.become(s) }

// shown looks at requests too: over HTTP/2 one may outlast its connection.
func (l *Listener) shown() bool { return l.life.shown(max(l.open.Load(), l.requests.Load())) }

// label is the name; that of no listener is empty.
func (l *Listener) label() string {
	if l == nil {
		return ""
	}
	return l.name
}

// collect sends what was counted. Counters with a closed set of labels are there from the beginning, because the first
// step of one that appears with it is lost to rate().
func (l *Listener) collect(out chan<- prometheus.Metric) {
	openConnections.emit(out, float64(l.open.Load()), l.name)
	connections.emit(out, float64(l.accepted.Load()), l.name)
	for cause := range refusalCauses {
		connectionsRefused.emit(out, float64(l.refused[cause].Load()), l.name, cause.String())
	}
	for cause := range closeCauses {
		connectionsClosed.emit(out, float64(l.closed[cause].Load()), l.name, cause.String())
	}
	requestsInFlight.emit(out, float64(l.requests.Load()), l.name)
	l.collectHandshakes(out)
	for kind, n := range l.http2.all() {
		http2Errors.emit(out, float64(n.Load()), l.name, kind)
	}
}

// collectHandshakes leaves out what never happened: most listeners see few of the combinations, or speak no TLS.
func (l *Listener) collectHandshakes(out chan<- prometheus.Metric) {
	some := false
	for version := range tlsVersion(tlsVersions) {
		for how := range l.handshakes[version] {
			for result := range handshakeResults {
				n := l.handshakes[version][how][result].Load()
				if n == 0 {
					continue
				}
				some = true
				tlsHandshakes.emit(out, float64(n), l.name, version.String(), strconv.FormatBool(how == 1), result.String())
			}
		}
	}
	for reason, n := range l.denied.all() {
		tlsRefusals.emit(out, float64(n.Load()), l.name, reason)
	}
	if some {
		l.handshake.emit(tlsHandshakeDuration, out, l.name)
	}
}
