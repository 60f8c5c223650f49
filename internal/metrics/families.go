package metrics

import "github.com/prometheus/client_golang/prometheus"

// family is one name with its meaning and labels. docs/metrics.md lists them; a test compares the two.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType // zero for a histogram
}

const histogramKind prometheus.ValueType = 0

func newFamily(kind prometheus.ValueType, name, help string, labels ...string) *family {
	return &family{kind: kind, desc: prometheus.NewDesc("sallyport_"+name, help, labels, nil)}
}

// emit sends one series with its value.
func (f *family) emit(out chan<- prometheus.Metric, value float64, labels ...string) {
	f.send(out)(prometheus.NewConstMetric(f.desc, f.kind, value, labels...))
}

// send returns what sends a metric, or in its place the error that made none: the scrape fails with it.
func (f *family) send(out chan<- prometheus.Metric) func(prometheus.Metric, error) {
	return func(m prometheus.Metric, err error) {
		if err != nil {
			m = prometheus.NewInvalidMetric(f.desc, err)
		}
		out <- m
	}
}

// The families of the program.
var (
	buildInfo = newFamily(prometheus.GaugeValue, "build_info",
		"The build that runs; always 1.", "version", "go_version")
	configReloads = newFamily(prometheus.CounterValue, "config_reloads_total",
		"Documents that were put to work or refused, the first one included.", "result")
	configLastSuccess = newFamily(prometheus.GaugeValue, "config_last_reload_success_timestamp_seconds",
		"When a document was last put to work, in Unix time.")
	configGeneration = newFamily(prometheus.GaugeValue, "config_generation",
		"The generation of the running snapshot.")
)

// The families of listeners.
var (
	openConnections = newFamily(prometheus.GaugeValue, "open_connections",
		"Connections of clients that are open, those in their handshake included.", "listener")
	connections = newFamily(prometheus.CounterValue, "connections_total",
		"Connections of clients that were accepted.", "listener")
	connectionsRefused = newFamily(prometheus.CounterValue, "connections_refused_total",
		"Connections of clients that were closed at once because there were too many.", "listener", "cause")
	connectionsClosed = newFamily(prometheus.CounterValue, "connections_closed_total",
		"Accepted connections of clients that ended.", "listener", "cause")
	requestsInFlight = newFamily(prometheus.GaugeValue, "requests_in_flight",
		"Requests that are being served.", "listener")
	tlsHandshakes = newFamily(prometheus.CounterValue, "tls_handshakes_total",
		"TLS handshakes with clients that ended, well or not.", "listener", "version", "resumed", "result")
	tlsRefusals = newFamily(prometheus.CounterValue, "tls_handshake_refusals_total",
		"TLS handshakes with clients that were refused, because they insist on an acceptable certificate.", "listener", "reason")
	tlsHandshakeDuration = newFamily(histogramKind, "tls_handshake_duration_seconds",
		"How long TLS handshakes with clients took that completed.", "listener")
	http2Errors = newFamily(prometheus.CounterValue, "http2_errors_total",
		"HTTP/2 errors that clients caused, on a stream or a connection.", "listener", "type")
)

// The families of APIs.
var (
	clientAuth = newFamily(prometheus.CounterValue, "client_auth_total",
		"Requests that were judged.", "listener", "api", "result", "reason")
	requests = newFamily(prometheus.CounterValue, "requests_total",
		"Requests that were answered.", "api", "method", "code")
	requestDuration = newFamily(histogramKind, "request_duration_seconds",
		"How long requests took from their head to the end of the answer, long-lived exchanges left out.", "api")
	requestBytes = newFamily(prometheus.CounterValue, "request_bytes_total",
		"Bytes of request bodies that were read from clients.", "api")
	responseBytes = newFamily(prometheus.CounterValue, "response_bytes_total",
		"Bytes of response bodies that were written to clients.", "api")
	openStreams = newFamily(prometheus.GaugeValue, "open_streams",
		"Long-lived exchanges that are open: upgraded connections, gRPC, event streams.", "api")
	streamsCut = newFamily(prometheus.CounterValue, "streams_cut_total",
		"Long-lived exchanges that the gateway ended, because they would be refused now or were silent too long.", "api", "reason")
)

// The families of upstreams.
var (
	upstreamAttempts = newFamily(prometheus.CounterValue, "upstream_attempts_total",
		"Attempts to have a target answer a request.", "upstream", "target", "result")
	upstreamBroken = newFamily(prometheus.CounterValue, "upstream_broken_answers_total",
		"Answers of targets that ended before they were whole.", "upstream", "target", "result")
	upstreamAttemptDuration = newFamily(histogramKind, "upstream_attempt_duration_seconds",
		"How long attempts took to the header of the answer or to their failure.", "upstream")
	upstreamRetries = newFamily(prometheus.CounterValue, "upstream_retries_total",
		"Further attempts for a request whose first one failed, at another target or on another connection to the same.", "upstream")
	upstreamTargetUp = newFamily(prometheus.GaugeValue, "upstream_target_up",
		"Whether a target takes requests: 1, or 0 while it is out after failures.", "upstream", "target")
)

// families are all of them.
var families = [...]*family{
	buildInfo, configReloads, configLastSuccess, configGeneration,
	openConnections, connections, connectionsRefused, connectionsClosed, requestsInFlight,
	tlsHandshakes, tlsRefusals, tlsHandshakeDuration, http2Errors,
	clientAuth, requests, requestDuration, requestBytes, responseBytes, openStreams, streamsCut,
	upstreamAttempts, upstreamBroken, upstreamAttemptDuration, upstreamRetries, upstreamTargetUp,
}
