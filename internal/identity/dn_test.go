package identity_test

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/identity"
)

func TestParseDNDecodesEveryStringType(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		tag         byte
		value, want string
	}{
		"UTF8String":                    {asn1.TagUTF8String, "Zürich", "CN=Zürich"},
		"PrintableString":               {asn1.TagPrintableString, "Acme (US)", "CN=Acme (US)"},
		"IA5String":                     {asn1.TagIA5String, "a@b.test", "CN=a@b.test"},
		"VisibleString":                 {tagVisible, "a_b", "CN=a_b"},
		"NumericString":                 {asn1.TagNumericString, "12 34", "CN=12 34"},
		"T61String is Latin-1":          {asn1.TagT61String, "Z\xfcrich", "CN=Zürich"},
		"BMPString":                     {asn1.TagBMPString, "\x00Z\x00\xfc\x04\x10", "CN=ZüА"},
		"UniversalString":               {tagUniversal, "\x00\x00\x00Z\x00\x01\xf5\x11", "CN=Z\U0001f511"},
		"an empty value":                {asn1.TagUTF8String, "", "CN="},
		"an empty BMPString":            {asn1.TagBMPString, "", "CN="},
		"asterisk in a PrintableString": {asn1.TagPrintableString, "*.a", "CN=*.a"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			dn, err := identity.ParseDN(name(rdn(attr(oidCN, c.tag, c.value))))
			if err != nil || dn.String() != c.want {
				t.Errorf("got %q, %v, want %q", dn.String(), err, c.want)
			}
		})
	}
}

func TestParseDNRefuses(t *testing.T) {
	t.Parallel()
	good := utf8Attr(oidCN, "a")
	var many [][]byte
	for range 65 {
		many = append(many, rdn(good))
	}
	for label, c := range map[string]struct {
		der  []byte
		want string
	}{
		"nothing":                        {nil, "not the DER of a name"},
		"no DER":                         {[]byte("CN=a"), "not the DER of a name"},
		"a set instead of a sequence":    {tlv(0x31, rdn(good)), "not the DER of a name"},
		"a primitive sequence":           {tlv(0x10, rdn(good)), "not the DER of a name"},
		"a cut-off name":                 {name(rdn(good))[:8], "not the DER of a name"},
		"data behind the name":           {append(name(rdn(good)), 0), "data after the end"},
		"an RDN that is a sequence":      {name(tlv(0x30, good)), "RDN 1"},
		"an empty RDN":                   {name(rdn(good), rdn()), "RDN 2 is empty"},
		"an attribute that is a string":  {name(rdn(tlv(0x0c, []byte("a")))), "RDN 1"},
		"an attribute without a type":    {name(rdn(tlv(0x30))), "not an OID"},
		"an attribute without a value":   {name(rdn(tlv(0x30, []byte{6, 3, 0x55, 4, 3}))), "not DER"},
		"two values in one attribute":    {name(rdn(tlv(0x30, []byte{6, 3, 0x55, 4, 3, 12, 1, 'a', 12, 1, 'b'}))), "data after the value"},
		"a length that is not minimal":   {[]byte{0x30, 0x81, 0x00}, "not the DER"},
		"an indefinite length":           {[]byte{0x30, 0x80, 0, 0}, "not the DER"},
		"65 attributes":                  {name(many...), "more than 64"},
		"65 attributes in one RDN":       {name(rdn(repeat(good, 65))), "more than 64"},
		"a huge name":                    {name(rdn(utf8Attr(oidCN, strings.Repeat("a", 17000)))), "too long"},
		"invalid UTF-8":                  {name(rdn(utf8Attr(oidCN, "a\xff"))), "CN: UTF8String"},
		"an overlong NUL":                {name(rdn(utf8Attr(oidCN, "a\xc0\x80"))), "CN: UTF8String"},
		"a NUL":                          {name(rdn(utf8Attr(oidCN, "partner-a\x00.evil.test"))), "CN: the character U+0000"},
		"a NUL in an IA5String":          {name(rdn(attr(oidCN, asn1.TagIA5String, "a\x00"))), "U+0000"},
		"a NUL in a T61String":           {name(rdn(attr(oidCN, asn1.TagT61String, "a\x00"))), "U+0000"},
		"a NUL at the end of BMPString":  {name(rdn(attr(oidCN, asn1.TagBMPString, "\x00a\x00\x00"))), "U+0000"},
		"a NUL in a UniversalString":     {name(rdn(attr(oidCN, tagUniversal, "\x00\x00\x00a\x00\x00\x00\x00"))), "U+0000"},
		"a NUL in a PrintableString":     {name(rdn(attr(oidCN, asn1.TagPrintableString, "a\x00"))), "PrintableString with the byte 0x00"},
		"an odd BMPString":               {name(rdn(attr(oidCN, asn1.TagBMPString, "\x00a\x00"))), "odd length"},
		"a surrogate in a BMPString":     {name(rdn(attr(oidCN, asn1.TagBMPString, "\xd8\x3d\xdd\x11"))), "surrogate U+D83D"},
		"a short UniversalString":        {name(rdn(attr(oidCN, tagUniversal, "\x00\x00a"))), "multiple of four"},
		"beyond Unicode":                 {name(rdn(attr(oidCN, tagUniversal, "\x00\x11\x00\x00"))), "0x110000"},
		"far beyond Unicode":             {name(rdn(attr(oidCN, tagUniversal, "\xff\xff\xff\xff"))), "0xffffffff"},
		"a surrogate in UniversalString": {name(rdn(attr(oidCN, tagUniversal, "\x00\x00\xd8\x00"))), "0xd800"},
		"an underscore in Printable":     {name(rdn(attr(oidCN, asn1.TagPrintableString, "a_b"))), "PrintableString with the byte 0x5f"},
		"a letter in a NumericString":    {name(rdn(attr(oidCN, asn1.TagNumericString, "1a"))), "NumericString"},
		"eight bits in an IA5String":     {name(rdn(attr(oidCN, asn1.TagIA5String, "\xe9"))), "IA5String with the byte 0xe9"},
		"a newline in a VisibleString":   {name(rdn(attr(oidCN, tagVisible, "a\n"))), "VisibleString"},
		"a common name of bytes":         {name(rdn(attr(oidCN, asn1.TagOctetString, "a"))), "CN: the value is not text"},
		"a common name in Videotex":      {name(rdn(attr(oidCN, tagVideotex, "a"))), "CN: the value is not text"},
		"a constructed string":           {name(rdn(attr(oidCN, 0x20|asn1.TagUTF8String, "\x0c\x01a"))), "CN: the value is not text"},
		"a string of a private class":    {name(rdn(attr(oidCN, 0xc0|asn1.TagUTF8String, "a"))), "CN: the value is not text"},
		"private use characters":         {name(rdn(utf8Attr(oidCN, "\ue000"))), "U+E000"},
		"prohibited text of other types": {name(rdn(utf8Attr(oidOther, "a\x00"))), "1.3.6.1.4.1.1466.0: the character U+0000"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			dn, err := identity.ParseDN(c.der)
			wantError(t, err, c.want)
			if !dn.Empty() || dn.String() != "" {
				t.Errorf("a refused name is %q", dn.String())
			}
		})
	}
}

func repeat(b []byte, n int) []byte { return slices.Repeat(b, n) }

func TestDNString(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		der  []byte
		want string
	}{
		"the empty name": {name(), ""},
		"the last RDN comes first": {
			name(rdn(utf8Attr(oidC, "US")), rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "partner-a"))),
			"CN=partner-a,O=Acme,C=US",
		},
		"an RDN of several attributes keeps their order": {
			name(rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "a"), utf8Attr(oidOU, "b"))),
			"CN=a+OU=b,O=Acme",
		},
		"special characters have backslashes": {
			name(rdn(utf8Attr(oidCN, `a,b+c"d\e<f>g;h=i#j`))), `CN=a\,b\+c\"d\\e\<f\>g\;h=i#j`,
		},
		"blanks at the ends and a first hash have backslashes": {
			name(rdn(utf8Attr(oidCN, " a ")), rdn(utf8Attr(oidO, "#1")), rdn(utf8Attr(oidOU, " "))), `OU=\ ,O=\#1,CN=\ a\ `,
		},
		"what would break a line or hide is in hex": {
			name(rdn(utf8Attr(oidCN, "a\r\nX-Admin: 1\u202e\u00a0\u200b"))), `CN=a\0D\0AX-Admin: 1\E2\80\AE\C2\A0\E2\80\8B`,
		},
		"an email address": {name(rdn(attr(oidEmail, asn1.TagIA5String, "abc@test.com"))), "emailAddress=abc@test.com"},
		"text of a type without a word is in hex, as the certificate has it": {
			name(rdn(attr(oidOther, asn1.TagPrintableString, "Hi"))), "1.3.6.1.4.1.1466.0=#13024869",
		},
		"other values are in hex": {
			name(rdn(attr(oidOther, asn1.TagOctetString, "Hi"))), "1.3.6.1.4.1.1466.0=#04024869",
		},
		"values of a class of their own are in hex": {
			name(rdn(attr(oidOther, 0x80, "Hi"))), "1.3.6.1.4.1.1466.0=#80024869",
		},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			got := mustDER(t, c.der)
			if got.String() != c.want {
				t.Errorf("got  %s\nwant %s", got.String(), c.want)
			}
			if again := mustDN(t, c.want); again.String() != c.want || again.Key() != got.Key() {
				t.Errorf("the text reads back as %s", again.String())
			}
		})
	}
}

func TestParseDNText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// RFC 4514 §4.
		"UID=jsmith,DC=example,DC=net":                   "UID=jsmith,DC=example,DC=net",
		"OU=Sales+CN=J.  Smith,DC=example,DC=net":        "OU=Sales+CN=J.  Smith,DC=example,DC=net",
		`CN=James \"Jim\" Smith\, III,DC=example,DC=net`: `CN=James \"Jim\" Smith\, III,DC=example,DC=net`,
		`CN=Before\0dAfter,DC=example,DC=net`:            `CN=Before\0DAfter,DC=example,DC=net`,
		"1.3.6.1.4.1.1466.0=#04024869":                   "1.3.6.1.4.1.1466.0=#04024869",
		`CN=Lu\C4\8Di\C4\87`:                             "CN=Lučić",
		"":                                               "",
		"  ":                                             "",
		" cn = partner-a , o = Acme Inc ,C= US ":         "CN=partner-a,O=Acme Inc,C=US",
		"CN=a + OU=b,O=c":                                "CN=a+OU=b,O=c",
		`O="Boomi, Inc",C=IN`:                            `O=Boomi\, Inc,C=IN`,
		`O="say \"hi\" + <b>; #\2A*" , C=IN`:             `O=say \"hi\" \+ \<b\>\; #**,C=IN`,
		`O=Boomi\2C Inc`:                                 `O=Boomi\, Inc`,
		`O=\ a\ `:                                        `O=\ a\ `,
		`O=a\\`:                                          `O=a\\`,
		`CN=\#1`:                                         `CN=\#1`,
		`CN=a=b\=c`:                                      `CN=a=b=c`,
		`CN=*.a*\*`:                                      `CN=*.a**`,
		"CN=#0C0161":                                     "CN=a",
		"CN=#0c0161 ,O=b":                                "CN=a,O=b",
		"oid.2.5.4.3=a,OID.1.2.840.113549.1.9.1=b": "CN=a,emailAddress=b",
		"2.5.4.3=a": "CN=a",
		"1.2.3.4=a": "1.2.3.4=#0c0161",
		"E=a,Email=b,EMAILADDRESS=c,emailaddress=d":             "emailAddress=a,emailAddress=b,emailAddress=c,emailAddress=d",
		"S=a,SP=b,ST=c,stateOrProvinceName=d":                   "ST=a,ST=b,ST=c,ST=d",
		"SERIALNUMBER=1,SN=Doe,GN=Jo,T=Dr,DNQ=x,surname=d":      "serialNumber=1,surname=Doe,givenName=Jo,title=Dr,dnQualifier=x,surname=d",
		"organizationIdentifier=PSDUK-1,2.5.4.97=VAT,street=s":  "organizationIdentifier=PSDUK-1,organizationIdentifier=VAT,STREET=s",
		"commonName=a,organizationName=b,domainComponent=c,L=d": "CN=a,O=b,DC=c,L=d",
		"CN=,O=Acme": "CN=,O=Acme",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			dn, err := identity.ParseDNText(text)
			if err != nil || dn.String() != want {
				t.Fatalf("got  %s, %v\nwant %s", dn.String(), err, want)
			}
			if again := mustDN(t, dn.String()); again.String() != want || again.Key() != dn.Key() {
				t.Errorf("reads back as %s", again.String())
			}
		})
	}
}

func TestParseDNTextRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"partner-a":                           `"partner-a" is not attribute=value`,
		"CN=a,":                               "a separator without",
		",CN=a":                               "a separator without",
		"CN=a,,O=b":                           "a separator without",
		"CN=a+":                               "a separator without",
		"=a":                                  `unknown attribute type ""`,
		"CN=Acme, Inc":                        `"Inc" is not attribute=value`,
		"CN=a;O=b":                            `";" separates nothing`,
		"*":                                   `"*" is not attribute=value`,
		`CN=a"b`:                              `written "\""`,
		"CN=a<b":                              `written "\<"`,
		`CN="a`:                               "no closing quotation mark",
		`CN="a"b`:                             "text after the closing",
		`CN="a\`:                              "a backslash at the end",
		`CN=a\`:                               "a backslash at the end",
		`CN=DOMAIN\user`:                      `a backslash before 'u'`,
		`CN=a\0`:                              `a backslash before '0'`,
		`CN=a\00b`:                            "U+0000",
		"CN=a\x00b":                           "NUL",
		`CN=\C3`:                              "not valid UTF-8",
		"CN=\xff":                             "not valid UTF-8",
		"CN=#":                                "DER in hex",
		"CN=#1 Partner":                       "DER in hex",
		"CN=#0c0161zz":                        "DER in hex",
		"CN=#0c02":                            "the value is not DER",
		"CN=#0c0161ff":                        "data after the value",
		"CN=#040161":                          "the value is not text",
		"CN=#0c0100":                          "U+0000",
		"1.2.3=#0c01ff":                       "UTF-8",
		"FOO=a":                               `unknown attribute type "FOO": use a name`,
		"emailAdress=a":                       `did you mean emailAddress?`,
		"comonName=a":                         `did you mean commonName?`,
		"organisationName=a":                  `did you mean organizationName?`,
		strings.Repeat("organization", 9):     "is not attribute=value",
		strings.Repeat("x", 50) + "=a":        "unknown attribute type",
		"1.=a":                                "not a number",
		"1.2.x=a":                             `"x" is not a number`,
		"1.02=a":                              `"02" is not a number`,
		"1=a":                                 "not an OID",
		"3.1=a":                               "not an OID",
		"1.40=a":                              "not an OID",
		"2.5.4.99999999999=a":                 "not a number",
		"OID.=a":                              "not a number",
		"OID.CN=a":                            "not a number",
		strings.Repeat("a", 5000):             "too long",
		strings.Repeat("CN=a,", 64) + "CN=a":  "more than 64",
		strings.Repeat("CN=a+", 64) + "CN=a":  "more than 64",
		"CN=a\u202eb,O=\ue000":                "O: the character U+E000",
		"CN=" + strings.Repeat("\\u", 1):      "a backslash before",
		"O=" + strings.Repeat("é", 70) + ",é": "is not attribute=value",
	} {
		t.Run(fmt.Sprintf("%.40s", text), func(t *testing.T) {
			t.Parallel()
			dn, err := identity.ParseDNText(text)
			wantError(t, err, want)
			if !dn.Empty() {
				t.Errorf("a refused name is %s", dn.String())
			}
		})
	}
}

func TestDNAccessors(t *testing.T) {
	t.Parallel()
	dn := mustDER(t, name(rdn(utf8Attr(oidCN, " first ")), rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "second"))))
	if diff := cmp.Diff([]string{" first ", "second"}, dn.CommonNames()); diff != "" {
		t.Errorf("CommonNames (-want +got)\n%s", diff)
	}
	if dn.Empty() {
		t.Error("the name is empty")
	}
	var none *identity.DN
	for label, empty := range map[string]*identity.DN{"nil": none, "zero": {}, "empty": mustDER(t, name())} {
		if !empty.Empty() || empty.String() != "" || empty.Key() != "" || empty.Renderings() != nil || empty.CommonNames() != nil {
			t.Errorf("the %s name is not empty: %q", label, empty.String())
		}
	}
	dn.CommonNames()[0] = "changed"
	dn.Renderings()[0] = "changed"
	if dn.CommonNames()[0] != " first " || dn.Renderings()[0] != dn.String() {
		t.Error("a caller changed the name")
	}
}

func TestKeyDependsOnNothingButTheAttributes(t *testing.T) {
	t.Parallel()
	key := mustDN(t, "CN=a+OU=b,O=Acme").Key()
	for _, same := range []string{"O=Acme,OU=b,CN=a", "OU=b+O=Acme+CN=a", "CN= a ,OU=b,O=\uff21cme", "2.5.4.10=Acme,CN=a,OU=b"} {
		if got := mustDN(t, same).Key(); got != key {
			t.Errorf("%s: key %q, want %q", same, got, key)
		}
	}
	for _, other := range []string{
		"CN=a,OU=b", "CN=a,OU=b,O=acme", "CN=a,OU=b,O=Acme,O=Acme", "CN=b,OU=a,O=Acme",
		`CN=a\, OU\=b\, O\=Acme`, "CN=a,OU=b,O=Acme,1.2.3=#0500",
	} {
		if got := mustDN(t, other).Key(); got == key {
			t.Errorf("%s has the same key", other)
		}
	}
	if mustDN(t, "1.2.3=#040161").Key() == mustDN(t, "1.2.3=#0c0161").Key() {
		t.Error("bytes and text have the same key")
	}
}

func TestRenderings(t *testing.T) {
	t.Parallel()
	dn := mustDER(t, name(
		rdn(attr(oidC, asn1.TagPrintableString, "IN")),
		rdn(utf8Attr(asn1.ObjectIdentifier{2, 5, 4, 8}, "KA")),
		rdn(utf8Attr(oidO, "Boomi, Inc")),
		rdn(utf8Attr(oidOU, "API"), utf8Attr(oidCN, "a")),
		rdn(attr(oidEmail, asn1.TagIA5String, "abc@test.com")),
	))
	got := dn.Renderings()
	if got[0] != dn.String() {
		t.Errorf("the first is %s, want the canonical %s", got[0], dn.String())
	}
	for _, want := range []string{
		`emailAddress=abc@test.com,OU=API+CN=a,O=Boomi\, Inc,ST=KA,C=IN`,                          // nginx, OpenSSL RFC 2253
		`EMAILADDRESS=abc@test.com, OU=API + CN=a, O="Boomi, Inc", ST=KA, C=IN`,                   // Java
		`E=abc@test.com, OU=API + CN=a, O="Boomi, Inc", S=KA, C=IN`,                               // .NET
		`C=IN, ST=KA, O="Boomi, Inc", OU=API + CN=a, emailAddress=abc@test.com`,                   // openssl x509
		`C=IN,ST=KA,O=Boomi\, Inc,OU=API+CN=a,E=abc@test.com`,                                     // Bouncy Castle
		`/C=IN/ST=KA/O=Boomi, Inc/OU=API+CN=a/emailAddress=abc@test.com`,                          // HAProxy
		`Email=abc@test.com,OU=API+CN=a,O=Boomi\, Inc,ST=KA,C=IN`,                                 // Boomi
		`1.2.840.113549.1.9.1=#160c61626340746573742e636f6d,OU=API+CN=a,O=Boomi\, Inc,ST=KA,C=IN`, // Java getName, Go
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %s", want)
		}
	}
	sorted := slices.Sorted(slices.Values(got))
	if n := len(slices.Compact(sorted)); n != len(got) {
		t.Errorf("%d renderings, %d different", len(got), n)
	}
	if plain := mustDN(t, "CN=a").Renderings(); len(plain) > 3 {
		t.Errorf("a simple name has %q", plain)
	}
}

func TestRenderingsOfNamesFromText(t *testing.T) {
	t.Parallel()
	got := mustDN(t, `emailAddress=zoë@test.com,serialNumber=7,CN=\ a#`).Renderings()
	for _, want := range []string{
		`emailAddress=zo\C3\AB@test.com,serialNumber=7,CN=\ a#`,   // nginx
		`/CN= a#/serialNumber=7/emailAddress=zo\xC3\xAB@test.com`, // OpenSSL's one line
		`CN= a#,serialNumber=7,emailAddress=zoë@test.com`,         // Traefik
		`emailAddress=zoë@test.com,serialNumber=7,CN=\ a#`,
		"1.2.840.113549.1.9.1=#0c0d7a6fc3ab40746573742e636f6d,2.5.4.5=#0c0137,CN=\\ a#",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %s in %q", want, got)
		}
	}
	if text := mustDN(t, "1.2.3.4=a,emailAddress=a").Renderings(); !slices.Contains(text, "1.2.3.4=#0c0161,1.2.840.113549.1.9.1=#160161") {
		t.Errorf("got %q", text)
	}
}
