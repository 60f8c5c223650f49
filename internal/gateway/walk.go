package gateway

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/route"
)

// view is what judging sees of a request: nothing of any HTTP library, so that live traffic, explain and tests call the
// same function.
type view struct {
	method    string
	target    string // the request target as it was sent
	absolute  bool   // the target may be in absolute-form, as only HTTP/1.1 has it
	authority string // Host, :authority, or the authority of an absolute-form target (RFC 9112, section 3.2.2)

	listener   *listener
	overTLS    bool
	tlsVersion uint16 // of the handshake
	serverName string // what the client named in the handshake, canonical; "" for nothing
	profileKey string // the TLS profile that the handshake used
	evidence   *evidence
	now        time.Time
}

// outcome is the decision about one request and everything that later steps need.
type outcome struct {
	judgement
	api     *api
	binding *binding
	host    string
	path    route.Path
	query   string // with its question mark; "" for none

	allowed   []string          // for method_not_allowed: what the API serves here
	wouldBe   decision.Decision // observe_only: what the decision would have been; Reason OK otherwise
	reconnect bool              // the connection must end
}

// passes is the decision that lets a request through.
var passes = decision.Decision{Reason: decision.OK}

// decide walks one request from its authority to a decision. It changes nothing but the memo of the evidence and
// allocates nothing once that is warm.
func (s *Snapshot) decide(v *view, t *decision.Trace) outcome {
	o := outcome{wouldBe: passes}
	o.judgement = s.walk(v, &o, t)
	if !o.Allowed() && o.fell {
		o.reconnect = true
	}
	return o
}

func (s *Snapshot) walk(v *view, o *outcome, t *decision.Trace) judgement {
	if !validMethod(v.method) {
		t.Add("method", decision.Fail, "it is no method, or CONNECT, which asks for a tunnel")
		return refuse(decision.RequestMalformed, "the method is no method, or CONNECT, which asks for a tunnel")
	}
	host, err := route.Host(v.authority)
	if err != nil {
		t.Add("host", decision.Fail, err.Error())
		return refuse(decision.RequestMalformed, "host: "+err.Error())
	}
	o.host = host
	p := v.listener.profileFor(host)
	if d := v.misdirected(p, host); !d.Allowed() {
		o.reconnect = !v.overTLS
		t.Add("server name", decision.Fail, d.Detail)
		return judgement{Decision: d}
	}
	if p.insists() && !v.evidence.presented() {
		t.Add("handshake", decision.Fail, insistsText)
		return judgement{Decision: v.reask(p, decision.Decision{Reason: decision.CertificateMissing, Detail: insistsText})}
	}
	if refused := s.route(v, o, t); !refused.Allowed() {
		if p.insists() { // which APIs there are is for those whom the profile lets in
			if out := p.admits(v.evidence, v.now, t); !out.Allowed() {
				o.api, o.binding, o.allowed = nil, nil, nil
				return out
			}
		}
		return refused
	}
	if j := p.gate(o.binding, v.evidence, v.now, t); !j.Allowed() {
		return j
	}
	j := o.binding.judge(p, v.evidence, v.now, t)
	if j.Allowed() {
		return j
	}
	j.Decision = v.reask(p, j.Decision)
	if o.binding.observeOnly {
		o.wouldBe = j.Decision
		t.Add("observe_only", decision.Pass, "the request goes on as anonymous; it would be refused: "+j.Reason.String())
		return anonymous
	}
	return j
}

const insistsText = "the TLS profile requires a client certificate and none was presented"

// misdirected refuses a request whose host is served otherwise than its connection was opened.
func (v *view) misdirected(p *profile, host string) decision.Decision {
	refused := func(detail string) decision.Decision {
		return decision.Decision{Reason: decision.MisdirectedRequest, Detail: detail}
	}
	switch {
	case !v.listener.tls:
		return passes
	case !v.overTLS:
		return refused("the listener speaks TLS now, and the connection is older than that")
	case v.serverName != "" && p.key != v.profileKey:
		return refused("server name " + v.serverName + " and host " + host + " have different TLS profiles")
	case v.tlsVersion < p.config.MinVersion:
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
func (v *view) reask(p *profile, d decision.Decision) decision.Decision {
	if d.Reason != decision.CertificateMissing || !p.asks() || v.serverName == "" {
		return d
	}
	if v.evidence != nil && !v.evidence.asked {
		return decision.Decision{Reason: decision.MisdirectedRequest, Detail: "the connection was never asked for a client certificate; a new one will be"}
	}
	return d
}

// route finds the API and its binding: host and path decide first, then listener, then method, so that a request that
// does not fit the most specific API never falls through to a laxer one.
func (s *Snapshot) route(v *view, o *outcome, t *decision.Trace) judgement {
	raw, query, ok := splitTarget(v.target, v.absolute)
	if !ok {
		t.Add("path", decision.Fail, "the request target has no path")
		return refuse(decision.RequestMalformed, "the request target is neither a path nor a URL, or its query holds a blank, a control character or #")
	}
	path, err := route.ParsePath(raw)
	if err != nil {
		t.Add("path", decision.Fail, err.Error())
		return refuse(decision.RequestMalformed, "path: "+err.Error())
	}
	o.path, o.query = path, query

	candidates := s.routes.Lookup(o.host, path)
	var found *api
	here := false
	for _, a := range candidates {
		if a.bindings[v.listener.index] == nil {
			continue
		}
		here = true
		if a.serves(v.method) {
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
		o.allowed = methodsHere(candidates, v.listener.index)
		o.api = onlyHere(candidates, v.listener.index)
		t.Add("route", decision.Fail, "the API does not serve the method")
		return refuse(decision.MethodNotAllowed, "the API serves "+strings.Join(o.allowed, ", "))
	}
	o.api, o.binding = found, found.bindings[v.listener.index]
	if t.Enabled() {
		t.Addf("route", decision.Pass, "API %q owns %q", found.label(), path.String())
	}
	if path.Special()&^found.special != 0 {
		return refuseSpecial(path, t)
	}
	if path.Special() != 0 && !s.sameHowever(o.host, path, found) {
		t.Add("path", decision.Fail, "a backend could read it as a path of another API")
		return refuse(decision.RequestMalformed, "path: another API owns what a backend could read it as")
	}
	if found.broken.Reason != decision.OK {
		t.Add("configuration", decision.Fail, found.broken.Detail)
		return judgement{Decision: found.broken}
	}
	return anonymous
}

// sameHowever reports whether an API owns a path however a backend reads the characters that it opted into: an encoded
// slash, a backslash or a semicolon may separate segments, and what follows a semicolon may not count at all.
func (s *Snapshot) sameHowever(host string, path route.Path, a *api) bool {
	text := path.String()
	decoded := slashes.Replace(text) // some decode first and strip parameters then, some the other way round
	for _, reading := range []string{separators.Replace(text), stripParameters(text), stripParameters(decoded), slashes.Replace(stripParameters(text))} {
		p, err := route.ParsePath(reading)
		if err != nil || !slices.Contains(s.routes.Lookup(host, p), a) {
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

func refuseSpecial(path route.Path, t *decision.Trace) judgement {
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
func onlyHere(candidates []*api, listener int) *api {
	var only *api
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

func methodsHere(candidates []*api, listener int) []string {
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
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c == 0x7f || c == '#' {
			return "", "", false
		}
	}
	return path, query, true
}
