package config

import (
	"net/netip"
	"slices"
)

// inheritWord is the list entry that stands for the list of the level above.
const inheritWord = "inherit"

// Rules are what the gateway, a listener and an API together say about client certificates, with the defaults filled in.
// The values share memory with the document and must not be changed.
type Rules struct {
	// Mode is none, optional or required; never inherit.
	Mode Mode
	// OnInvalid, Enforce, ObserveOnly and Strip are set; see ClientCertificate for the defaults.
	OnInvalid   OnInvalid
	Enforce     Enforce
	ObserveOnly bool
	Strip       bool
	// Trust names the trust stores; nil means that no level names any and the one of the TLS profile applies.
	Trust []string
	// Allow is nil when no level has a list: every valid certificate may call.
	Allow []*Matcher
	// Deny adds up the lists of all levels.
	Deny []*Matcher
	// Forward is nil when no level says anything: RFC 9440.
	Forward []Forward
	// Errors is nil when no level says anything: RFC 9457.
	Errors *Errors

	// Source is tls or header. Header, TrustedProxies and ProxyCertificate belong to source header and are the
	// listener's.
	Source           Source
	Header           *CertificateHeader
	TrustedProxies   []netip.Prefix
	ProxyCertificate *ProxyCertificate
}

// Rules returns what holds for requests to an API that arrive on a listener: what the API says, else what the listener
// says, else what the gateway says, field by field. The lists trust and allow are replaced by the lower level unless they
// say inherit; deny always adds. A nil listener or API says nothing.
func (d *Document) Rules(l *Listener, a *API) Rules {
	var levels [3]*ClientCertificate
	levels[0] = d.ClientCertificate
	r := Rules{Mode: ModeNone, OnInvalid: OnInvalidRefuse, Enforce: EnforceRequest, Strip: true, Source: SourceTLS}
	if l != nil {
		levels[1] = l.ClientCertificate
		if c := l.ClientCertificate; c != nil {
			if c.Source != "" {
				r.Source = c.Source
			}
			r.Header, r.TrustedProxies, r.ProxyCertificate = c.Header, c.TrustedProxies, c.ProxyCertificate
		}
	}
	if a != nil {
		levels[2] = a.ClientCertificate
	}
	for _, c := range levels {
		if c != nil {
			r.override(c)
		}
	}
	return r
}

// override lets a lower level speak.
func (r *Rules) override(c *ClientCertificate) {
	if c.Mode != "" && c.Mode != ModeInherit {
		r.Mode = c.Mode
	}
	if c.OnInvalid != "" {
		r.OnInvalid = c.OnInvalid
	}
	if c.Enforce != "" {
		r.Enforce = c.Enforce
	}
	if c.ObserveOnly != nil {
		r.ObserveOnly = *c.ObserveOnly
	}
	if c.Strip != nil {
		r.Strip = *c.Strip
	}
	if c.Trust != nil {
		r.Trust = spliceTrust(r.Trust, c.Trust)
	}
	if c.Allow != nil {
		r.Allow = spliceAllow(r.Allow, c.Allow)
	}
	for i := range c.Deny {
		r.Deny = append(r.Deny, &c.Deny[i])
	}
	if c.Forward != nil {
		r.Forward = c.Forward
	}
	if c.Errors != nil {
		r.Errors = c.Errors
	}
}

// spliceTrust never returns nil for a list: trust that ends up without stores trusts nobody, which is not the same as
// nothing said.
func spliceTrust(above, list []string) []string {
	if !slices.Contains(list, inheritWord) {
		return list
	}
	out := make([]string, 0, len(above)+len(list))
	for _, name := range list {
		if name == inheritWord {
			out = append(out, above...)
		} else {
			out = append(out, name)
		}
	}
	return out
}

// spliceAllow never returns nil: an allow list that ends up without entries lets nobody call, which is not the same as no
// list at all.
func spliceAllow(above []*Matcher, list []Matcher) []*Matcher {
	out := make([]*Matcher, 0, len(above)+len(list))
	for i := range list {
		if list[i].Inherit {
			out = append(out, above...)
		} else {
			out = append(out, &list[i])
		}
	}
	return out
}
