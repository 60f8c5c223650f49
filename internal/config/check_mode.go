package config

const (
	noMode     = "nothing sets a mode"
	writeAMode = "write mode: required (or mode: none, if nobody needs a certificate here)"
)

// says reports whether a level sets a mode itself.
func (c *ClientCertificate) says() bool { return c != nil && c.Mode != "" && c.Mode != ModeInherit }

// modeNone is told of an API whose mode on a listener is none. It notes the lists that lose their teeth by that, from the
// level that says so downwards, and reports whether any level says so: who writes a list means to shut somebody out.
func (l *loader) modeNone(a *API, v *listenerView) bool {
	levels := []*ClientCertificate{l.doc.ClientCertificate, v.ClientCertificate, a.ClientCertificate}
	from := len(levels) - 1
	for from >= 0 && !levels[from].says() {
		from--
	}
	for i, c := range levels {
		if c == nil || i < from {
			continue
		}
		for _, k := range c.lists() {
			switch {
			case !l.doc.source.given(k.field):
			case from >= 0:
				l.noteOnce(k.field, "with mode none the list only decides who is named to the backend")
			case i < len(levels)-1: // checkOpen has the API's own
				l.noteOnce(k.field, "%s shuts nobody out of the API %s and others like it: %s; %s", k.key, quote(a.Name), noMode, writeAMode)
			}
		}
	}
	return from >= 0
}

// lists are the lists that decide who may call.
func (c *ClientCertificate) lists() []choice {
	return []choice{{"allow", &c.Allow}, {"deny", &c.Deny}}
}

// checkOpen refuses an API that says which certificates it wants, and is open to everybody on some listeners because
// nobody says that it wants any.
func (l *loader) checkOpen(a *API, open []*listenerView, everywhere bool) {
	if a.ClientCertificate == nil || len(open) == 0 {
		return
	}
	where, there := "", ""
	if !everywhere {
		where, there = " on the listener "+quote(open[0].Name), " there"
	}
	for _, k := range append(a.ClientCertificate.lists(), choice{"trust", &a.ClientCertificate.Trust}) {
		if l.doc.source.given(k.field) {
			l.shape(k.field, "%s shuts nobody out%s: %s%s; %s", k.key, where, noMode, there, writeAMode)
			return
		}
	}
}
