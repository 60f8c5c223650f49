package config

import (
	"errors"
	"net/textproto"
	"slices"
	"strings"

	"sallyport/internal/identity"
)

// level is one of the three that client_certificate can stand on.
type level uint8

const (
	gatewayLevel level = iota
	listenerLevel
	apiLevel
)

// checkClientCertificate checks what one level says, apart from how it combines with the others.
func (l *loader) checkClientCertificate(at level, c *ClientCertificate) {
	if c == nil {
		return
	}
	if at != listenerLevel {
		for _, k := range []choice{{"source", &c.Source}, {"header", &c.Header}, {"trusted_proxies", &c.TrustedProxies}, {"proxy_certificate", &c.ProxyCertificate}} {
			if l.doc.source.given(k.field) {
				l.shape(k.field, "%s belongs to the listener: say it in the client_certificate there", k.key)
			}
		}
	}
	if at == gatewayLevel {
		l.nothingAbove(c)
	}
	l.checkStores(c.Trust, Broken, PurposeClientAuth)
	l.checkMatchers(c.Allow, false)
	l.checkMatchers(c.Deny, true)
	inherits := 0
	for i := range c.Allow {
		if c.Allow[i].Inherit && !l.damaged[&c.Allow[i]] {
			if inherits++; inherits == 2 {
				l.shape(&c.Allow[i], "inherit stands in this list twice")
			}
		}
	}
	for i := range c.Deny {
		if c.Deny[i].Inherit && !l.damaged[&c.Deny[i]] {
			l.shape(&c.Deny[i], "deny always adds to the lists of the levels above: remove inherit")
		}
	}
	l.checkForward(c.Forward)
	if e := c.Errors; e != nil {
		for _, a := range []*ErrorAnswer{e.Missing, e.Refused} {
			if a != nil && l.doc.source.given(&a.Status) && !l.damaged[&a.Status] && (a.Status < 400 || a.Status > 599) {
				l.shape(&a.Status, "the status of a refusal must be from 400 to 599, not %d", a.Status)
			}
		}
	}
}

// nothingAbove refuses the word inherit at the top.
func (l *loader) nothingAbove(c *ClientCertificate) {
	const message = "there is no level above to inherit from"
	if c.Mode == ModeInherit {
		l.shape(&c.Mode, message)
	}
	for i := range c.Trust {
		if c.Trust[i] == inheritWord {
			l.shape(&c.Trust[i], message)
		}
	}
	for i := range c.Allow {
		if c.Allow[i].Inherit && !l.damaged[&c.Allow[i]] {
			l.shape(&c.Allow[i], message)
		}
	}
}

// checkStores checks references to trust stores; use is what the stores are wanted for.
func (l *loader) checkStores(list []string, kind Kind, use Purpose) {
	l.noRepeats(list)
	for i := range list {
		at := &list[i]
		if *at == inheritWord {
			if kind == Shape { // lists of one level alone
				l.shape(at, "there is nothing to inherit here: name the trust stores")
			}
			continue
		}
		store := l.index.stores.find(l, kind, "trust store", at)
		if store == nil || store.Purpose == "" || store.Purpose == PurposeAny || store.Purpose == use ||
			store.Purpose == PurposeClientAuthOrMissing && use == PurposeClientAuth {
			continue
		}
		judged := "clients"
		if use == PurposeServerAuth {
			judged = "servers"
		}
		l.shape(at, "the trust store %s has purpose %s (%s): it cannot judge %s", quote(*at), store.Purpose, l.doc.Position(&store.Purpose), judged)
	}
}

// checkMatchers checks the entries of allow, deny or identities and parses their patterns.
func (l *loader) checkMatchers(list []Matcher, deny bool) {
	for i := range list {
		if m := &list[i]; !m.Inherit {
			l.checkMatcher(m, deny)
		}
	}
}

func (l *loader) checkMatcher(m *Matcher, deny bool) {
	given := l.doc.source.given
	if !l.damaged[m] && !slices.ContainsFunc(m.fields(), given) {
		message := "a matcher without a field would match every certificate"
		if given(&m.Match) {
			message = "match alone says nothing: it needs a subject or an issuer"
		}
		l.shape(m, "%s", message)
		return
	}
	if given(&m.Match) && !given(&m.Subject) && !given(&m.Issuer) && !l.damaged[m] {
		l.shape(&m.Match, "match says how subject and issuer are compared, and neither is given")
	}
	if m.Alias != "" {
		l.aliased = append(l.aliased, aliased{m, deny})
	}
	l.checkCertificateRef(m.Certificate)
	if m.Certificate != nil && !l.damaged[&m.Certificate] || m.SHA256File != "" {
		l.filed = append(l.filed, aliased{m, deny})
	}
	if given(&m.SHA1) && m.SHA1 != nil {
		l.note(&m.SHA1, "SHA-1 can be forged with effort: prefer sha256")
	}
	p := &m.Parsed
	syntax := map[DNMatch]identity.Syntax{"": identity.RDN, MatchRDN: identity.RDN, MatchExact: identity.Exact, MatchAnt: identity.Ant}[m.Match]
	p.Subject = l.dnPattern("subject", &m.Subject, syntax, deny)
	p.Issuer = l.dnPattern("issuer", &m.Issuer, syntax, deny)
	if m.CommonName != "" {
		p.CommonName = parsed(l, "common_name", &m.CommonName, identity.ParseGlob)
	}
	if m.OrganizationIdentifier != "" {
		p.OrganizationIdentifier = parsed(l, "organization_identifier", &m.OrganizationIdentifier, identity.ParseGlob)
	}
	if m.Serial != "" {
		p.Serial = parsed(l, "serial", &m.Serial, func(text string) (*identity.Serial, error) {
			serial, err := identity.ParseSerial(text)
			return &serial, err
		})
	}
	for _, s := range []struct {
		label string
		text  *string
		to    **identity.SANPattern
		kind  identity.SANKind
	}{
		{"san_dns", &m.SANDNS, &p.SANDNS, identity.SANDNS},
		{"san_uri", &m.SANURI, &p.SANURI, identity.SANURI},
		{"san_email", &m.SANEmail, &p.SANEmail, identity.SANEmail},
		{"san_ip", &m.SANIP, &p.SANIP, identity.SANIP},
	} {
		if *s.text != "" {
			*s.to = parsed(l, s.label, s.text, func(text string) (*identity.SANPattern, error) { return identity.ParseSANPattern(s.kind, text) })
		}
	}
	p.Expression = l.compile(&m.Expression)
	if deny {
		l.noteThumbprint(&m.Expression, p.Expression)
	}
	if m.PolicyOID != "" {
		if oid := parsed(l, "policy_oid", &m.PolicyOID, policyOID); oid != nil {
			p.PolicyOID = *oid
		}
	}
}

// fields are pointers to everything that a matcher can compare.
func (m *Matcher) fields() []any {
	return []any{
		&m.SHA256, &m.SHA256File, &m.SHA1, &m.SPKISHA256, &m.Alias, &m.Certificate, &m.Subject, &m.Issuer, &m.CommonName,
		&m.OrganizationIdentifier, &m.Serial,
		&m.IssuerSHA256, &m.SANDNS, &m.SANURI, &m.SANEmail, &m.SANIP, &m.PolicyOID, &m.Expression,
	}
}

func (l *loader) dnPattern(label string, at *string, syntax identity.Syntax, deny bool) *identity.Pattern {
	if *at == "" {
		return nil
	}
	p := parsed(l, label, at, func(text string) (*identity.Pattern, error) { return identity.ParsePattern(text, syntax) })
	if p != nil && !deny && p.CrossesAttributes() {
		l.note(at, "the wildcard in %s can reach over a comma: the pattern also matches names with more attributes than it shows; match: rdn keeps inside one value", quote(*at))
	}
	if p != nil && deny && syntax == identity.RDN && !p.Open() {
		l.note(at, "this denies only names that have exactly these attributes; end it in \",*\" to deny every name that has them")
	}
	return p
}

// parsed parses the text of a field and reports what is wrong with it where it stands.
func parsed[T any](l *loader, label string, at *string, parse func(string) (*T, error)) *T {
	v, err := parse(*at)
	if err != nil {
		l.shape(at, "%s: %s", label, oneLine(err.Error()))
		return nil
	}
	return v
}

func policyOID(text string) (*identity.PolicyOID, error) {
	oid, err := identity.ParsePolicyOID(text)
	return &oid, err
}

func (l *loader) checkForward(list []Forward) {
	given := l.doc.source.given
	seen := map[string]Position{}
	for i := range list {
		f := &list[i]
		if !l.exactlyOne(f, "an entry of forward", choice{"format", &f.Format}, choice{"header", &f.Header}) {
			continue
		}
		name, at := f.Format, any(&f.Format)
		switch {
		case given(&f.Header):
			l.need(f, &f.Value, "header needs a value that says what it holds, such as subject")
			l.checkHeaderName(&f.Header)
			name, at = textproto.CanonicalMIMEHeaderKey(f.Header), &f.Header
		case given(&f.Value):
			l.shape(&f.Value, "value belongs to header; a format says itself what it holds")
		}
		if first, ok := seen[name]; ok && name != "" {
			l.shape(at, "%s is already forwarded, at %s", quote(name), first)
			continue
		}
		seen[name] = l.doc.Position(at)
	}
}

// checkHeaderName checks the name of a header that carries or names a caller.
func (l *loader) checkHeaderName(at *string) {
	if *at == "" { // missing, or could not be decoded
		return
	}
	if err := headerName(*at); err != nil {
		l.shape(at, "%s", err)
	}
}

// headerName checks that a text is a field name (RFC 9110 §5.1) that configuration may own: not one of those that frame
// a message or belong to one hop.
func headerName(name string) error {
	if !isToken(name) {
		return errors.New("a header's name is made of letters, digits and hyphens, not " + quote(name))
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection", "Expect":
		return errors.New("the header " + quote(name) + " belongs to the protocol itself")
	}
	return nil
}

// isToken reports whether a text is a token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(marks, r)
	}) < 0
}
