package museum_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

const everyMode = parts + asking + `
apis:
  - {name: open, path: /open/, upstream: echo}
  - {name: lenient, path: /lenient/, upstream: echo, client_certificate: {mode: optional, trust: [partners], on_invalid: ignore}}
  - {name: watched, path: /watched/, upstream: echo, client_certificate: {mode: required, trust: [partners], observe_only: true}}
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`

// forged is what no backend may ever see.
const forged = "forged-by-the-caller"

// clean checks that a backend got nothing forged, and Client-Cert for whom the gateway validated alone.
func clean(t *testing.T, got *seen, who *testpki.Entity) {
	t.Helper()
	if got == nil {
		return
	}
	for _, fields := range []http.Header{got.Header, got.Trailer} {
		for name, values := range fields {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, forged) }) {
				t.Errorf("the backend got %s: %q", name, values)
			}
		}
	}
	want := []string(nil)
	if who != nil {
		want = []string{":" + base64.StdEncoding.EncodeToString(who.Cert.Raw) + ":"}
	}
	if !slices.Equal(got.Header["Client-Cert"], want) {
		t.Errorf("Client-Cert is %q, want %q", got.Header["Client-Cert"], want)
	}
}

// The field that tells the backend who is calling was only written where there was a certificate; without one, that of the
// caller went through. It came back seven years later.
func TestTraefik_5061_TheCallersOwnFieldWentThrough(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	forge := func(r *http.Request) {
		for _, name := range []string{
			"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Client-Cert",
			"Ssl-Client-Cert", "X-Ssl-Client-S-Dn", "X-Client-Cert", "X-Arr-Clientcert", "X-Amzn-Mtls-Clientcert", "X-Wso2-Client-Certificate",
			"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Request-Id",
		} {
			r.Header[name] = []string{forged, forged}
		}
	}
	for path, callers := range map[string][]struct{ shown, validated *testpki.Entity }{
		"open":    {{nobody, nil}, {s.alice, nil}, {s.stranger, nil}},
		"lenient": {{nobody, nil}, {s.alice, s.alice}, {s.stranger, nil}},
		"watched": {{nobody, nil}, {s.alice, s.alice}, {s.stranger, nil}},
		"orders":  {{s.alice, s.alice}},
	} {
		for i, c := range callers {
			t.Run(fmt.Sprint(path, " ", i), func(t *testing.T) {
				t.Parallel()
				for _, v := range []*visitor{g.visitor("localhost", c.shown), g.visitor("localhost", c.shown).http2()} {
					clean(t, g.serves(t, v.get("https://localhost/"+path+"/", forge)), c.validated)
				}
			})
		}
	}
}

// Fields were copied from the answer of whoever decides; where that answer had none, those of the caller stayed in place.
func TestGHSA_7r4p_vjf4_gxv4_CaddyLeftTheCallersFieldWhereItHadNone(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	request := "POST /lenient/ HTTP/1.1\r\nHost: localhost\r\nclient-cert: " + forged + "\r\nCLIENT-CERT: " + forged + "\r\nClient-Cert-Chain: " + forged +
		"\r\nTransfer-Encoding: chunked\r\nTrailer: Client-Cert, X-Client-Dn\r\n\r\n1\r\na\r\n0\r\nClient-Cert: " + forged + "\r\nX-Client-Dn: " + forged + "\r\n\r\n"
	clean(t, g.serves(t, g.visitor("localhost", nobody).send(request)), nil)
	clean(t, g.serves(t, g.visitor("localhost", s.stranger).send(request)), nil)
	clean(t, g.serves(t, g.visitor("localhost", s.alice).send(request)), s.alice)
}

// Names were removed as they are written; with "_" or "." in the place of "-" they went through to backends that read all of
// them as one.
func TestGHSA_f59h_q822_g45g_CaddyForgotTheOtherSpellingsOfAName(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	spellings := func(name string) []string {
		all := []string{""}
		for part := range strings.SplitSeq(name, "-") {
			var more []string
			for _, begin := range all {
				if begin == "" {
					more = append(more, part, strings.ToUpper(part))
					continue
				}
				for _, sign := range []string{"-", "_", "."} {
					more = append(more, begin+sign+part)
				}
			}
			all = more
		}
		return all
	}
	var fields []string
	for _, name := range []string{"client-cert", "client-cert-chain", "x-forwarded-client-cert", "x-ssl-client-verify", "ssl-client-s-dn", "x-forwarded-for", "x-real-ip"} {
		fields = append(fields, spellings(name)...)
	}
	for _, signs := range []string{"!", "#", "$", "%", "&", "'", "*", "+", "^", "`", "|", "~"} {
		fields = append(fields, "client"+signs+"cert", "x"+signs+"client"+signs+"cert")
	}
	const atOnce = 80
	for some := range slices.Chunk(fields, atOnce) {
		request := "GET /lenient/ HTTP/1.1\r\nHost: localhost\r\n"
		for _, name := range some {
			request += name + ": " + forged + "\r\n"
		}
		clean(t, g.serves(t, g.visitor("localhost", nobody).send(request+"\r\n")), nil)
		clean(t, g.serves(t, g.visitor("localhost", s.alice).send(request+"\r\n")), s.alice)
	}
}

// Backends on CGI and its descendants read X_SSL_Cert and X-SSL-Cert as one variable, and of two the wrong one won.
func TestTelekomSecurity_2020_UnderscoresPassedForHyphens(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	for _, name := range []string{"X_SSL_Cert", "X_SSL-Cert", "SSL_CLIENT_CERT", "SSL_CLIENT_S_DN", "X_CLIENT_CERT", "Client_Cert", "HTTP_CLIENT_CERT", "X_SSL_Client_Verify", "x_ssl_client_cn"} {
		for who, validated := range map[*testpki.Entity]*testpki.Entity{nobody: nil, s.alice: s.alice} {
			a := g.visitor("localhost", who).send("GET /lenient/ HTTP/1.1\r\nHost: localhost\r\n" + name + ": " + forged + "\r\n\r\n")
			clean(t, g.serves(t, a), validated)
		}
	}
}

// A caller named the gateway's own field in Connection; it was removed on the way as one that concerns this hop alone, and
// the backend took the caller for anonymous, or for one of its own.
func TestTraefik_12875_ConnectionRemovedTheIdentity(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	for _, options := range []string{
		"Client-Cert", "close, Client-Cert", "client-cert, X-Forwarded-For, X-Request-Id", "Client-Cert-Chain, X-Forwarded-Proto, X-Forwarded-Host", "keep-alive,Client-Cert",
	} {
		for _, extra := range []string{"", "Client-Cert: " + forged + "\r\n"} {
			a := g.visitor("localhost", s.alice).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\nConnection: " + options + "\r\n" + extra + "\r\n")
			got := g.serves(t, a)
			clean(t, got, s.alice)
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"} {
				if got != nil && len(got.Header[name]) != 1 {
					t.Errorf("Connection: %s leaves %s with %q", options, name, got.Header[name])
				}
			}
		}
	}
	a := g.visitor("localhost", s.alice).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\nConnection: Client-Cert, Host\r\n\r\n")
	g.refuses(t, a, 400, "request_malformed")
}

// The function that changed a request ran before the fields of the hop were removed, so a caller could have removed whatever
// it had set, a chain of certificates as well as an authorization.
func TestGo_ReverseProxyDirector_FieldsThatWereSetWereRemovedAgain(t *testing.T) {
	s := newSite(t)
	inter := s.partners.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	carol := inter.Leaf(t, testpki.Options{CommonName: "carol"})
	g := s.serve(everyMode)
	got := g.serves(t, g.visitor("localhost", carol).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"+
		"Connection: Client-Cert-Chain, Client-Cert, X-Request-Id\r\nConnection: X-Own\r\nX-Own: a\r\n\r\n"))
	clean(t, got, carol)
	if got == nil {
		return
	}
	if want := []string{":" + base64.StdEncoding.EncodeToString(inter.Cert.Raw) + ":"}; !slices.Equal(got.Header["Client-Cert-Chain"], want) {
		t.Errorf("Client-Cert-Chain is %q, want %q", got.Header["Client-Cert-Chain"], want)
	}
	if got.Header.Get("X-Own") != "" {
		t.Error("a field of the hop went on")
	}
	if got.Header.Get("Authorization") != "Bearer x" {
		t.Error("a field that concerns nobody here was removed")
	}
}

// The subject was written into a field as text: a name with a quote and a comma in it said that it was another's.
func TestTraefik_PassTLSClientCert_ANameBrokeOutOfItsField(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	utf8 := func(text string) pkix.Name {
		return pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: text}}}
	}
	bell := s.partners.Leaf(t, testpki.Options{Subject: utf8("alice\x07")})
	g.refuses(t, g.visitor("localhost", bell).get("https://localhost/orders/"), 403, "certificate_malformed")
	for _, name := range []string{
		`","Issuer="CN=admin`, `alice";Subject="CN=admin`, `x,Hash=00;By=admin`, "x\r\nClient-Cert: " + forged, "x\n\nGET /open/ HTTP/1.1", ":, :", "ä",
	} {
		who := s.partners.Leaf(t, testpki.Options{Subject: utf8(name)})
		for _, v := range []*visitor{g.visitor("localhost", who), g.visitor("localhost", who).http2()} {
			a := v.get("https://localhost/orders/")
			got := g.serves(t, a)
			clean(t, got, who)
			if got == nil {
				continue
			}
			for field, values := range got.Header {
				if field != "Client-Cert" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "admin") }) {
					t.Errorf("%s says %q", field, values)
				}
			}
			if subject := g.access(a.id).ClientSubject; strings.ContainsAny(subject, "\r\n") || strings.HasPrefix(subject, "CN=admin") {
				t.Errorf("the log says %q", subject)
			}
		}
	}
}
