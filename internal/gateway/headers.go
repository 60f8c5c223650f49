package gateway

import (
	"sallyport/internal/certheader"
	"sallyport/internal/judge"
)

// header is a set of header fields under their canonical names, as net/http and net/textproto keep them.
type header = map[string][]string

// forwarding are the fields, other than those that certheader knows, that a client could use to pretend to be somebody
// else's request. They are set anew or left out.
var forwarding = map[string]bool{
	"forwarded": true, "x-forwarded": true, "x-forwarded-for": true, "x-forwarded-host": true,
	"x-forwarded-proto": true, "x-forwarded-port": true, "x-forwarded-by": true, "x-forwarded-server": true,
	"x-forwarded-ssl": true, "x-forwarded-scheme": true, "x-real-ip": true, "x-request-id": true, "x-original-url": true,
	"x-rewrite-url": true, "x-original-host": true, "x-original-path": true, "x-original-uri": true,
	"x-forwarded-uri": true, "x-forwarded-path": true, "x-forwarded-prefix": true, "x-forwarded-method": true,
}

// methodOverrides are the fields by which some backends take a request for one with another method. Where the method
// decides about an API they would decide something else than was judged.
var methodOverrides = map[string]bool{"x-http-method": true, "x-http-method-override": true, "x-method-override": true}

// longestName is the length of the longest name in the two sets above.
const longestName = 22

// strip removes every field that tells a backend who is calling, in any spelling, whoever sent it, and those that only look
// like the fields that frame messages, such as Content_Length: a backend that folds names would take them for those. It is
// the only place where such fields are removed, and it runs on headers and trailers of every request before identify.
func strip(h header) {
	for name := range h {
		if certheader.Identity(name) || certheader.Framing(name) || isOneOf(forwarding, name) {
			delete(h, name)
		}
	}
}

// stripMethodOverrides removes the fields that change a request's method behind the gateway's back.
func stripMethodOverrides(h header) {
	for name := range h {
		if isOneOf(methodOverrides, name) {
			delete(h, name)
		}
	}
}

// isOneOf reports whether a name, in any spelling, is in a set.
func isOneOf(set map[string]bool, name string) bool {
	if len(name) > longestName {
		return false
	}
	var buf [longestName]byte
	return set[string(certheader.Fold(buf[:0], name))]
}

// caller is what the backend is told about the sender of a request.
type caller struct {
	judge.Standing        // empty for an anonymous caller
	remote         string // the peer's address, without a port
	host           string // the Host that was asked for
	scheme         string // http or https
	requestID      string
}

// identify sets the fields that tell the backend who is calling. It is the only place where they are set; strip ran
// before, so what the backend sees is the gateway's alone.
func identify(h header, c *caller) {
	values := make([]string, 0, 6) // one allocation for the values of every field
	set := func(name, value string) {
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	set("X-Forwarded-For", c.remote)
	if c.host != "" {
		set("X-Forwarded-Host", c.host)
	}
	set("X-Forwarded-Proto", c.scheme)
	set("X-Request-Id", c.requestID)
	if c.ClientCert != "" {
		set(certheader.ClientCertName, c.ClientCert)
	}
	if c.ClientCertChain != "" {
		set(certheader.ClientCertChainName, c.ClientCertChain)
	}
}
