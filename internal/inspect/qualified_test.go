package inspect_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// psd2Statements is a QC statements extension of a payment service provider that the BaFin registered, with role as the name
// of its only role, PSP_AI.
func psd2Statements(tb testing.TB, role string) pkix.Extension {
	tb.Helper()
	type statement struct {
		ID   asn1.ObjectIdentifier
		Info asn1.RawValue `asn1:"optional"`
	}
	type named struct {
		ID   asn1.ObjectIdentifier
		Name string `asn1:"utf8"`
	}
	info := marshal(tb, struct {
		Roles   []named
		NCAName string `asn1:"utf8"`
		NCAID   string `asn1:"utf8"`
	}{[]named{{asn1.ObjectIdentifier{0, 4, 0, 19495, 1, 3}, role}}, "BaFin\u202e", "DE-BAFIN"})
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: marshal(tb, []statement{
		{ID: asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}}, {ID: asn1.ObjectIdentifier{0, 4, 0, 9, 9}}, {asn1.ObjectIdentifier{0, 4, 0, 19495, 2}, asn1.RawValue{FullBytes: info}},
	})}
}

func TestAQualifiedCertificateIsShown(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	subject := rawName(t, value{oidCN, asn1.TagUTF8String, "bank"}, value{asn1.ObjectIdentifier{2, 5, 4, 97}, asn1.TagUTF8String, `PSDDE-BAFIN-12*\`})
	for role, want := range map[string][]string{
		"PSP_AI": {
			"  qc statements        0.4.0.1862.1.1 QcCompliance\n                       0.4.0.9.9\n                       0.4.0.19495.2 PSD2\n",
			"    PSD2 roles         PSP_AI\n", "    PSD2 NCA           BaFin", ", DE-BAFIN\n",
		},
		"PSP_AS": {`cannot be read, so they say nothing: PSD2: the role PSP_AI is called "PSP_AS"`},
	} {
		leaf := ca.Leaf(t, soon(testpki.Options{RawSubject: subject, Extensions: []pkix.Extension{psd2Statements(t, role)}}))
		r := report(leaf.Cert)
		var text strings.Builder
		if err := r.Write(&text, "bank.pem"); err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%q is not in\n%s", part, text.String())
			}
		}
		if strings.Contains(text.String(), "\u202e") {
			t.Error("a direction mark reaches the terminal")
		}
		if !slices.Contains(r.Certificates[0].Matchers, `organization_identifier: "PSDDE-BAFIN-12\\*\\\\"`) {
			t.Errorf("matchers %q", r.Certificates[0].Matchers)
		}
		out, err := json.Marshal(r.Certificates[0].QCStatements)
		if err != nil || strings.Contains(string(out), `"roles":["PSP_AI"]`) != (role == "PSP_AI") || strings.Contains(string(out), "malformed") != (role != "PSP_AI") {
			t.Errorf("%s, %v", out, err)
		}
	}
	if c := report(ca.Leaf(t, soon(testpki.Options{})).Cert).Certificates[0]; c.QCStatements != nil {
		t.Errorf("an ordinary certificate says %s", "something: "+c.QCStatements.Malformed)
	}
}
