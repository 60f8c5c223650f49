package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// propagate marks the APIs that cannot be served because something that they need is broken. Only a document that is
// served in part comes to use that.
func (l *loader) propagate() {
	if !slices.ContainsFunc(l.errs, func(e Error) bool { return e.Kind == Broken }) {
		return
	}
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		a.Broken = l.brokenUpstream(a)
		for k := range l.doc.Listeners {
			v := &l.doc.Listeners[k]
			if a.Broken == nil && (a.Listeners == nil || slices.Contains(a.Listeners, v.Name)) {
				a.Broken = l.brokenTrust(a, v)
			}
		}
	}
}

// brokenStore says why one of several trust stores cannot be used.
func (l *loader) brokenStore(list []string) error {
	for _, name := range list {
		if l.index.stores.byName[name] == nil {
			return fmt.Errorf("there is no trust store %q", name)
		}
		if err := l.lost.stores[name]; err != nil {
			return fmt.Errorf("trust store %q: %w", name, err)
		}
	}
	return nil
}

// brokenTrust says why an API's callers on a listener cannot be judged. An API that asks nothing of them needs no trust.
func (l *loader) brokenTrust(a *API, v *Listener) error {
	r := l.doc.Rules(v, a)
	if r.Mode == ModeNone && r.Allow == nil && r.Deny == nil && a.Policy == nil && a.Authentication == nil {
		return nil
	}
	if r.Trust != nil {
		return l.brokenStore(r.Trust)
	}
	if v.TLS == nil {
		return nil
	}
	if err := l.brokenStore(v.TLS.Trust); err != nil {
		return err
	}
	for i := range v.TLS.Profiles {
		if err := l.brokenStore(v.TLS.Profiles[i].Trust); err != nil {
			return err
		}
	}
	return nil
}

// brokenCredential says why a credential cannot be presented.
func (l *loader) brokenCredential(name string) error {
	if l.index.credentials.byName[name] == nil {
		return fmt.Errorf("there is no credential %q", name)
	}
	if err := l.lost.credentials[name]; err != nil {
		return fmt.Errorf("credential %q: %w", name, err)
	}
	return nil
}

// brokenUpstream says why an API's requests cannot go where they should. A broken credential of a map counts for every
// API that the map could apply to: presenting none instead would be worse than refusing.
func (l *loader) brokenUpstream(a *API) error {
	if a.Upstream == "" {
		return nil
	}
	u := l.index.upstreams.byName[a.Upstream]
	if u == nil {
		return fmt.Errorf("there is no upstream %q", a.Upstream)
	}
	if !slices.ContainsFunc(u.Targets, func(t string) bool { return strings.HasPrefix(strings.ToLower(t), "https:") }) {
		return nil
	}
	if u.TLS != nil {
		if err := l.brokenStore(u.TLS.Trust); err != nil {
			return fmt.Errorf("upstream %q: %w", u.Name, err)
		}
	}
	if u.Credential != "" {
		if err := l.brokenCredential(u.Credential); err != nil {
			return fmt.Errorf("upstream %q: %w", u.Name, err)
		}
	}
	for _, m := range []map[string]string{a.UpstreamCredentials, l.doc.UpstreamCredentials} {
		for _, pattern := range slices.Sorted(maps.Keys(m)) {
			if err := l.brokenCredential(m[pattern]); err != nil {
				return fmt.Errorf("upstream_credentials %q: %w", pattern, err)
			}
		}
	}
	return nil
}
