package identity_test

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/identity"
)

// checkDN checks what is true of every name, wherever it came from.
func checkDN(t *testing.T, dn *identity.DN) {
	t.Helper()
	text := dn.String()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) {
		t.Errorf("not a printable line: %q", text)
	}
	if len(text) <= 4096 {
		again, err := identity.ParseDNText(text)
		if err != nil || again.String() != text || again.Key() != dn.Key() {
			t.Errorf("%q reads back as %q, %v", text, again.String(), err)
		}
		if !strings.Contains(dn.Key(), "\x02\x00") && !strings.HasSuffix(dn.Key(), "\x02") && !dn.Empty() {
			if p, err := identity.ParsePattern(text, identity.Exact); err != nil || !p.Match(dn) {
				t.Errorf("%q does not match itself, %v", text, err)
			}
		}
	}
	for _, rendering := range dn.Renderings() {
		if rendering == "" {
			t.Error("an empty rendering")
		}
	}
	for _, syntax := range []identity.Syntax{identity.RDN, identity.Exact, identity.Ant} {
		p := must(identity.ParsePattern("CN=no such name", syntax))
		if p.Match(dn) && text != "CN=no such name" {
			t.Errorf("%q matches a name of nobody", text)
		}
		p.MatchAnyRendering(dn)
		if miss := p.NearestMiss(dn); len(miss) > 1024 || !utf8.ValidString(miss) {
			t.Errorf("NearestMiss says %q", miss)
		}
	}
	open := must(identity.ParsePattern("CN=*,*", identity.RDN))
	if open.Match(dn) && len(dn.CommonNames()) != 1 {
		t.Errorf("%q has %d common names", text, len(dn.CommonNames()))
	}
}

func FuzzParseDN(f *testing.F) {
	f.Add(name())
	f.Add(name(rdn(utf8Attr(oidC, "US")), rdn(utf8Attr(oidCN, "a"), utf8Attr(oidOU, "b")), rdn(attr(oidEmail, asn1.TagIA5String, "a@b"))))
	f.Add(name(rdn(attr(oidCN, asn1.TagBMPString, "\x00Z\x00\xfc"), attr(oidOther, asn1.TagOctetString, "Hi"))))
	f.Add(name(rdn(attr(oidCN, tagUniversal, "\x00\x01\xf5\x11"), attr(oidO, asn1.TagT61String, "Z\xfcrich / * ?"))))
	f.Add(name(rdn(utf8Attr(oidCN, " #,+\"\\<>;=\r\n\u202e\u00a0 "))))
	f.Add(name(rdn(utf8Attr(oidCN, "a\x00b"))))
	f.Fuzz(func(t *testing.T, der []byte) {
		dn, err := identity.ParseDN(der)
		if text := identity.SubjectText(&x509.Certificate{RawSubject: der}); len(text) > 1024 || !utf8.ValidString(text) {
			t.Errorf("SubjectText is %q", text)
		}
		if err != nil {
			if !dn.Empty() || len(err.Error()) > 300 {
				t.Errorf("refused, but %q: %v", dn.String(), err)
			}
			return
		}
		checkDN(t, &dn)
	})
}

func FuzzParseDNText(f *testing.F) {
	for _, text := range []string{
		"", "CN=a,O=Acme", `CN=James \"Jim\" Smith\, III`, `O="Boomi, Inc"+OU=\C4\8D`, "1.3.6.1.4.1.1466.0=#04024869", "CN=#0c0161",
		"oid.2.5.4.3= a ,E=b", `CN=\ a\ `, `CN=*\**`, "1.2.3=a", "CN=a;b", `CN="`, "CN=,O=", "CN=\u0378\ufb01\u0308",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dn, err := identity.ParseDNText(text)
		if err != nil {
			if !dn.Empty() || len(err.Error()) > 300 {
				t.Errorf("refused, but %q: %v", dn.String(), err)
			}
			return
		}
		checkDN(t, &dn)
	})
}

func FuzzPattern(f *testing.F) {
	for _, c := range [][2]string{
		{"CN=partner-a,O=Acme,C=US,*", "CN=partner-a,O=Acme,C=US"},
		{"CN=*,O=Boomi", "CN=evil,OU=x,O=Boomi"},
		{"CN=partner-b,**", "CN=partner-b,C=US"},
		{"OU=*,OU=a*,OU=ab", "OU=abc,OU=ax,OU=ab"},
		{"CN=host/**/x?", "CN=host/a/xy"},
		{"CN=a*,1.2.3=#040161", "1.2.3=#040161,CN=ab"},
		{`CN=\*`, "CN=*"},
		{"/C=US/CN=*", "CN=a,C=US"},
		{"CN=é*\u0301", "CN=e\u0301x\u0301"},
	} {
		f.Add(c[0], c[1], uint8(0))
		f.Add(c[0], c[1], uint8(1))
		f.Add(c[0], c[1], uint8(2))
	}
	f.Fuzz(func(t *testing.T, text, nameText string, syntax uint8) {
		p, err := identity.ParsePattern(text, identity.Syntax(syntax%3))
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		dn, err := identity.ParseDNText(nameText)
		if err != nil {
			return
		}
		match := p.Match(&dn)
		if match && !p.MatchAnyRendering(&dn) {
			t.Errorf("%q allows %q and does not deny it", text, nameText)
		}
		if match && dn.Empty() {
			t.Errorf("%q matches the empty name", text)
		}
		if (p.NearestMiss(&dn) == "") != match {
			t.Errorf("%q, %q: match %v, but %q", text, nameText, match, p.NearestMiss(&dn))
		}
		if key, ok := p.Key(); ok && match && key != dn.Key() {
			t.Errorf("%q matches %q under another key", text, nameText)
		}
		if syntax%3 == 0 && match && strings.Count(nameText, "=") > 0 {
			reordered := reverseRDNs(&dn)
			if reordered != nil && !p.Match(reordered) {
				t.Errorf("%q matches %q, but not %q", text, nameText, reordered)
			}
		}
	})
}

// reverseRDNs writes the RDNs the other way round, nil when the text is too long to be read again.
func reverseRDNs(dn *identity.DN) *identity.DN {
	for _, rendering := range dn.Renderings() {
		if reversed, err := identity.ParseDNText(rendering); err == nil && reversed.Key() == dn.Key() && reversed.String() != dn.String() {
			return &reversed
		}
	}
	return nil
}

func FuzzGlob(f *testing.F) {
	f.Add("partner-*", "partner-a")
	f.Add(`\*\\*a`, `*\xa`)
	f.Add("*\u0301 x", "e\u0301  x")
	f.Fuzz(func(t *testing.T, text, s string) {
		g, err := identity.ParseGlob(text)
		if err != nil {
			return
		}
		again, err := identity.ParseGlob(g.String())
		if err != nil || again.String() != g.String() {
			t.Errorf("%q is %q, reads back as %q, %v", text, g, again, err)
		}
		if g.Match(s) != again.Match(s) {
			t.Errorf("%q and %q differ about %q", text, g, s)
		}
		if literal, ok := g.Literal(); ok && !g.Match(literal) {
			t.Errorf("%q does not match %q", text, literal)
		}
	})
}

func FuzzThumbprint(f *testing.F) {
	for _, text := range []string{sha256Hex, sha1Hex, "sha256:" + sha256Hex, "SHA256 Fingerprint=AB:CD", "\u200e0x1F", "sha256//" + strings.Repeat("A", 43) + "=", "-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := identity.ParseSHA256(text); err == nil {
			if again, err := identity.ParseSHA256(d.String()); err != nil || again != d {
				t.Errorf("%v reads back as %v, %v", d, again, err)
			}
		} else if len(err.Error()) > 120 || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("not one short line: %v", err)
		}
		if d, err := identity.ParseSHA1(text); err == nil {
			if again, err := identity.ParseSHA1(d.String()); err != nil || again != d {
				t.Errorf("%v reads back as %v, %v", d, again, err)
			}
		}
		if s, err := identity.ParseSerial(text); err == nil {
			if again, err := identity.ParseSerial(s.String()); err != nil || !again.Equal(s) {
				t.Errorf("%v reads back as %v, %v", s, again, err)
			}
		}
	})
}

func FuzzSANPattern(f *testing.F) {
	for i, c := range [][2]string{
		{"*.beta.test", "b.beta.test"},
		{"spiffe://example.org/**", "spiffe://example.org/ns/%2e"},
		{"*@example.org", "joe@example.org"},
		{"192.0.2.0/24", "\xc0\x00\x02\x01"},
		{"b.beta.test.", "B.beta.test"},
		{"urn:a:b", "URN:a:b"},
		{"a@b", "a@b@b"},
		{"::ffff:1.2.3.4", "\x01\x02\x03\x04"},
	} {
		f.Add(uint8(i%4+1), c[0], c[1], byte([]int{2, 6, 1, 7}[i%4]))
	}
	cert := leaf(f, nil)
	f.Fuzz(func(t *testing.T, kind uint8, text, presented string, tag byte) {
		p, err := identity.ParseSANPattern(identity.SANKind(kind), text)
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("a long error: %v", err)
		}
		if err != nil || len(presented) > 30_000 {
			return
		}
		id, err := identity.Of([]*x509.Certificate{withSAN(cert, generalName(tag%9, presented))})
		if err != nil {
			return
		}
		kindOfTag := map[byte]identity.SANKind{1: identity.SANEmail, 2: identity.SANDNS, 6: identity.SANURI, 7: identity.SANIP}[tag%9]
		match := p.Match(id)
		if match && kindOfTag != identity.SANKind(kind) {
			t.Errorf("%v matches a name of another type", identity.SANKind(kind))
		}
		if match && strings.ContainsAny(presented, "*") && kindOfTag != identity.SANIP && !strings.EqualFold(strings.TrimSuffix(presented, "."), strings.TrimSuffix(p.String(), ".")) && !strings.EqualFold(presented, p.String()) {
			t.Errorf("%q matches the asterisk of %q", text, presented)
		}
		if key, ok := p.Key(); ok && slices.Contains(slices.Collect(id.SANKeys()), key) != match {
			t.Errorf("%q, %q: match %v, but key %q", text, presented, match, key)
		}
	})
}

// FuzzAlternativeNames has the whole extension out of hostile hands.
func FuzzAlternativeNames(f *testing.F) {
	f.Add(tlv(0x30, dns("a.test"), uri("spiffe://a/b"), email("a@b.test"), ip(1, 2, 3, 4)))
	f.Add(tlv(0x30, tlv(0xa4, name()), generalName(8, "*")))
	cert := leaf(f, nil)
	f.Fuzz(func(t *testing.T, der []byte) {
		changed := *cert
		changed.Extensions = slices.Clone(cert.Extensions)
		changed.Extensions = append(changed.Extensions, sanExtension(der))
		id, err := identity.Of([]*x509.Certificate{&changed})
		if err != nil {
			return
		}
		for _, s := range slices.Concat(id.DNSNames(), id.URIs(), id.Emails(), slices.Collect(id.SANKeys())) {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a name with %q", s)
			}
		}
	})
}
