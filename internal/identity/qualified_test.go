package identity_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/identity"
)

var oidQCStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}

func utf8DER(text string) []byte { return tlv(0x0c, []byte(text)) }

func roleDER(t testing.TB, oid, name string) []byte {
	t.Helper()
	return tlv(0x30, oidDER(t, oid), utf8DER(name))
}

// psd2DER is a statement about a payment service provider, with roles as DER.
func psd2DER(t testing.TB, rest []byte, roles ...[]byte) []byte {
	t.Helper()
	return tlv(0x30, oidDER(t, "0.4.0.19495.2"), tlv(0x30, tlv(0x30, roles...), rest))
}

func nca(name, id string) []byte { return slices.Concat(utf8DER(name), utf8DER(id)) }

func TestQCStatementsAreReadToTheLastByte(t *testing.T) {
	t.Parallel()
	compliance := tlv(0x30, oidDER(t, "0.4.0.1862.1.1"))
	web := tlv(0x30, oidDER(t, "0.4.0.1862.1.6"), tlv(0x30, oidDER(t, "0.4.0.1862.1.6.3")))
	as, pi, ai, ic := roleDER(t, "0.4.0.19495.1.1", "PSP_AS"), roleDER(t, "0.4.0.19495.1.2", "PSP_PI"), roleDER(t, "0.4.0.19495.1.3", "PSP_AI"), roleDER(t, "0.4.0.19495.1.4", "PSP_IC")
	unspecified := roleDER(t, "0.4.0.19495.1.0", "whatever")
	bafin := nca("BaFin", "DE-BAFIN")
	var many, manyRoles [][]byte
	for i := range 65 {
		many = append(many, tlv(0x30, tlv(6, []byte{0x2a, byte(i)})))
		manyRoles = append(manyRoles, tlv(0x30, tlv(6, []byte{0x2a, byte(i)}), utf8DER("x")))
	}
	bad := func(text string) identity.QCStatements { return identity.QCStatements{Malformed: text} }
	for label, c := range map[string]struct {
		der  []byte
		want identity.QCStatements
	}{
		"all roles": {
			tlv(0x30, compliance, web, psd2DER(t, bafin, as, pi, ai, ic)),
			identity.QCStatements{
				IDs:  []string{"0.4.0.1862.1.1", "0.4.0.1862.1.6", "0.4.0.19495.2"},
				PSD2: &identity.PSD2{Roles: []string{"PSP_AS", "PSP_PI", "PSP_AI", "PSP_IC"}, NCAName: "BaFin", NCAID: "DE-BAFIN"},
			},
		},
		"one role, and an authority that is not ASCII": {
			tlv(0x30, psd2DER(t, nca("Autorité de contrôle", "FR-ACPR"), ai)),
			identity.QCStatements{IDs: []string{"0.4.0.19495.2"}, PSD2: &identity.PSD2{Roles: []string{"PSP_AI"}, NCAName: "Autorité de contrôle", NCAID: "FR-ACPR"}},
		},
		"a role of later times is its OID": {
			tlv(0x30, psd2DER(t, bafin, pi, roleDER(t, "0.4.0.19495.1.5", "PSP_PI"))),
			identity.QCStatements{IDs: []string{"0.4.0.19495.2"}, PSD2: &identity.PSD2{Roles: []string{"PSP_PI", "0.4.0.19495.1.5"}, NCAName: "BaFin", NCAID: "DE-BAFIN"}},
		},
		"the role that is unspecified": {
			tlv(0x30, psd2DER(t, bafin, unspecified)),
			identity.QCStatements{IDs: []string{"0.4.0.19495.2"}, PSD2: &identity.PSD2{Roles: []string{"unspecified"}, NCAName: "BaFin", NCAID: "DE-BAFIN"}},
		},
		"statements without PSD2":      {tlv(0x30, compliance), identity.QCStatements{IDs: []string{"0.4.0.1862.1.1"}}},
		"256 characters":               {tlv(0x30, psd2DER(t, nca(strings.Repeat("é", 256), "x"), ai)), identity.QCStatements{IDs: []string{"0.4.0.19495.2"}, PSD2: &identity.PSD2{Roles: []string{"PSP_AI"}, NCAName: strings.Repeat("é", 256), NCAID: "x"}}},
		"257 characters":               {tlv(0x30, psd2DER(t, nca(strings.Repeat("e", 257), "x"), ai)), bad("PSD2: NCA name: 257 characters, want 1 to 256")},
		"an empty name":                {tlv(0x30, psd2DER(t, nca("", "x"), ai)), bad("PSD2: NCA name: 0 characters, want 1 to 256")},
		"an empty id":                  {tlv(0x30, psd2DER(t, nca("x", ""), ai)), bad("PSD2: NCA id: 0 characters, want 1 to 256")},
		"a NUL in an id":               {tlv(0x30, psd2DER(t, nca("BaFin", "DE-BAFIN\x00"), ai)), bad("PSD2: NCA id: the character U+0000 is not allowed in a name")},
		"no UTF-8":                     {tlv(0x30, psd2DER(t, nca("\xff", "x"), ai)), bad("PSD2: NCA name: not valid UTF-8")},
		"another string type":          {tlv(0x30, psd2DER(t, slices.Concat(tlv(0x13, []byte("BaFin")), utf8DER("x")), ai)), bad("PSD2: NCA name: not a UTF8String")},
		"an id missing":                {tlv(0x30, psd2DER(t, utf8DER("BaFin"), ai)), bad("PSD2: NCA id: not a UTF8String")},
		"more behind the id":           {tlv(0x30, psd2DER(t, slices.Concat(bafin, utf8DER("x")), ai)), bad("PSD2: data after the NCA id")},
		"no roles":                     {tlv(0x30, psd2DER(t, bafin)), bad("PSD2: no roles")},
		"roles that are no sequence":   {tlv(0x30, tlv(0x30, oidDER(t, "0.4.0.19495.2"), tlv(0x30, tlv(0x31, ai), bafin))), bad("PSD2: no roles")},
		"a role that is an OID":        {tlv(0x30, psd2DER(t, bafin, oidDER(t, "0.4.0.19495.1.3"))), bad("PSD2: not a role")},
		"a role without an OID":        {tlv(0x30, psd2DER(t, bafin, tlv(0x30, utf8DER("PSP_AI")))), bad("PSD2: role: not an object identifier")},
		"a role without a name":        {tlv(0x30, psd2DER(t, bafin, tlv(0x30, oidDER(t, "0.4.0.19495.1.3")))), bad("PSD2: a role without a name of its own")},
		"a role with two names":        {tlv(0x30, psd2DER(t, bafin, tlv(0x30, oidDER(t, "0.4.0.19495.1.3"), utf8DER("PSP_AI"), utf8DER("PSP_PI")))), bad("PSD2: a role without a name of its own")},
		"a role with another's name":   {tlv(0x30, psd2DER(t, bafin, roleDER(t, "0.4.0.19495.1.3", "PSP_PI"))), bad(`PSD2: the role PSP_AI is called "PSP_PI"`)},
		"a role twice":                 {tlv(0x30, psd2DER(t, bafin, ai, pi, ai)), bad("PSD2: the role PSP_AI stands there twice")},
		"a role beside unspecified":    {tlv(0x30, psd2DER(t, bafin, ai, unspecified)), bad("PSD2: roles beside the one that is unspecified")},
		"33 roles":                     {tlv(0x30, psd2DER(t, bafin, manyRoles...)), bad("PSD2: more than 32 roles")},
		"PSD2 twice":                   {tlv(0x30, psd2DER(t, bafin, ai), psd2DER(t, bafin, pi)), bad("two statements about PSD2")},
		"PSD2 without anything":        {tlv(0x30, tlv(0x30, oidDER(t, "0.4.0.19495.2"))), bad("PSD2: not a sequence")},
		"PSD2 of a text":               {tlv(0x30, tlv(0x30, oidDER(t, "0.4.0.19495.2"), utf8DER("PSP_AI"))), bad("PSD2: not a sequence")},
		"PSD2 with two values":         {tlv(0x30, tlv(0x30, oidDER(t, "0.4.0.19495.2"), tlv(5), tlv(5))), bad("statement 1: data after the value")},
		"a statement that is an OID":   {tlv(0x30, compliance, oidDER(t, "1.2.3")), bad("not a statement")},
		"a statement without an OID":   {tlv(0x30, compliance, tlv(0x30, tlv(5))), bad("statement 2: not an object identifier")},
		"good ones before a bad one":   {tlv(0x30, psd2DER(t, bafin, ai), tlv(0x30)), bad("statement 2: not an object identifier")},
		"65 statements":                {tlv(0x30, many...), bad("more than 64 statements")},
		"an empty sequence":            {tlv(0x30), bad("not a sequence of statements")},
		"nothing":                      {nil, bad("not a sequence of statements")},
		"data behind":                  {append(tlv(0x30, compliance), 0), bad("not a sequence of statements")},
		"a statement of many kilobyte": {tlv(0x30, tlv(0x30, oidDER(t, "1.2.3"), tlv(4, bytes.Repeat([]byte{1}, 17<<10)))), bad("17424 bytes are too long")},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			cert := withExtension(leaf(t, nil), oidQCStatements, c.der)
			id, err := identity.Of([]*x509.Certificate{cert})
			if err != nil {
				t.Fatalf("statements that cannot be read cost the identity: %v", err)
			}
			if diff := cmp.Diff(c.want, id.QCStatements()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.want, identity.QCStatementsOf(cert)); diff != "" {
				t.Errorf("of the certificate (-want +got)\n%s", diff)
			}
		})
	}
}

func TestQCStatementsStandAlone(t *testing.T) {
	t.Parallel()
	good := tlv(0x30, psd2DER(t, nca("BaFin", "DE-BAFIN"), roleDER(t, "0.4.0.19495.1.3", "PSP_AI")))
	cert := withExtension(leaf(t, nil), oidQCStatements, good)
	if got := identity.QCStatementsOf(withExtension(cert, oidQCStatements, good)); got.PSD2 != nil || got.Malformed == "" {
		t.Errorf("two extensions say %+v", got)
	}
	var none *identity.Identity
	for _, got := range []identity.QCStatements{none.QCStatements(), identity.QCStatementsOf(nil), identity.QCStatementsOf(leaf(t, nil))} {
		if diff := cmp.Diff(identity.QCStatements{}, got); diff != "" {
			t.Errorf("nobody says %s", diff)
		}
	}
	id := must(identity.Of([]*x509.Certificate{cert}))
	id.QCStatements().PSD2.Roles[0] = "PSP_AS"
	id.QCStatements().IDs[0] = "1.2.3"
	id.QCStatements().PSD2.NCAID = "x"
	text := string(must(json.Marshal(id.QCStatements())))
	if text != `{"ids":["0.4.0.19495.2"],"psd2":{"roles":["PSP_AI"],"nca_name":"BaFin","nca_id":"DE-BAFIN"}}` {
		t.Errorf("a caller changed it: %s", text)
	}
}

func TestOrganizationIdentifiers(t *testing.T) {
	t.Parallel()
	oid := asn1.ObjectIdentifier{2, 5, 4, 97}
	for label, c := range map[string]struct {
		rdns []([]byte)
		all  []string
		only string
	}{
		"none":              {[][]byte{rdn(utf8Attr(oidCN, "a"))}, nil, ""},
		"UTF8String":        {[][]byte{rdn(utf8Attr(oid, "PSDDE-BAFIN-123456"))}, []string{"PSDDE-BAFIN-123456"}, "PSDDE-BAFIN-123456"},
		"PrintableString":   {[][]byte{rdn(attr(oid, asn1.TagPrintableString, "PSDDE-BAFIN-1"))}, []string{"PSDDE-BAFIN-1"}, "PSDDE-BAFIN-1"},
		"BMPString":         {[][]byte{rdn(attr(oid, asn1.TagBMPString, "\x00V\x00A\x00T"))}, []string{"VAT"}, "VAT"},
		"T61String":         {[][]byte{rdn(attr(oid, asn1.TagT61String, "VAT"))}, []string{"VAT"}, "VAT"},
		"beside a name":     {[][]byte{rdn(utf8Attr(oidCN, "a"), utf8Attr(oid, "VATDE-1"))}, []string{"VATDE-1"}, "VATDE-1"},
		"two":               {[][]byte{rdn(utf8Attr(oid, "VATDE-1")), rdn(utf8Attr(oid, "VATDE-2"))}, []string{"VATDE-1", "VATDE-2"}, ""},
		"the same twice":    {[][]byte{rdn(utf8Attr(oid, "VATDE-1")), rdn(utf8Attr(oid, "VATDE-1"))}, []string{"VATDE-1", "VATDE-1"}, ""},
		"one beside nobody": {[][]byte{rdn(utf8Attr(oid, "VATDE-1")), rdn(utf8Attr(oid, ""))}, []string{"VATDE-1", ""}, ""},
		"an empty one":      {[][]byte{rdn(utf8Attr(oid, ""))}, []string{""}, ""},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			cert := leaf(t, nil)
			cert.RawSubject = name(c.rdns...)
			id, err := identity.Of([]*x509.Certificate{cert})
			if err != nil {
				t.Fatal(err)
			}
			only, ok := id.OrganizationIdentifier()
			if diff := cmp.Diff(c.all, id.OrganizationIdentifiers()); diff != "" || only != c.only || ok != (c.only != "") {
				t.Errorf("only %q, %v, all\n%s", only, ok, diff)
			}
		})
	}
	var none *identity.Identity
	if only, ok := none.OrganizationIdentifier(); only != "" || ok || none.OrganizationIdentifiers() != nil {
		t.Error("nobody has one")
	}
}

func FuzzQCStatements(f *testing.F) {
	f.Add(tlv(0x30, psd2DER(f, nca("BaFin", "DE-BAFIN"), roleDER(f, "0.4.0.19495.1.3", "PSP_AI"), roleDER(f, "0.4.0.19495.1.1", "PSP_AS"))))
	f.Add(tlv(0x30, tlv(0x30, oidDER(f, "0.4.0.1862.1.1")), psd2DER(f, nca("x", "y"), roleDER(f, "0.4.0.19495.1.0", "unspecified"))))
	f.Add(tlv(0x30, tlv(0x30, oidDER(f, "0.4.0.19495.2"), tlv(0x30, tlv(0x30)))))
	f.Fuzz(func(t *testing.T, der []byte) {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidQCStatements, Value: der}}}
		got := identity.QCStatementsOf(cert)
		if got.Malformed != "" {
			if got.PSD2 != nil || got.IDs != nil || len(got.Malformed) > 300 {
				t.Errorf("half read: %+v", got)
			}
			return
		}
		if len(got.IDs) == 0 || len(got.IDs) > 64 || slices.Contains(got.IDs, "") || slices.Contains(got.IDs, "0.4.0.19495.2") != (got.PSD2 != nil) {
			t.Errorf("statements %v, PSD2 %v", got.IDs, got.PSD2)
		}
		if p := got.PSD2; p != nil && (len(p.Roles) == 0 || len(p.Roles) > 32 || slices.Contains(p.Roles, "") || p.NCAName == "" || p.NCAID == "" ||
			!utf8.ValidString(p.NCAName) || strings.ContainsRune(p.NCAName+p.NCAID, 0)) {
			t.Errorf("%+v", p)
		}
	})
}
