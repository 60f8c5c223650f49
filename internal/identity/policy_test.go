package identity_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/identity"
)

// oidDER is an OBJECT IDENTIFIER of any size.
func oidDER(t testing.TB, dotted string) []byte {
	t.Helper()
	oid, err := x509.ParseOID(dotted)
	if err != nil {
		t.Fatalf("%s: %v", dotted, err)
	}
	return tlv(6, must(oid.MarshalBinary()))
}

// withExtension returns the certificate with an extension put in place after parsing, because crypto/x509 refuses some
// that this package must withstand all the same.
func withExtension(cert *x509.Certificate, oid asn1.ObjectIdentifier, value []byte) *x509.Certificate {
	changed := *cert
	changed.Extensions = append(slices.Clone(cert.Extensions), pkix.Extension{Id: oid, Value: value})
	return &changed
}

var oidPoliciesExtension = asn1.ObjectIdentifier{2, 5, 29, 32}

func policyDER(t testing.TB, dotted string, qualifiers ...[]byte) []byte {
	t.Helper()
	return tlv(0x30, oidDER(t, dotted), slices.Concat(qualifiers...))
}

func TestPolicyOIDs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"2.23.140.1.2.1", "2.5.29.32.0", "0.0", "1.39", "2.40", "2.0", "2.999.0", "1.3.6.1.4.1.4294967296", "2.25.329800735698586629295641978511506172918",
		"2.340282366920938463463374607431768211456", "1.2." + strings.Repeat("9", 900), strings.Repeat("1.", 500) + "1",
	} {
		p, err := identity.ParsePolicyOID(text)
		if err != nil || p.String() != text {
			t.Errorf("%.60s is %.60s, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"", "1", ".", "1.", ".1", "1..2", "1.2.", "3.1", "0.40", "1.40", "01.2", "1.02", "1.2.00", "1.2.-3", "1.2.+3", "1.2.3 ", " 1.2.3", "1,2", "1.2.a",
		"1.2.0x3", "1.2.\u0663", "1.2.3\x00", "anyPolicy", "OID.1.2.3", "urn:oid:1.2.3", "1.2." + strings.Repeat("9", 1100),
	} {
		p, err := identity.ParsePolicyOID(text)
		if err == nil || p != "" || len(err.Error()) > 300 {
			t.Errorf("%.60q is %s, %v", text, p, err)
		}
	}
	if identity.PolicyOID("").String() != "" || identity.PolicyOID("\x80").String() != "" {
		t.Error("what is no OID has a text")
	}
}

func TestPoliciesAreTheLeafs(t *testing.T) {
	t.Parallel()
	const huge = "2.25.329800735698586629295641978511506172918"
	cps := tlv(0x30, tlv(0x30, oidDER(t, "1.3.6.1.5.5.7.2.1"), tlv(0x16, []byte("https://ca.test/cps"))))
	cert := withExtension(leaf(t, nil), oidPoliciesExtension, tlv(0x30, policyDER(t, "2.23.140.1.2.1", cps), policyDER(t, huge), policyDER(t, "2.5.29.32.0")))
	id, err := identity.Of([]*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range id.Policies() {
		got = append(got, p.String())
	}
	if diff := cmp.Diff([]string{"2.23.140.1.2.1", huge, "2.5.29.32.0"}, got); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]bool{
		"2.23.140.1.2.1": true, huge: true, "2.5.29.32.0": true,
		"2.23.140.1.2": false, "2.23.140.1.2.1.0": false, "2.23.140.1.2.2": false, "1.2.3": false, // nor is it for anyPolicy
		"2.25.329800735698586629295641978511506172919": false,
	} {
		if id.HasPolicy(must(identity.ParsePolicyOID(text))) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	id.Policies()[0] = ""
	var none *identity.Identity
	if id.Policies()[0] == "" || id.HasPolicy("") || none.HasPolicy("x") || none.Policies() != nil {
		t.Error("a caller changed the policies, or nobody has one")
	}
	if without := must(identity.Of([]*x509.Certificate{leaf(t, nil)})); without.Policies() != nil || without.HasPolicy(must(identity.ParsePolicyOID("2.5.29.32.0"))) {
		t.Error("a certificate without the extension has a policy")
	}
	large := must(x509.OIDFromInts([]uint64{1, 2, 3, 1 << 40}))
	written := must(identity.Of([]*x509.Certificate{leaf(t, func(c *x509.Certificate) { c.Policies = []x509.OID{large} })}))
	if !written.HasPolicy(must(identity.ParsePolicyOID(large.String()))) {
		t.Error("a policy that crypto/x509 wrote is not there")
	}
}

func TestMalformedPoliciesHaveNoIdentity(t *testing.T) {
	t.Parallel()
	good := policyDER(t, "1.2.3")
	var many [][]byte
	for i := range 257 {
		many = append(many, tlv(0x30, tlv(6, []byte{0x2a, 0x81 + byte(i>>7), byte(i & 0x7f)})))
	}
	for label, der := range map[string][]byte{
		"nothing":                           nil,
		"no DER":                            []byte("1.2.3"),
		"an empty sequence":                 tlv(0x30),
		"a set":                             tlv(0x31, good),
		"data behind it":                    append(tlv(0x30, good), 0),
		"a policy that is an OID":           tlv(0x30, oidDER(t, "1.2.3")),
		"a policy without an OID":           tlv(0x30, tlv(0x30)),
		"a text for an OID":                 tlv(0x30, tlv(0x30, tlv(0x0c, []byte("1.2.3")))),
		"an empty OID":                      tlv(0x30, tlv(0x30, tlv(6))),
		"an OID that is cut off":            tlv(0x30, tlv(0x30, tlv(6, []byte{0x2a, 0x81}))),
		"an OID that is not minimal":        tlv(0x30, tlv(0x30, tlv(6, []byte{0x2a, 0x80, 0x03}))),
		"an OID of a class of its own":      tlv(0x30, tlv(0x30, tlv(0x86, []byte{0x2a, 3}))),
		"an OID that is far too long":       tlv(0x30, tlv(0x30, tlv(6, bytes.Repeat([]byte{0x81}, 1100), []byte{1}))),
		"the same policy twice":             tlv(0x30, good, policyDER(t, "1.2.4"), good),
		"257 policies":                      tlv(0x30, many...),
		"a qualifier that is a text":        tlv(0x30, policyDER(t, "1.2.3", tlv(0x0c, []byte("a")))),
		"two lists of qualifiers":           tlv(0x30, policyDER(t, "1.2.3", tlv(0x30), tlv(0x30))),
		"a qualifier without an OID":        tlv(0x30, policyDER(t, "1.2.3", tlv(0x30, tlv(0x30, tlv(0x0c, []byte("a")))))),
		"a qualifier without a value":       tlv(0x30, policyDER(t, "1.2.3", tlv(0x30, tlv(0x30, oidDER(t, "1.2.4"))))),
		"a qualifier with two values":       tlv(0x30, policyDER(t, "1.2.3", tlv(0x30, tlv(0x30, oidDER(t, "1.2.4"), tlv(5), tlv(5))))),
		"a qualifier that is no pair":       tlv(0x30, policyDER(t, "1.2.3", tlv(0x30, tlv(5)))),
		"a length beyond the end":           {0x30, 0x05, 0x30, 0x03},
		"a policy behind one that is fine":  tlv(0x30, good, tlv(0x30)),
		"an indefinite length":              {0x30, 0x80, 0, 0},
		"an OID whose first number is long": tlv(0x30, tlv(0x30, tlv(6, []byte{0x80, 0x2a}))),
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			id, err := identity.Of([]*x509.Certificate{withExtension(leaf(t, nil), oidPoliciesExtension, der)})
			wantError(t, err, "certificate policies")
			if id != nil {
				t.Errorf("it has the policies %v", id.Policies())
			}
		})
	}
	full := withExtension(leaf(t, nil), oidPoliciesExtension, tlv(0x30, many[:256]...))
	if id, err := identity.Of([]*x509.Certificate{full}); err != nil || len(id.Policies()) != 256 {
		t.Errorf("256 policies: %v", err)
	}
}

func FuzzPolicies(f *testing.F) {
	f.Add(tlv(0x30, policyDER(f, "2.23.140.1.2.1"), policyDER(f, "2.25.329800735698586629295641978511506172918")))
	f.Add(tlv(0x30, policyDER(f, "1.2.3", tlv(0x30, tlv(0x30, oidDER(f, "1.3.6.1.5.5.7.2.1"), tlv(0x16, []byte("x")))))))
	f.Add(tlv(0x30))
	base := leaf(f, nil)
	f.Fuzz(func(t *testing.T, der []byte) {
		id, err := identity.Of([]*x509.Certificate{withExtension(base, oidPoliciesExtension, der)})
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		if len(id.Policies()) == 0 {
			t.Error("an extension without a policy is fine")
		}
		for _, p := range id.Policies() {
			again, err := identity.ParsePolicyOID(p.String())
			if len(p.String()) <= 1024 && (err != nil || again != p) || !id.HasPolicy(p) {
				t.Errorf("%x reads back as %x, %v", string(p), string(again), err)
			}
		}
	})
}
