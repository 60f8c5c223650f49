package identity

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// SANKind is a type of subject alternative name. Names of different types never match each other, even when they are
// the same text. The zero value is no type.
type SANKind uint8

// The types that patterns exist for.
const (
	SANDNS SANKind = iota + 1
	SANURI
	SANEmail
	SANIP
)

// String returns the field's name in the configuration.
func (k SANKind) String() string {
	switch k {
	case SANDNS:
		return "san_dns"
	case SANURI:
		return "san_uri"
	case SANEmail:
		return "san_email"
	case SANIP:
		return "san_ip"
	}
	return fmt.Sprintf("SANKind(%d)", uint8(k))
}

// alternativeNames are the subject alternative names of a certificate: as it says them, and as they are compared.
type alternativeNames struct {
	dns, uris, emails []string
	ips               []netip.Addr // IPv4-mapped addresses unmapped

	canonicalDNS, canonicalURIs, canonicalEmails []string

	keys []string // see Identity.SANKeys
}

// Context-specific tags of GeneralName, RFC 5280 §4.2.1.6.
const (
	tagRFC822Name = 1
	tagDNSName    = 2
	tagURI        = 6
	tagIPAddress  = 7
	tagLast       = 8
)

// parseAlternativeNames reads the value of a subjectAltName extension. It does not use what crypto/x509 made of it,
// because a url.URL does not keep every byte. Types without a pattern are passed over.
func parseAlternativeNames(der []byte) (alternativeNames, error) {
	var names alternativeNames
	rest, err := readSequence(der)
	if err != nil {
		return names, errors.New("subject alternative name: not a sequence of names")
	}
	for len(rest) > 0 {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil ||
			name.Class != asn1.ClassContextSpecific || name.Tag > tagLast {
			return names, errors.New("subject alternative name: not a name")
		}
		if err := names.add(name); err != nil {
			return names, err
		}
	}
	return names, nil
}

func (names *alternativeNames) add(name asn1.RawValue) error {
	switch name.Tag {
	case tagIPAddress:
		addr, ok := netip.AddrFromSlice(name.Bytes)
		if !ok || name.IsCompound {
			return fmt.Errorf("%s: address of %d bytes", SANIP, len(name.Bytes))
		}
		names.ips = append(names.ips, addr.Unmap())
		names.keys = append(names.keys, sanKey(SANIP, addr.Unmap().String()))
	case tagDNSName:
		text, err := ia5Text(name, SANDNS)
		if err != nil {
			return err
		}
		names.dns = append(names.dns, text)
		canonical := canonicalHost(text)
		names.canonicalDNS = append(names.canonicalDNS, canonical)
		names.keys = append(names.keys, sanKey(SANDNS, canonical))
	case tagURI:
		text, err := ia5Text(name, SANURI)
		if err != nil {
			return err
		}
		names.uris = append(names.uris, text)
		canonical := splitURI(text).canonical()
		names.canonicalURIs = append(names.canonicalURIs, canonical)
		names.keys = append(names.keys, sanKey(SANURI, canonical))
	case tagRFC822Name:
		text, err := ia5Text(name, SANEmail)
		if err != nil {
			return err
		}
		names.emails = append(names.emails, text)
		canonical := canonicalEmail(text)
		names.canonicalEmails = append(names.canonicalEmails, canonical)
		names.keys = append(names.keys, sanKey(SANEmail, canonical))
	}
	return nil
}

// ia5Text refuses what no name is written with: control characters, NUL above all, and anything but ASCII.
func ia5Text(name asn1.RawValue, kind SANKind) (string, error) {
	for _, c := range name.Bytes {
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("%s: the byte %#02x is not allowed in a name", kind, c)
		}
	}
	if name.IsCompound {
		return "", fmt.Errorf("%s: not a string", kind)
	}
	return string(name.Bytes), nil
}

// SANPattern is a compiled pattern for subject alternative names of one type. A nil SANPattern and the zero SANPattern
// match nothing.
//
// san_dns is a name, compared without regard to ASCII case and a dot at the end, or "*.name" for exactly one label below.
// san_uri is a URI, compared byte by byte but for the case of scheme and host; its last path segment may be "*" for
// exactly one segment or "**" for one or more. san_email is an address, compared without regard to the domain's case, or
// "*@domain". san_ip is an address or a network in CIDR notation.
//
// A wildcard never takes a name that has an asterisk itself; such a name equals only a pattern of the same text. The
// asterisk of san_uri takes no segment that is or hides ".", "..", a slash or a backslash, and no query or fragment.
type SANPattern struct {
	kind     SANKind
	text     string
	value    string // canonical; with a wildcard what surrounds it: ".name", "scheme://host/path/", "@domain"
	wildcard string // "", "*", "**"
	prefix   netip.Prefix
}

// ParseSANPattern compiles a pattern for names of one type.
func ParseSANPattern(kind SANKind, text string) (*SANPattern, error) {
	if err := checkPatternText(text); err != nil {
		return nil, err
	}
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return nil, errors.New("empty pattern")
	case strings.Trim(trimmed, "*") == "":
		return nil, fmt.Errorf("%s matches everybody: leave the field out if that is meant", quote(trimmed))
	}
	p := &SANPattern{kind: kind, text: trimmed}
	var err error
	switch kind {
	case SANDNS:
		err = p.parseDNS()
	case SANURI:
		err = p.parseURI()
	case SANEmail:
		err = p.parseEmail()
	case SANIP:
		p.prefix, err = parseNetwork(trimmed)
	default:
		err = fmt.Errorf("unknown type of name %d", kind)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// String returns the pattern as it was written, without blanks around it.
func (p *SANPattern) String() string {
	if p == nil {
		return ""
	}
	return p.text
}

// Match reports whether any name of the pattern's type matches. A nil identity does not. It does not allocate.
func (p *SANPattern) Match(id *Identity) bool {
	if p == nil || id == nil {
		return false
	}
	switch p.kind {
	case SANDNS:
		return slices.ContainsFunc(id.names.canonicalDNS, p.matchDNS)
	case SANURI:
		return slices.ContainsFunc(id.names.canonicalURIs, p.matchURI)
	case SANEmail:
		return slices.ContainsFunc(id.names.canonicalEmails, p.matchEmail)
	case SANIP:
		return slices.ContainsFunc(id.names.ips, p.prefix.Contains)
	}
	return false
}

// Key returns the one key (see Identity.SANKeys) that every identity has that the pattern can match, for an index, and
// true; or "" and false for a pattern with a wildcard or a network.
func (p *SANPattern) Key() (string, bool) {
	switch {
	case p == nil || p.kind == 0 || p.wildcard != "":
		return "", false
	case p.kind != SANIP:
		return sanKey(p.kind, p.value), true
	case p.prefix.IsSingleIP():
		return sanKey(SANIP, p.prefix.Addr().String()), true
	}
	return "", false
}

func sanKey(kind SANKind, canonical string) string { return kind.String() + ":" + canonical }

func (p *SANPattern) parseDNS() error {
	host := canonicalHost(p.text)
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		p.wildcard, host = "*", rest
	}
	if err := checkHost(host); err != nil {
		return err
	}
	p.value = host
	if p.wildcard != "" {
		p.value = "." + host
	}
	return nil
}

func (p *SANPattern) matchDNS(name string) bool {
	if p.wildcard == "" {
		return name == p.value
	}
	label, ok := strings.CutSuffix(name, p.value)
	if label == "*" {
		return ok // the name of the pattern's own text
	}
	return ok && isLabel(label)
}

// canonicalHost lowers ASCII letters and drops the dot at the end.
func canonicalHost(s string) string {
	return strings.TrimSuffix(lowerASCII(s), ".")
}

// checkHost checks a canonical DNS name of a pattern: labels of letters, digits, hyphens and underscores.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return errors.New("an IP address is not a DNS name: use san_ip")
	}
	switch {
	case strings.Contains(host, "*"):
		return errors.New(`"*" stands only at the beginning and for one whole label, as in "*.example.com"`)
	case !isASCII(host):
		return fmt.Errorf("%s is not ASCII: write the name as certificates do, with xn-- labels", quote(host))
	case len(host) > 253:
		return fmt.Errorf("%d bytes are too long for a DNS name", len(host))
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return fmt.Errorf("%s is not a label of a DNS name", quote(label))
		}
	}
	return nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	}) < 0
}

func (p *SANPattern) parseEmail() error {
	local, domain, ok := cutLast(p.text, '@')
	if !ok {
		return fmt.Errorf(`%s is not an email address, nor "*@domain"`, quote(p.text))
	}
	domain = lowerASCII(domain)
	if err := checkHost(domain); err != nil {
		return fmt.Errorf("domain: %w", err)
	}
	p.value = "@" + domain
	switch {
	case local == "*":
		p.wildcard = "*"
		return nil
	case strings.Contains(local, "*"):
		return errors.New(`"*" stands only for the whole part before the "@"`)
	case !isLocalPart(local):
		return fmt.Errorf("%s is not the local part of an email address", quote(local))
	}
	p.value = local + p.value
	return nil
}

func (p *SANPattern) matchEmail(address string) bool {
	if p.wildcard == "" {
		return address == p.value
	}
	local, ok := strings.CutSuffix(address, p.value)
	return ok && (local == "*" || !strings.Contains(local, "*") && isLocalPart(local))
}

// isLocalPart accepts a dot-atom of ASCII, RFC 5322 §3.2.3: without quoting, so without a second "@".
func isLocalPart(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if c := atom[i]; !isAlphanumeric(rune(c)) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) < 0 {
				return false
			}
		}
	}
	return true
}

// canonicalEmail lowers the domain; the local part is the receiver's business and may be case-sensitive.
func canonicalEmail(address string) string {
	local, domain, ok := cutLast(address, '@')
	if !ok {
		return address
	}
	return local + "@" + lowerASCII(domain)
}

// parseNetwork reads an address or a network. IPv4-mapped ones become IPv4, as those of certificates do.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%s is not an IP address or network", quote(text))
		}
		if addr.Zone() != "" {
			return netip.Prefix{}, errors.New("certificates have no IPv6 zones")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not an IP network", quote(text))
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%s is wider than the IPv4-mapped addresses", quote(text))
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has address bits beyond its length, did you mean %s?", quote(text), prefix.Masked())
	}
	return prefix, nil
}

func cutLast(s string, separator byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// lowerASCII lowers nothing but A to Z: case beyond ASCII is a matter of language.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
