package gateway

import (
	"cmp"
	"fmt"
	"slices"

	"sallyport/internal/config"
)

// Unbuilt names everything in a document that this build reads but does not yet do, in the order of the text. A gateway
// that ran such a document would ignore what somebody relies on, so it must refuse to run.
func Unbuilt(doc *config.Document) []config.Error {
	u := &unbuilt{doc: doc}
	u.sections()
	if doc.ClientCertificate != nil {
		u.clientCertificate("client_certificate", doc.ClientCertificate)
	}
	for i := range doc.Listeners {
		u.listener(&doc.Listeners[i])
	}
	for i := range doc.TrustStores {
		ts := &doc.TrustStores[i]
		if ts.Revocation != nil && ts.Revocation.Mode != "off" {
			u.add(&ts.Revocation, "revocation of trust store %q", ts.Name)
		}
	}
	for i := range doc.APIs {
		u.api(&doc.APIs[i])
	}
	for i := range doc.Upstreams {
		u.upstream(&doc.Upstreams[i])
	}
	slices.SortStableFunc(u.found, func(a, b config.Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return u.found
}

type unbuilt struct {
	doc   *config.Document
	found []config.Error
}

func (u *unbuilt) add(field any, format string, args ...any) {
	u.found = append(u.found, config.Error{
		Position: u.doc.Position(field),
		Message:  "this build does not run yet: " + fmt.Sprintf(format, args...),
	})
}

func (u *unbuilt) when(given bool, field any, format string, args ...any) {
	if given {
		u.add(field, format, args...)
	}
}

func (u *unbuilt) sections() {
	d := u.doc
	u.when(len(d.UpstreamCredentials) > 0, &d.UpstreamCredentials, "upstream_credentials")
	u.when(len(d.IdentityProviders) > 0, &d.IdentityProviders, "identity_providers")
	u.when(len(d.Users) > 0, &d.Users, "users")
	u.when(len(d.Plans) > 0, &d.Plans, "plans")
	u.when(len(d.Keys) > 0, &d.Keys, "keys")
	u.when(len(d.Orgs) > 0, &d.Orgs, "orgs")
}

func (u *unbuilt) listener(l *config.Listener) {
	for i := range l.Protocols {
		u.when(l.Protocols[i] == config.H3, &l.Protocols[i], "protocol h3 of listener %q", l.Name)
	}
	u.when(l.ProxyProtocol != nil, &l.ProxyProtocol, "proxy_protocol of listener %q", l.Name)
	if l.ClientCertificate != nil {
		u.clientCertificate(fmt.Sprintf("listener %q", l.Name), l.ClientCertificate)
	}
}

func (u *unbuilt) api(a *config.API) {
	u.when(a.Authentication != nil, &a.Authentication, "authentication of API %q", a.Name)
	for i := range a.Policy {
		u.step(fmt.Sprintf("policy of API %q", a.Name), &a.Policy[i])
	}
	u.when(len(a.UpstreamCredentials) > 0, &a.UpstreamCredentials, "upstream_credentials of API %q", a.Name)
	if a.ClientCertificate != nil {
		u.clientCertificate(fmt.Sprintf("API %q", a.Name), a.ClientCertificate)
	}
}

// step names the steps of a policy that judging does not run. One without a key that it knows is none of them.
func (u *unbuilt) step(where string, s *config.Step) {
	u.when(s.Choose != nil, &s.Choose, "choose in the %s", where)
	u.when(s.Respond != nil, &s.Respond, "respond in the %s", where)
	u.when(s.SetHeader != nil, &s.SetHeader, "set_header in the %s", where)
	u.when(s.ValidateClientCertificate != nil, &s.ValidateClientCertificate, "validate_client_certificate in the %s", where)
	u.when(s.Authenticate != nil, &s.Authenticate, "authenticate in the %s", where)
}

func (u *unbuilt) clientCertificate(where string, c *config.ClientCertificate) {
	u.when(c.Source == config.SourceHeader, &c.Source, "source: header of %s", where)
	u.when(c.OnInvalid == config.OnInvalidPresent, &c.OnInvalid, "on_invalid: present of %s", where)
	u.when(c.Strip != nil && !*c.Strip, &c.Strip, "strip: false of %s", where)
	for i := range c.Forward {
		f := &c.Forward[i]
		u.when(f.Format != "rfc9440" || f.Header != "", f, "forward other than rfc9440 of %s", where)
	}
}

func (u *unbuilt) upstream(up *config.Upstream) {
	u.when(up.Credential != "", &up.Credential, "credential of upstream %q", up.Name)
}
