package config

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// describe lets the OpenAPI descriptions that APIs name speak where the document says nothing. It runs before anything is
// checked, so that what they say is checked as what the document says.
func (l *loader) describe() {
	read := map[string]*definition{}
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		switch {
		case a.OpenAPI != "":
		case l.doc.source.given(&a.OpenAPI): // could not be decoded, and what the API lacks may be in it
			l.damaged[a] = true
			continue
		default:
			continue
		}
		if d := l.definition(a, read); d != nil && !d.bad {
			l.apply(a, d)
			continue
		}
		l.damaged[a], l.unsound[a], l.unsound["apis"] = true, true, true
	}
}

// definition returns what the file of an API says, which is read once for all who name it; nil when it cannot be read. That is
// never tolerated: an API of which only a part is known could own less, or ask for less, than was written.
func (l *loader) definition(a *API, read map[string]*definition) *definition {
	if scheme, _, ok := strings.Cut(a.OpenAPI, "://"); ok && !strings.ContainsAny(scheme, "/.") {
		l.shape(&a.OpenAPI, "openapi is a path: nothing is fetched from %s", quote(a.OpenAPI))
		return nil
	}
	a.OpenAPI = l.join(&a.OpenAPI, a.OpenAPI)
	if d, ok := read[a.OpenAPI]; ok && d != nil {
		return d
	}
	l.doc.source.read(a.OpenAPI)
	data, err := readRegular(a.OpenAPI, maxDefinitionSize)
	if err != nil {
		l.shape(&a.OpenAPI, "the file %s: %s", quotePath(a.OpenAPI), cause(err))
		return nil
	}
	d := l.readDefinition(l.doc.source.file(filepath.Clean(a.OpenAPI)), data)
	read[a.OpenAPI] = d
	if n := d.security; n != nil && !d.bad {
		l.doc.source.notes = append(l.doc.source.notes, Note{
			Position{d.file.path, n.Line, n.Column},
			n.Value + " is not enforced: of a definition name, version, path, " + wso2MutualSSL + " and " + wso2Transports + " count here, and what else is asked of callers stands in the document",
		})
	}
	return d
}

// apply fills in what the document leaves out.
func (l *loader) apply(a *API, d *definition) {
	l.fillText(&a.Name, d, d.title)
	if !l.doc.source.given(&a.Name) && !l.damaged[a] {
		l.shape(&a.OpenAPI, "neither the document nor info.title of %s names the API", quotePath(d.file.path))
		l.damaged[a] = true
	}
	l.fillText(&a.Version, d, d.version)
	if !l.doc.source.given(&a.Path) {
		switch {
		case d.noPath != "":
			l.add(Error{Position: l.within(d, d.path.at), Message: d.noPath + ": write path in the document"})
			l.damaged[a], l.unsound[a] = true, true
		case d.path.at == nil:
			l.note(&a.OpenAPI, "%s says no path: the API owns every path that no other API owns", quotePath(d.file.path))
		}
		l.fillText(&a.Path, d, d.path)
	}
	l.applyMode(a, d)
	l.applyTransports(a, d)
}

func (l *loader) within(d *definition, n *yaml.Node) Position {
	return Position{d.file.path, n.Line, n.Column}
}

// stands remembers that a field says what stands in a definition.
func (l *loader) stands(field any, d *definition, n *yaml.Node) {
	l.doc.source.places[field] = place{d.file.index, uint32(n.Line), uint32(n.Column)} //nolint:gosec // bounded by maxDefinitionSize
}

func (l *loader) fillText(field *string, d *definition, s said) {
	if s.text != "" && !l.doc.source.given(field) {
		*field = s.text
		l.stands(field, d, s.at)
	}
}

// applyMode lets x-wso2-mutual-ssl be the mode of an API that says none.
func (l *loader) applyMode(a *API, d *definition) {
	mode, given := d.mode(), l.doc.source.given
	if mode == "" {
		return
	}
	if a.ClientCertificate == nil {
		if given(&a.ClientCertificate) { // could not be decoded
			return
		}
		a.ClientCertificate = &ClientCertificate{}
		l.stands(&a.ClientCertificate, d, d.mutualSSL.at)
		l.stands(a.ClientCertificate, d, d.mutualSSL.at)
	}
	c := a.ClientCertificate
	switch {
	case !given(&c.Mode):
		if above := l.requires(a); mode == ModeOptional && above != "" {
			l.add(Error{
				Position: l.within(d, d.mutualSSL.at),
				Message:  wso2MutualSSL + ": optional asks for less than mode required of " + above + ": a definition never does; write the mode of the API in the document",
			})
			l.damaged[a], l.unsound[a] = true, true
			return
		}
		c.Mode = mode
		l.stands(&c.Mode, d, d.mutualSSL.at)
	case c.Mode != "" && c.Mode != mode:
		l.note(&c.Mode, "mode %s holds here, and not %s: %s (%s): the document wins", c.Mode, wso2MutualSSL, d.mutualSSL.text, l.within(d, d.mutualSSL.at))
	}
}

// requires names the gateway or a listener that may carry an API and requires a certificate where the API says no mode; "" for none.
func (l *loader) requires(a *API) string {
	gateway := l.doc.ClientCertificate
	demanded := gateway != nil && gateway.Mode == ModeRequired
	for i := range l.doc.Listeners {
		v := &l.doc.Listeners[i]
		if len(a.Listeners) > 0 && !slices.Contains(a.Listeners, v.Name) {
			continue
		}
		switch c := v.ClientCertificate; {
		case c != nil && c.Mode == ModeRequired:
			return "the listener " + quote(v.Name)
		case demanded && (c == nil || c.Mode == "" || c.Mode == ModeInherit):
			return "the gateway"
		}
	}
	return ""
}

// applyTransports lets x-wso2-transports say which listeners carry an API that names none. One that wants TLS stays where others
// are reached without, and refuses there; one that wants none is not there where TLS is spoken.
func (l *loader) applyTransports(a *API, d *definition) {
	if d.transports == nil || d.http == d.https || l.unsound["listeners"] || l.unread {
		return
	}
	carries := func(v *Listener) bool { return (v.TLS != nil) == d.https }
	if l.doc.source.given(&a.Listeners) {
		for i := range a.Listeners {
			k := slices.IndexFunc(l.doc.Listeners, func(v Listener) bool { return v.Name == a.Listeners[i] })
			if k >= 0 && !carries(&l.doc.Listeners[k]) {
				l.note(&a.Listeners[i], "the listener %s carries the API, although %s (%s) does not allow it: the document wins",
					quote(a.Listeners[i]), wso2Transports, l.within(d, d.transports))
			}
		}
		return
	}
	var on []string
	for i := range l.doc.Listeners {
		if v := &l.doc.Listeners[i]; carries(v) {
			on = append(on, v.Name)
		}
	}
	if len(on) == 0 {
		allowed, have := "http", "every listener speaks TLS"
		if d.https {
			allowed, have = "https", "no listener speaks TLS"
		}
		l.add(Error{Position: l.within(d, d.transports), Message: wso2Transports + " allows " + allowed + " alone, and " + have + ": nobody could call the API " + quote(a.Name)})
		return
	}
	if d.https {
		a.TLSOnly = true
		l.stands(&a.TLSOnly, d, d.transports)
		return
	}
	a.Listeners = on
	l.stands(&a.Listeners, d, d.transports)
	for i := range on {
		l.stands(&on[i], d, d.transports)
	}
}
