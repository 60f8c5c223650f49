package schema_test

import (
	"regexp"
	"strings"
)

// rule says of one kind of message whether the schema refuses the place, too.
type rule struct {
	message *regexp.Regexp
	reason  string               // why the schema does not refuse it; "" where it has to
	unless  func(value any) bool // the values of which the schema cannot tell; nil for none
}

func must(message string) rule { return rule{message: regexp.MustCompile(message)} }

func (r rule) butNot(unless func(any) bool) rule {
	r.unless = unless
	return r
}

func beyond(reason string, messages ...string) (list []rule) {
	for _, m := range messages {
		list = append(list, rule{message: regexp.MustCompile(m), reason: reason})
	}
	return list
}

// The values that the schema has to let pass because it does not see what the program sees.
func template(v any) bool { s, ok := v.(string); return ok && strings.Contains(s, "{{") }
func isBool(v any) bool   { _, ok := v.(bool); return ok }
func isText(v any) bool   { _, ok := v.(string); return ok }

// tooLarge reports whether a text is a size that only arithmetic can tell is too large.
func tooLarge(v any) bool {
	s, ok := v.(string)
	return ok && len(s) > len("1048576GiB") && strings.HasSuffix(s, "iB") && strings.Trim(s[:len(s)-3], "0123456789") == ""
}

// isMoment reports whether a text has the form of a day or a moment, which only a calendar can tell is none.
func isMoment(v any) bool {
	s, ok := v.(string)
	return ok && regexp.MustCompile(`^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$`).MatchString(s)
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, int64, uint64, float64:
		return true
	}
	return false
}

func hasPolicy(v any) bool {
	m, _ := v.(map[string]any)
	_, ok := m["policy"]
	return ok
}

// rules are every kind of message that config.Load has; the first that fits decides. A message that none fits is a new
// kind: either the schema learns it, or its reason is written here.
func rules() []rule {
	list := beyond("YAML itself: what is no tree of keys and values never reaches a schema",
		`^the (document|text) `, `^aliases `, `^anchors \(`, `is a YAML tag here`, `that begins with ! must be quoted`, `^merge keys`, `^a key (must be a text|is missing)`,
		`stands here twice`, `^a tab cannot`, `^the character U\+`, `^the file is not UTF-8`, `^a second document`, `^braces without quotes`,
		`is already given at`, `nested more than`)
	list = append(list,
		must(`^unknown key`),
		must(`must be a mapping such as \{subject: …\} or the word inherit`).butNot(template),
		must(`must be (a mapping|a list|a text), not`).butNot(template),                               // an empty value that was filled in
		must(`must be true or false`).butNot(func(v any) bool { return isBool(v) || template(v) }),    // True is one for YAML
		must(`must be a whole number`).butNot(func(v any) bool { return isNumber(v) || template(v) }), // 0x10 is one for YAML
		must(`has no value: remove the key`),
		must(`is an empty (list|mapping)`),
		must(`is empty: remove the key or give it a value`).butNot(template),
		must(`must be .*a number of bytes such as`).butNot(func(v any) bool { return isNumber(v) || tooLarge(v) || template(v) }), // 1e9 is one for YAML
		must(`must be a time such as|needs a unit: write`).butNot(template),
		must(`must be more than 0, not`).butNot(template),
		must(`must be at least [01], not`).butNot(template),
		must(`must be from \S+ to \S+, not`).butNot(isText),                                                                // times, and sizes with a unit: a pattern cannot compare them
		must(`must be \S+( or \S+|, .* or \S+), not ".*"$`).butNot(func(v any) bool { return isNumber(v) || template(v) }), // words; 1.20 is 1.2 for YAML
		must(`is not a network such as|is an address: write the network`).butNot(template),
		must(`^an API needs an upstream, or a policy`).butNot(hasPolicy),
		must(`^(an?|the) [A-Za-z ]+ needs (a name|an address|a type|a provider|apis|requests|per|then|a status|anchors|targets|server_names)\b`),
		must(`^(tls needs credentials|proxy_protocol needs|header needs a (name|value)|api_key needs|authentication needs methods|authenticate needs|revocation needs)`),
		must(`^a (credential|certificate|secret|plan|key|named value|method|step|revocation list|key store) needs [a-z_]`),
		must(`^an (anchor|entry of forward) needs [a-z]`),
		must(`^min_key_size needs`),
		must(`is written 2027-03-14 and a time`).butNot(func(v any) bool { return template(v) || isMoment(v) }),
		must(`takes only one of`),
		must(`^a matcher without a field|^match alone says nothing|^match says how subject and issuer`),
		must(`^value belongs to header`),
		must(`belongs to the listener: say it`),
		must(`^deny always adds`),
		must(`^there is nothing to inherit here: (identities|proxy_certificate)`),
		must(`belongs to a key store`),
		must(`^(pkcs12|jks) holds both`),
	)
	list = append(list, beyond("named values: they are filled in before anything is checked",
		`^\{\{`, `named value`, `named\.`)...)
	list = append(list, beyond("an expression: its grammar and its types are the program's", `^(expression|when): `)...)
	list = append(list, beyond("a reference: the schema does not look beyond a mapping",
		`^there is no `, `^there are \d+ APIs with the name`, `^several orgs have`, `already defined`, `is already forwarded`, `stands in this list twice`,
		`is taken by the listener`, `already has a profile`, `belongs to the org`, `belongs to the APIs without`, `would answer the same requests`,
		`the same (header|hosts)`, `already stands in for a key`, `another key has the same`, `live in its directory`, `has purpose`,
		`there is nothing to inherit here: name`, `level above`, `is never reached`)...)
	list = append(list, beyond("one key's value against another's: the schema does not compare",
		`has no effect`, `must be at most \S+, which is`, `^source: header needs`, `means something with source: header only`, `proxy_certificate\.required`,
		`^the proxy's certificate is required`, `wants a certificate, but`, `no trust store`, `shuts nobody out`, `^authentication with several`,
		`^nobody can pass require_`, `^mode (hard|soft) needs a source`, `only the last branch`, `^h[23] needs tls`, `^h2c is HTTP/2`, `validate_revocation is true`)...)
	list = append(list, beyond("what a text says: its grammar is the program's",
		`needs its offset from UTC`, `^until: the year 1`,
		`blanks around it`, `cannot be a name`, `longer than 256`, `name of an API cannot hold`, `^the (address|port|host|name|version|target|path of the target) `,
		`canonical form`, `is every server name`, `is an IP address`, `has no scheme`, `has no wildcards`, `^path "`, `host pattern`, `is not a method`,
		`methods are case-sensitive`, `^a header's (name|value)`, `^the header ".*" belongs to the protocol`, `is not the name of a server`, `without a port`,
		`^openapi is a path`, `^(subject|issuer|common_name|serial|sha1|sha256|spki_sha256|issuer_sha256|organization_identifier|policy_oid|san_\w+|an entry of pin_spki_sha256): `, `is not a URL`,
		`^a (URL here|target) cannot`, `NUL character`)...)
	list = append(list, beyond("two mappings at once: the schema looks at one", `is already given beside the key store's file$`)...)
	return append(list, beyond("a file or variable: the schema opens none",
		`nor info\.title of`, `^no entry (of the trust stores' key stores )?has the alias`, `^the alias ".*" `, `key store`, `PKCS#12`, `password`,
		`^the file `, `certificates? here`, `^".*:\d+": `, `private key`, `no PEM block`, `^PEM block`, `^the environment variable`, `^the secret is empty`, `^the revocation list`,
		`not built yet`)...)
}
