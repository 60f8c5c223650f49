package judge

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/route"
)

// Request is what judging sees of a request: nothing of any HTTP library, so that live traffic, streams, explain and tests
// call the same function.
type Request struct {
	// Method is the method as it was sent.
	Method string
	// Target is the request target as it was sent.
	Target string
	// Absolute says that the target may be in absolute-form, as only HTTP/1.1 has it.
	Absolute bool
	// Authority is Host, :authority, or the authority of an absolute-form target (RFC 9112, section 3.2.2).
	Authority string

	// Listener is that of the rules that decide. It must not be nil.
	Listener *Listener
	// OverTLS says that there was a handshake; without one the fields about it are zero.
	OverTLS bool
	// TLSVersion is the handshake's.
	TLSVersion uint16
	// ServerName is what the client named in the handshake, canonical; "" for nothing.
	ServerName string
	// Evidence is the connection's; nil means that nothing was presented.
	Evidence *Evidence
	// Now is the time to judge by.
	Now time.Time
	// Fields are the header fields of Rules.Headers, each once, those that the request does not have without a value. What
	// is missing is unknown, and expressions that ask for it have no value.
	Fields []expression.Field

	scope expression.Scope // room for what expressions see, so that judging allocates nothing
}

// Outcome is the decision about one request and everything that later steps need.
type Outcome struct {
	Judgement

	// API is whose request it is; nil when no API owns it, or when several might and none serves the method.
	API *API
	// Binding is the API on the request's listener; nil where API is, and for method_not_allowed.
	Binding *Binding
	// Host, Path and Query are the normal form of what was asked for; the query has its question mark. They are zero
	// when the request was refused before it had them.
	Host  string
	Path  route.Path
	Query string

	// Methods are what the API serves here, for method_not_allowed.
	Methods []string
	// WouldBe is what the decision would have been without observe_only; its reason is OK otherwise.
	WouldBe decision.Decision
	// Reconnect says that the connection must end.
	Reconnect bool
}

// Refused is the outcome for a request that is refused before anybody asks whether it may pass. reconnect says that its
// connection must end.
func Refused(d decision.Decision, reconnect bool) Outcome {
	return Outcome{Judgement: Judgement{Decision: d}, WouldBe: passes, Reconnect: reconnect}
}

// passes is the decision that lets a request through.
var passes = decision.Decision{Reason: decision.OK}

// Decide walks one request from its authority to a decision. It changes nothing but the memo of the evidence and room that
// the request has for it, so that a request is judged by one goroutine at a time, and
// allocates nothing once that is warm. A nil trace keeps no checks.
func (r *Rules) Decide(v *Request, t *decision.Trace) Outcome {
	o := Outcome{WouldBe: passes}
	o.Judgement = r.walk(v, &o, t)
	if !o.Allowed() && o.Fell {
		o.Reconnect = true
	}
	return o
}

func (r *Rules) walk(v *Request, o *Outcome, t *decision.Trace) Judgement {
	if !validMethod(v.Method) {
		t.Add("method", decision.Fail, "it is no method, or CONNECT, which asks for a tunnel")
		return refuse(decision.RequestMalformed, "the method is no method, or CONNECT, which asks for a tunnel")
	}
	host, err := route.Host(v.Authority)
	if err != nil {
		t.Add("host", decision.Fail, err.Error())
		return refuse(decision.RequestMalformed, "host: "+err.Error())
	}
	o.Host = host
	p := v.Listener.ProfileFor(host)
	if d := v.misdirected(p, host); !d.Allowed() {
		// The profile of the connection itself wants another handshake by now: a new one will be right.
		o.Reconnect = !v.OverTLS || v.Listener.ProfileFor(v.ServerName) == p
		t.Add("server name", decision.Fail, d.Detail)
		return Judgement{Decision: d}
	}
	if p.insists() && !v.Evidence.presented() {
		t.Add("handshake", decision.Fail, insistsText)
		return Judgement{Decision: v.reask(p, decision.Decision{Reason: decision.CertificateMissing, Detail: insistsText})}
	}
	if refused := r.route(v, o, t); !refused.Allowed() {
		if p.insists() { // which APIs there are is for those whom the profile lets in
			if out := p.admits(v.Evidence, v.Now, t); !out.Allowed() {
				o.API, o.Binding, o.Methods = nil, nil, nil
				return out
			}
		}
		return refused
	}
	if j := p.gate(o.Binding, v.Evidence, v.Now, t); !j.Allowed() {
		return j
	}
	j := o.Binding.judge(p, v, o, t)
	if !j.Allowed() {
		j.Decision = v.reask(p, j.Decision)
		if j = o.observed(j, t); !j.Allowed() {
			return j
		}
	}
	return o.API.run(v, o, p, j, t)
}

// observed turns a refusal that is about the caller's certificate into an anonymous caller where it is only observed.
func (o *Outcome) observed(j Judgement, t *decision.Trace) Judgement {
	if !o.Binding.observeOnly {
		return j
	}
	if o.WouldBe.Allowed() {
		o.WouldBe = j.Decision
	}
	t.Add("observe_only", decision.Pass, "the request goes on as anonymous; it would be refused: "+j.Reason.String())
	return ignoring(j.Decision)
}

// Overlooked says why the caller of a request that passes is anonymous although a certificate was presented: what it would be
// refused for if one were demanded, which is TrustUnavailable where no trust is in effect that could tell. v is the request that was
// decided. The reason is OK where nobody is overlooked: the caller is known, nothing was presented, or the request does not pass.
func (o *Outcome) Overlooked(v *Request) decision.Decision {
	if !o.Allowed() || o.Caller.Known() || !v.Evidence.presented() {
		return passes
	}
	return o.ignored
}

const insistsText = "the TLS profile requires a client certificate and none was presented"

// misdirected refuses a request whose host is served otherwise than the server name of its connection. What counts is the
// profile that the name has now: one that has changed since the handshake holds its demands against every request.
func (v *Request) misdirected(p *Profile, host string) decision.Decision {
	refused := func(detail string) decision.Decision {
		return decision.Decision{Reason: decision.MisdirectedRequest, Detail: detail}
	}
	switch {
	case !v.Listener.TLS:
		return passes
	case !v.OverTLS:
		return refused("the listener speaks TLS now, and the connection is older than that")
	case v.ServerName != "" && v.Listener.ProfileFor(v.ServerName) != p:
		return refused("server name " + v.ServerName + " and host " + host + " have different TLS profiles")
	case v.TLSVersion < p.MinVersion:
		return refused("the TLS profile of the host wants a later version of TLS than the connection has")
	}
	return passes
}

// validMethod reports whether a text is a method that can be sent on (RFC 9110, section 9.1). net/http checks it for
// HTTP/1.1 alone.
func validMethod(method string) bool {
	const most = 64
	if method == "" || len(method) > most || method == "CONNECT" {
		return false
	}
	for i := range len(method) {
		switch c := method[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// reask turns a missing certificate into 421 where the connection was never asked for one but a new one would be: the
// rule is younger than the connection, or it named no server and got the default profile. A client without a server name
// would only get the same answer again, so it is told the truth.
func (v *Request) reask(p *Profile, d decision.Decision) decision.Decision {
	if d.Reason != decision.CertificateMissing || !p.Asks() || v.ServerName == "" {
		return d
	}
	if v.Evidence != nil && !v.Evidence.asked {
		return decision.Decision{Reason: decision.MisdirectedRequest, Detail: "the connection was never asked for a client certificate; a new one will be"}
	}
	return d
}

// route finds the API and its binding: host and path decide first, then listener, then method, so that a request that
// does not fit the most specific API never falls through to a laxer one.
func (r *Rules) route(v *Request, o *Outcome, t *decision.Trace) Judgement {
	raw, query, ok := splitTarget(v.Target, v.Absolute)
	if !ok {
		t.Add("path", decision.Fail, "the request target has no path")
		return refuse(decision.RequestMalformed, "the request target is neither a path nor a URL, or it holds octets that have to be percent-encoded (RFC 3986, section 2)")
	}
	path, err := route.ParsePath(raw)
	if err != nil {
		t.Add("path", decision.Fail, err.Error())
		return refuse(decision.RequestMalformed, "path: "+err.Error())
	}
	o.Path, o.Query = path, query

	candidates := r.routes.Lookup(o.Host, path)
	var found *API
	here := false
	for _, a := range candidates {
		if a.bindings[v.Listener.Index] == nil {
			continue
		}
		here = true
		if a.serves(v.Method) {
			found = a
			break
		}
	}
	switch {
	case !here && path.Special() != 0:
		return refuseSpecial(path, t)
	case !here:
		t.Add("route", decision.Fail, "no API on this listener owns host and path")
		return refuse(decision.NoRoute, "")
	case found == nil:
		o.Methods = methodsHere(candidates, v.Listener.Index)
		o.API = onlyHere(candidates, v.Listener.Index)
		t.Add("route", decision.Fail, "the API does not serve the method")
		return refuse(decision.MethodNotAllowed, "the API serves "+strings.Join(o.Methods, ", "))
	}
	o.API, o.Binding = found, found.bindings[v.Listener.Index]
	if t.Enabled() {
		t.Addf("route", decision.Pass, "API %q owns %q", found.Label(), path.String())
	}
	if path.Special()&^found.special != 0 {
		return refuseSpecial(path, t)
	}
	if path.Special() != 0 && !r.sameHowever(o.Host, path, found) {
		t.Add("path", decision.Fail, "a backend could read it as a path of another API")
		return refuse(decision.RequestMalformed, "path: another API owns what a backend could read it as")
	}
	if found.broken.Reason != decision.OK {
		t.Add("configuration", decision.Fail, found.broken.Detail)
		return Judgement{Decision: found.broken}
	}
	if found.tlsOnly != "" && !v.OverTLS {
		t.Add("transports", decision.Fail, found.tlsOnly)
		return refuse(decision.TLSRequired, found.tlsOnly)
	}
	return anonymous
}

// sameHowever reports whether an API owns a path however a backend reads the characters that it opted into: an encoded
// slash, a backslash or a semicolon may separate segments, and what follows a semicolon may not count at all.
func (r *Rules) sameHowever(host string, path route.Path, a *API) bool {
	text := path.String()
	decoded := slashes.Replace(text) // some decode first and strip parameters then, some the other way round
	for _, reading := range []string{separators.Replace(text), stripParameters(text), stripParameters(decoded), slashes.Replace(stripParameters(text))} {
		p, err := route.ParsePath(reading)
		if err != nil || !slices.Contains(r.routes.Lookup(host, p), a) {
			return false
		}
	}
	return true
}

// stripParameters cuts every segment at its first semicolon.
func stripParameters(path string) string {
	var out strings.Builder
	for i, segment := range strings.Split(strings.ReplaceAll(path, "%3B", ";"), "/") {
		if i > 0 {
			out.WriteByte('/')
		}
		segment, _, _ = strings.Cut(segment, ";")
		out.WriteString(segment)
	}
	return out.String()
}

// What backends may take for the end of a segment.
var (
	slashes    = strings.NewReplacer("%2F", "/", "%5C", "/", `\`, "/")
	separators = strings.NewReplacer("%2F", "/", "%5C", "/", `\`, "/", "%3B", "/", ";", "/")
)

func refuseSpecial(path route.Path, t *decision.Trace) Judgement {
	detail := "path: " + describe(path.Special()) + " is refused unless allow_in_path of the API names it"
	t.Add("path", decision.Fail, detail)
	return refuse(decision.RequestMalformed, detail)
}

func describe(special route.Characters) string {
	var names []string
	for _, c := range []struct {
		bit  route.Characters
		name string
	}{{route.EncodedSlash, "%2f"}, {route.Backslash, "a backslash (%5c)"}, {route.Semicolon, "a semicolon (%3b)"}} {
		if special&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// onlyHere returns the one candidate that the listener has, nil when there are several: then nobody owns the refusal.
func onlyHere(candidates []*API, listener int) *API {
	var only *API
	for _, a := range candidates {
		if a.bindings[listener] == nil {
			continue
		}
		if only != nil {
			return nil
		}
		only = a
	}
	return only
}

func methodsHere(candidates []*API, listener int) []string {
	var methods []string
	for _, a := range candidates {
		if a.bindings[listener] != nil {
			methods = append(methods, a.methods...)
		}
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

// splitTarget takes the path and the query, with its question mark, out of a request target in origin-form or, where it
// may be, absolute-form (RFC 9112, section 3.2). The authority of an absolute-form target has been taken for the host
// already; one with a user in it is refused. A query goes on as it is, so one that could be read as the end of a request
// line is no query.
func splitTarget(target string, absolute bool) (path, query string, ok bool) {
	if !strings.HasPrefix(target, "/") {
		scheme, rest, found := strings.Cut(target, "://")
		if !found || !absolute || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return "", "", false
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if strings.IndexByte(rest[:end], '@') >= 0 { // RFC 9110, section 4.2.4: most likely somebody is being misled
			return "", "", false
		}
		target = rest[end:]
	}
	path = target
	if i := strings.IndexByte(target, '?'); i >= 0 {
		path, query = target[:i], target[i:]
	}
	if path == "" {
		path = "/"
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "", "", false
		}
	}
	return path, query, true
}
