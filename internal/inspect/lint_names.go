package inspect

import (
	"fmt"
	"strings"
)

// nameLints are about subject, issuer and alternative names.
func nameLints() []lint {
	return append(characterLints(), []lint{
		{"name_malformed", Error, func(s *subject) string {
			for _, n := range []struct {
				what string
				name *Name
			}{{"subject", &s.report.Subject}, {"issuer", &s.report.Issuer}} {
				if n.name.Error != "" {
					return fmt.Sprintf("The gateway cannot read its %s (%s): it is refused with certificate_malformed.", n.what, n.name.Error)
				}
			}
			return ""
		}},
		{"san_malformed", Error, func(s *subject) string {
			// The names are read after subject, issuer and serial number, so those are not to blame.
			if s.facts.Malformed == "" || s.report.Subject.Error != "" || s.report.Issuer.Error != "" || strings.HasPrefix(s.report.Serial.Decimal, "-") {
				return ""
			}
			return fmt.Sprintf("The gateway cannot read its alternative names (%s): it is refused with certificate_malformed.", s.facts.Malformed)
		}},
		{"no_san", Info, func(s *subject) string {
			if s.facts.CA || len(s.report.SubjectAltNames) > 0 {
				return ""
			}
			return "It has no alternative names: a caller can be matched by subject only, and as a backend it is refused, since host names are looked for nowhere else."
		}},
		{"no_subject", Info, func(s *subject) string {
			if len(s.report.Subject.Attributes) > 0 || s.report.Subject.Error != "" {
				return ""
			}
			return "Its subject is empty: no subject and no common_name matches it."
		}},
		{"several_common_names", Warning, func(s *subject) string {
			if n := len(s.report.Subject.dn.CommonNames()); n > 1 {
				return fmt.Sprintf("It has %d common names: common_name never matches it, and a subject pattern has to name each.", n)
			}
			return ""
		}},
		{"wildcard_san", Info, func(s *subject) string {
			for _, name := range s.report.SubjectAltNames {
				if name.Kind != "ip" && strings.Contains(name.Value, "*") {
					return fmt.Sprintf("The alternative name %q has an asterisk: a pattern matches it only by the same text, never as a name that the asterisk stands for.", name.Value)
				}
			}
			return ""
		}},
		{"spiffe_id", Warning, func(s *subject) string {
			uris, spiffe := 0, 0
			for _, name := range s.report.SubjectAltNames {
				if name.Kind == "uri" {
					uris++
				}
				if name.SPIFFE {
					spiffe++
				}
			}
			if spiffe == 0 || uris == 1 {
				return ""
			}
			return fmt.Sprintf("It has a SPIFFE id and %d URIs, where SPIFFE allows one: the gateway matches any of them.", uris)
		}},
	}...)
}

// characterLints are about characters that people do not see or take for others.
func characterLints() []lint {
	odd := func(id string, severity Severity, kind, sentence string) lint {
		return lint{id, severity, func(s *subject) string {
			for _, n := range []struct {
				what string
				name *Name
			}{{"subject", &s.report.Subject}, {"issuer", &s.report.Issuer}} {
				if a := n.name.odd(kind); a != nil {
					return fmt.Sprintf("The %s's %s %s %s", n.what, a.Type, a.Visible, sentence)
				}
			}
			return ""
		}}
	}
	return []lint{
		odd("nul_in_name", Error, oddNUL, "holds a NUL, at which other software has cut names short: it is refused with certificate_malformed."),
		odd("control_in_name", Warning, oddControl, "holds control characters: line breaks and tabs are compared as blanks, any other is refused with certificate_malformed."),
		odd("bidi_in_name", Warning, oddBidi, "holds characters that turn text around: it may read as another name; they are left out when names are compared, or refused with certificate_malformed."),
		odd("invisible_in_name", Warning, oddInvisible, "holds characters that nobody sees: they are left out when names are compared, or refused with certificate_malformed."),
		odd("blanks_in_name", Info, oddBlanks, "has blanks at an end, several together, or unusual ones: names are compared without and with one ordinary blank."),
		odd("mixed_script_in_name", Warning, oddMixedScript, "mixes letters of several scripts in one word: it may look like another name; the gateway compares the letters, not their looks."),
		odd("lookalike_in_name", Info, oddLookalike, "has a word of letters that all look like Latin ones: the gateway compares the letters, not their looks."),
		odd("compatibility_in_name", Info, oddCompatible, "has characters that are compared as others, such as wide or combined letters (NFKC)."),
		{"old_string_type", Info, func(s *subject) string {
			for _, a := range append(append([]Attribute{}, s.report.Subject.Attributes...), s.report.Issuer.Attributes...) {
				switch a.String {
				case "T61String", "BMPString", "UniversalString":
					return fmt.Sprintf("%s is a %s: the gateway compares what it says, not its bytes; other programs may read it differently.", a.Type, a.String)
				}
			}
			return ""
		}},
	}
}
