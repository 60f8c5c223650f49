package gateway

import (
	"fmt"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/wire"
)

// This file records the requests over HTTP/2 that come to nobody's handler: package wire refuses them, or net/http does, with the
// end of their stream or of the connection.

// standsFor returns why the request was refused for which this one stands in; nil where it is a request of its own.
func (x *exchange) standsFor() *wire.Refused {
	values := x.request.Header[wire.RefusedField]
	p := x.conn.protocol.Load()
	if values == nil || p == nil || p.http2 == nil {
		return nil
	}
	return p.http2.Refused(values)
}

// unanswered records a request that package wire refused, of which the stream or the connection ends without an answer.
func (h *handler) unanswered(c *conn, r *wire.Refused) {
	x := exchange{conn: c}
	h.unheard(c, r, decision.Decision{Reason: reasonOf(r.Kind), Detail: x.limited(&r.Problem)})
}

// mistook takes note of an error that net/http found. Those that refuse a request are recorded: net/http does not say which one,
// so the record has neither method nor path.
func (h *handler) mistook(c *conn, kind string) {
	for suffix, d := range refusedByNetHTTP(c) {
		if strings.HasSuffix(kind, suffix) {
			h.unheard(c, &wire.Refused{}, d)
		}
	}
	c.mistook(kind)
}

// refusedByNetHTTP are the errors of net/http that refuse a request which package wire has let pass, and what they mean.
func refusedByNetHTTP(c *conn) map[string]decision.Decision {
	tooMany := decision.Decision{Reason: decision.Overloaded, Detail: fmt.Sprintf("the connection has more streams than max_streams: %d", c.bounds.MaxStreams)}
	return map[string]decision.Decision{
		"_over_max_streams":      tooMany,
		"_over_max_streams_race": tooMany,
		"_too_many_early_resets": {Reason: decision.Overloaded, Detail: "the client has reset more streams than were handled"},
		"_stream_went_down":      {Reason: decision.RequestMalformed, Detail: "a header block on a stream that is over, or was passed over (RFC 9113, section 5.1.1)"},
		"_bad_connect":           {Reason: decision.RequestMalformed, Detail: "CONNECT with :protocol, which was not announced (RFC 8441, section 3)"},
		"_bad_path":              {Reason: decision.RequestMalformed, Detail: "the path is none that a URI has (RFC 9113, section 8.3.1)"},
		"_userinfo_in_authority": {Reason: decision.RequestMalformed, Detail: "the authority has a user (RFC 9113, section 8.3.1)"},
	}
}

// unheard records a request that nobody answers. r has what is known of it.
func (h *handler) unheard(c *conn, r *wire.Refused, d decision.Decision) {
	snapshot, now := h.g.snapshot.Load(), h.g.clock.Now()
	l := c.socket.current(snapshot)
	if l == nil {
		l = &listener{Listener: &judge.Listener{Address: h.address}}
	}
	x := &exchange{g: h.g, snapshot: snapshot, conn: c, outcome: judge.Refused(d, false)}
	x.view = judge.Request{
		Method: r.Method, Target: r.Target, Authority: r.Authority, Listener: l.Listener,
		OverTLS: c.overTLS, TLSVersion: c.tlsVersion, ServerName: c.serverName, Evidence: c.evidence, Now: now,
	}
	x.record = record{id: newRequestID(), protocol: "HTTP/2.0", remote: c.RemoteAddr().String(), start: time.Now()}
	x.record.end = x.record.start
	x.remember()
	h.g.record(snapshot, &x.view, &x.outcome, &x.record)
	h.g.metrics.API(x.outcome.API.Series()).Decided(c.metrics, counted(&x.outcome), d.Reason.String())
}
