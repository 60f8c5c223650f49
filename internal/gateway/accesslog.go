package gateway

import (
	"context"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/metrics"
	"sallyport/internal/upstream"
)

// accessPolicy says which allowed requests are recorded. Refusals always are.
type accessPolicy struct {
	every   uint64 // one in so many; 0 for none
	counter *atomic.Uint64
}

// defaultSample is how many allowed requests one record stands for with access: sampled.
const defaultSample = 100

func newAccessPolicy(l config.Log) accessPolicy {
	p := accessPolicy{every: 1, counter: new(atomic.Uint64)}
	switch l.Access {
	case config.AccessOff:
		p.every = 0
	case config.AccessSampled:
		p.every = defaultSample
		if l.SampleEvery > 0 {
			p.every = uint64(l.SampleEvery)
		}
	case config.AccessOn:
	}
	return p
}

func (p accessPolicy) records(o *judge.Outcome) bool {
	if !o.Allowed() || !o.WouldBe.Allowed() {
		return true
	}
	return p.every == 1 || p.every > 1 && p.counter.Add(1)%p.every == 0
}

// record is what the access log says of one request.
type record struct {
	id       string
	protocol string
	remote   string
	start    time.Time
	end      time.Time
	upstream time.Duration // from sending the request to the response's header; 0 when nothing was sent
	status   int
	bytesIn  int64
	bytesOut int64
	target   string // that answered, or failed; "" when none was asked
	failure  string // what went wrong with the upstream or the client, "" for nothing
	cut      bool   // the response could not be finished

	retried *upstream.Failure // what the first of two attempts failed with, nil when there was one
}

// record writes the access record of one request. Values that a caller chose are quoted by the handler; the query and the
// headers are left out because they hold secrets.
func (g *Gateway) record(s *Snapshot, v *judge.Request, o *judge.Outcome, r *record) {
	if !s.access.records(o) && r.failure == "" {
		return
	}
	verdict := "allow"
	if !o.Allowed() {
		verdict = "deny"
	}
	attrs := make([]slog.Attr, 0, 24)
	attrs = append(attrs,
		slog.String("request_id", r.id),
		slog.String("remote", r.remote),
		slog.String("listener", v.Listener.Name),
		slog.String("method", bounded(v.Method)),
		slog.String("host", bounded(v.Authority)),
		slog.String("path", pathForLog(v, o)),
		slog.String("protocol", r.protocol),
		slog.String("server_name", v.ServerName),
	)
	if o.API != nil {
		attrs = append(attrs, slog.String("api", o.API.Label()))
		if o.API.Version() != "" {
			attrs = append(attrs, slog.String("api_version", o.API.Version()))
		}
	}
	if leaf := v.Evidence.Leaf(); leaf != nil {
		// What a certificate says is true only where it was validated and accepted; otherwise the caller is anonymous.
		attrs = append(append(attrs, certificateAttrs(leaf)...), slog.Bool("client_accepted", o.Caller.Known()))
	}
	attrs = append(attrs, slog.String("decision", verdict), slog.String("reason", o.Reason.String()))
	if o.Detail != "" {
		attrs = append(attrs, slog.String("detail", boundedDetail(o.Detail)))
	}
	if !o.WouldBe.Allowed() {
		attrs = append(attrs, slog.String("would_be_reason", o.WouldBe.Reason.String()))
		if o.WouldBe.Detail != "" {
			attrs = append(attrs, slog.String("would_be_detail", boundedDetail(o.WouldBe.Detail)))
		}
	}
	if r.target != "" {
		attrs = append(attrs, slog.String("target", r.target))
	}
	if r.retried != nil {
		attrs = append(attrs, slog.String("retried_target", r.retried.Target), slog.String("retried_failure", boundedDetail(string(r.retried.Cause)+": "+r.retried.Err.Error())))
	}
	if r.failure != "" {
		attrs = append(attrs, slog.String("failure", r.failure))
	}
	attrs = append(attrs,
		slog.Int("status", r.status),
		slog.Float64("duration_ms", milliseconds(r.end.Sub(r.start))),
		slog.Float64("upstream_ms", milliseconds(r.upstream)),
		slog.Int64("bytes_in", r.bytesIn),
		slog.Int64("bytes_out", r.bytesOut),
		slog.Uint64("generation", s.generation),
	)
	g.access.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// pathForLog is the normal form where there is one, and what was sent otherwise, bounded and without its query.
func pathForLog(v *judge.Request, o *judge.Outcome) string {
	if p := o.Path.String(); p != "" {
		return bounded(p)
	}
	raw, _, _ := strings.Cut(v.Target, "?")
	if _, rest, found := strings.Cut(raw, "://"); found { // an authority may hold a password
		_, path, _ := strings.Cut(rest, "/")
		raw = "/" + path
	}
	return bounded(raw)
}

// bounded keeps what a caller chose from filling the log.
func bounded(text string) string { return cut(text, 512) }

// boundedDetail does the same for what the gateway says itself, which may quote certificates and peers.
func boundedDetail(text string) string { return cut(text, 4096) }

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// hostOf returns the address of a peer without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// counted is what a decision counts as.
func counted(o *judge.Outcome) metrics.Outcome {
	switch {
	case !o.Allowed():
		return metrics.Deny
	case !o.WouldBe.Allowed():
		return metrics.Observed
	}
	return metrics.Allow
}
