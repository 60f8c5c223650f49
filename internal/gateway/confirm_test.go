package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// reruled is a stream whose API gets another rule while it is open.
type reruled struct {
	name          string
	before, after string // the API's client_certificate
	who           *testpki.Entity
	told          bool   // the backend was told who calls
	cut           string // why; "" for a stream that goes on
}

// reruledDocument has more APIs, one for each stream, and one called last.
const reruledDocument = `
listeners:
  - {name: public, address: 127.0.0.1:0, tls: {credentials: [server], client_auth: optional, HANDSHAKE}}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: stream, targets: ["http://STREAMER"]}
apis:
  - {name: last, path: /last/, upstream: stream, client_certificate: {mode: required, trust: [LAST]}}
`

// expectReruled opens a stream for each case, changes all rules in one reload, and checks which of them were cut. handshake is
// what the listener says of trust before and after.
func (s *site) expectReruled(t *testing.T, handshakeBefore, handshakeAfter string, cases []reruled) {
	t.Helper()
	b := newStreamer(t)
	document := func(handshake, last string, rule func(reruled) string) string {
		text := strings.NewReplacer("HANDSHAKE", handshake, "STREAMER", b.address, "LAST", last).Replace(reruledDocument)
		for i, c := range cases {
			text += fmt.Sprintf("  - {name: api%d, path: /api%d/, upstream: stream, client_certificate: %s}\n", i, i, rule(c))
		}
		return text
	}
	after := func(c reruled) string { return c.after }
	s.apply(document(handshakeBefore, "partners", func(c reruled) string { return c.before }))
	open := make([]net.Conn, len(cases))
	for i, c := range cases {
		open[i] = s.webSocket(c.who, fmt.Sprintf("/api%d/ws", i))
	}
	for _, trust := range []string{"partners", "strangers"} { // when the last is cut all others were judged by the rules after
		last := s.webSocket(s.a, "/last/ws")
		s.apply(document(handshakeAfter, trust, after))
		if trust == "strangers" {
			isCut(t, last)
		}
	}
	for i, c := range cases {
		if c.cut == "" {
			s.echoes(open[i])
			_ = open[i].Close()
		}
		record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == fmt.Sprintf("api%d", i) })
		failure, _ := record["failure"].(string)
		if why, again := strings.CutPrefix(failure, "judged again: "); again != (c.cut != "") || !strings.HasPrefix(why, c.cut) {
			t.Errorf("%s: %q, want it cut for %q", c.name, failure, c.cut)
		}
		if record["client_accepted"] != c.told && (c.told || record["client_accepted"] != nil) {
			t.Errorf("%s: the backend was told who calls: %v, want %v", c.name, record["client_accepted"], c.told)
		}
	}
}

// nobodyConfirms is why a stream is cut whose backend was told who calls when nothing is asked any more.
const nobodyConfirms = "trust_unavailable the backend was told who calls, and the caller would be anonymous now: no trust store is in effect"

func TestAStreamGoesOnAsLongAsWhatItsBackendWasToldHolds(t *testing.T) {
	t.Parallel()
	const (
		nothing   = "{mode: none}"
		undemand  = "{mode: none, trust: [partners]}"
		required  = "{mode: required, trust: [partners]}"
		optional  = "{mode: optional, trust: [partners]}"
		ignoring  = "{mode: optional, on_invalid: ignore, trust: [partners]}"
		observing = "{mode: required, observe_only: true, trust: [partners]}"
		anonymous = "the backend was told who calls, and the caller would be anonymous now: "
	)
	to := func(store, rule string) string { return strings.Replace(rule, "partners", store, 1) }
	s := newSite(t, firstDocument)
	cases := []reruled{
		{"nothing is asked any more of who had to prove himself", required, nothing, s.a, true, nobodyConfirms},
		{"or of who could", optional, nothing, s.a, true, nobodyConfirms},
		{"or whose mistakes were ignored", ignoring, nothing, s.a, true, nobodyConfirms},
		{"or who was observed", observing, nothing, s.a, true, nobodyConfirms},
		{"or who was told of without a demand", undemand, nothing, s.a, true, nobodyConfirms},

		{"a demand is dropped, and what it rested on stays", required, undemand, s.a, true, ""},
		{"a demand becomes a wish", required, optional, s.a, true, ""},
		{"mistakes are ignored from now on", required, ignoring, s.a, true, ""},
		{"refusals are only observed", required, observing, s.a, true, ""},
		{"a demand is made", undemand, required, s.a, true, ""},

		{"another store without a demand", required, to("strangers", undemand), s.a, true, "certificate_untrusted " + anonymous},
		{"another store that ignores", required, to("strangers", ignoring), s.a, true, "certificate_untrusted " + anonymous},
		{"another store that observes", required, to("strangers", observing), s.a, true, "certificate_untrusted " + anonymous},
		{"another store", required, to("strangers", required), s.a, true, "certificate_untrusted"},
		{"another store that is optional", required, to("strangers", optional), s.a, true, "certificate_untrusted"},
		{"who ignored gets another store", ignoring, to("strangers", ignoring), s.a, true, "certificate_untrusted " + anonymous},
		{"a denied caller where none is demanded", required, "{mode: none, trust: [partners], deny: [{common_name: partner-a}]}", s.a, true, "certificate_denied " + anonymous},
		{"another's list where none is demanded", required, "{mode: none, trust: [partners], allow: [{common_name: partner-b}]}", s.a, true, "certificate_not_allowed " + anonymous},

		{"who was never looked at", nothing, nothing, s.a, false, ""},
		{"who was never looked at, and is now", nothing, undemand, s.a, false, ""},
		{"who was never looked at, and could prove himself", nothing, required, s.a, false, ""},
		{"who was never looked at, and cannot prove himself", nothing, required, s.outsider, false, "certificate_untrusted"},
		{"a stranger without a demand", undemand, nothing, s.outsider, false, ""},
		{"a stranger without a demand who gets known", undemand, to("strangers", undemand), s.outsider, false, ""},
		{"a stranger who was ignored", ignoring, nothing, s.outsider, false, ""},
		{"a stranger who is ignored no more", ignoring, optional, s.outsider, false, "certificate_untrusted"},
		{"a stranger who was observed", observing, nothing, s.outsider, false, ""},
		{"a stranger who is observed no more", observing, required, s.outsider, false, "certificate_untrusted"},
		{"nobody", optional, nothing, nil, false, ""},
		{"nobody where somebody is demanded", optional, required, nil, false, "certificate_missing"},
	}
	s.expectReruled(t, "", "", cases)
}

// Where an API has no trust of its own any more, that of the handshake is in effect.
func TestAStreamIsConfirmedByTheTrustOfTheHandshake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after, cut string }{
		{"trust: [partners]", "trust: [partners]", ""},
		{"trust: [partners]", "trust: [strangers]", "certificate_untrusted"},
		{"trust: [partners]", "", nobodyConfirms},
	} {
		t.Run(c.after, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, firstDocument)
			s.expectReruled(t, c.before, c.after, []reruled{
				{"the API's own trust goes", "{mode: required, trust: [partners]}", "{mode: none}", s.a, true, c.cut},
				{"the API never had any", "{mode: none}", "{mode: none}", s.a, true, c.cut},
			})
		})
	}
}
