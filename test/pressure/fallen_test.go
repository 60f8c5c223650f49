package pressure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

// fallenDocument has one name whose API shares it, and one that insists in the handshake. DENY is a list, and CAS are the
// anchors.
const fallenDocument = `
listeners:
  - name: public
    address: 127.0.0.1:PORT
    limits: {max_connections: 1000, max_connections_per_address: 1000}
    tls: {credentials: [server], client_auth: optional}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [CAS]}
upstreams:
  - {name: echo, targets: ["BACKEND"]}
client_certificate: {trust: [partners], deny: [DENY]}
apis:
  - {name: orders, hosts: [api.test], path: /orders/, upstream: echo, client_certificate: {mode: required}}
  - {name: open, hosts: [api.test], path: /open/, upstream: echo, client_certificate: {mode: none}}
  - {name: own, hosts: [own.test], path: /, upstream: echo, client_certificate: {mode: required, enforce: auto}}
`

// fallenLanes are callers that keep their connections: one who is going to fall, and others, who are the load.
func fallenLanes(address string) []lane {
	var all []lane
	for _, cert := range []string{"victim", "caller", "stranger"} {
		for name, path := range map[string]string{"api.test": "/orders/", "own.test": "/"} {
			kept := lane{Address: address, ServerName: name, Path: path, Cert: cert, Requests: 1 << 30, Streams: 1, Callers: 3, Pace: 2 * time.Millisecond}
			h1, h2 := kept, kept
			h1.Name, h2.Name = cert+" "+name+" h1", cert+" "+name+" h2"
			h2.HTTP2, h2.Streams = true, 4
			all = append(all, h1, h2)
		}
	}
	return all
}

// fall is what happens to the callers that are to fall.
type fall struct {
	what, deny, anchors string
	victims             []string // who falls
	reason              string   // "" where everybody may call again
	ends                bool     // their connections end with the refusal
}

// TestACallerWhoFallsIsRefusedOnOpenConnections puts a certificate on a deny list, and takes a CA away, while it and others call
// on connections that they keep. From the moment that the gateway says that the document is at work no request of the
// fallen passes, and nobody else notices.
func TestACallerWhoFallsIsRefusedOnOpenConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	victim := s.ca.Leaf(t, testpki.Options{CommonName: "victim"})
	denied := "{sha256: " + identity.Thumbprint(victim.Cert).String() + "}"
	const both, first = "{file: ca.pem}, {file: other.pem}", "{file: ca.pem}"
	falls := []fall{
		{"a certificate is denied", denied, both, []string{"victim"}, "certificate_denied", false},
		{"it is denied no longer", "{common_name: nobody}", both, nil, "", false},
		{"a CA is gone", "{common_name: nobody}", first, []string{"stranger"}, "certificate_untrusted", true},
		{"the CA is back", "{common_name: nobody}", both, nil, "", false},
	}
	port, backend := free.Free(t), newEchoBackend(t)
	document := func(f fall) string {
		return strings.NewReplacer("PORT", port, "BACKEND", backend, "DENY", f.deny, "CAS", f.anchors).Replace(fallenDocument)
	}
	g := s.start(built(t, builtProgram), document(falls[1]))
	lanes := fallenLanes("127.0.0.1:" + port)
	certs := map[string]string{}
	for name, e := range map[string]*testpki.Entity{"victim": victim, "caller": s.caller, "stranger": s.stranger} {
		certs[name] = string(e.PEM()) + string(e.KeyPEM())
	}
	y, finish := startCallers(t, &order{Roots: string(s.ca.PEM()), Certs: certs, Lanes: lanes})
	calls := func() {
		for range 15 { // calls of each lane
			y.await(t, lanes, time.Now().UnixNano())
		}
	}
	calls()
	type span struct{ from, live, until int64 }
	var spans []span
	for _, f := range falls {
		from := time.Now().UnixNano()
		g.reload(document(f))
		live := time.Now().UnixNano()
		calls()
		spans = append(spans, span{from, live, time.Now().UnixNano()})
	}
	finish()
	if len(y.outcomes) < 60*len(lanes) { // most of what was waited for
		t.Errorf("%d calls by %d lanes are no load", len(y.outcomes), len(lanes))
	}
	for i, f := range falls {
		checkFall(t, &f, y.outcomes, spans[i].from, spans[i].live, spans[i].until)
	}
	checkUndisturbed(t, y.outcomes, spans[0].from, "caller")
	g.stop()
}

// checkFall checks the calls that began while a document was at work, and those that it may have met.
func checkFall(t *testing.T, f *fall, all []outcome, from, live, until int64) {
	t.Helper()
	refused, last := 0, int64(0)
	refusals := map[string][]outcome{} // by connection
	for _, o := range all {
		if !slices.Contains(f.victims, strings.Fields(o.Lane)[0]) || o.Start < from || o.End > until {
			continue // of another time, or on its way when the next document came
		}
		passed := o.Stage == stageDone && o.Status == 200
		switch {
		case passed && o.Start >= live:
			t.Errorf("%s: %s passed %s after it was at work", f.what, o.Lane, time.Duration(o.Start-live))
		case passed:
			last = max(last, o.End)
		case o.Stage == stageDone && (o.Status != 403 || o.Reason != f.reason):
			t.Errorf("%s: %s got %d %s, want 403 %s", f.what, o.Lane, o.Status, o.Reason, f.reason)
		case o.Stage == stageDone:
			refused++
			if o.Opened < from {
				refusals[o.Local] = append(refusals[o.Local], o)
			}
		}
	}
	if len(f.victims) == 0 {
		return
	}
	if len(refusals) < 4 { // on a busy machine some connections have no call in that moment
		t.Errorf("%s: %d refusals on %d connections that were open: too few to mean anything", f.what, refused, len(refusals))
	}
	more := 0
	for _, on := range refusals {
		if len(on) > 1 && (!strings.HasSuffix(on[0].Lane, "h2") || len(on) > 8) { // its four streams may have been on their way
			more++
		}
	}
	if f.ends && more > 0 || !f.ends && more == 0 {
		t.Errorf("%s: %d of %d connections went on after the refusal", f.what, more, len(refusals))
	}
	t.Logf("%s: at work %s after the signal, the last call that passed ended %s after it; %d refusals on %d open connections",
		f.what, time.Duration(live-from).Round(time.Millisecond), time.Duration(max(0, last-from)).Round(time.Millisecond), refused, len(refusals))
}

// checkUndisturbed checks that every call of somebody passed, and on the connections that he had.
func checkUndisturbed(t *testing.T, all []outcome, from int64, who string) {
	t.Helper()
	calls, connections := 0, map[string]bool{}
	for _, o := range all {
		if !strings.HasPrefix(o.Lane, who+" ") || o.Start < from {
			continue
		}
		calls++
		connections[o.Local] = true
		if o.Stage != stageDone || o.Status != 200 || o.Error != "" || o.Opened >= from {
			t.Errorf("%s was disturbed: %+v", o.Lane, o)
		}
	}
	if len(connections) != 12 || calls < 200 { // what was waited for
		t.Errorf("%d calls on %d connections", calls, len(connections))
	}
}
