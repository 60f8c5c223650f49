package inspect_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"testing"

	"sallyport/internal/inspect"
	"sallyport/internal/testpki"
)

func TestProblemsOfFiles(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	issuing := root.Intermediate(t, testpki.Options{CommonName: "Issuing"})
	leaf := issuing.Leaf(t, soon(testpki.Options{CommonName: "leaf"}))
	direct := root.Leaf(t, soon(testpki.Options{CommonName: "direct"}))
	impostor := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	stranger := testpki.NewSelfSigned(t, soon(testpki.Options{CommonName: "stranger"}))
	expired := root.Intermediate(t, testpki.Options{CommonName: "Expired", NotAfter: now.AddDate(0, 0, -1)})
	future := root.Intermediate(t, testpki.Options{CommonName: "Future", NotBefore: now.AddDate(0, 0, 1)})
	crlOnly := root.Intermediate(t, testpki.Options{CommonName: "CRL", Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }})
	below := func(ca *testpki.Entity) *testpki.Entity {
		return ca.Leaf(t, soon(testpki.Options{CommonName: "below"}))
	}
	rolled := impostor.CrossSign(t, root, testpki.Options{}) // says that it issued itself, with another key
	deep, deepFile := root, []*testpki.Entity{root}
	for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
		deep = deep.Intermediate(t, testpki.Options{CommonName: name})
		deepFile = append(deepFile, deep)
	}
	deepFile = append(deepFile, below(deep))
	slices.Reverse(deepFile)
	tests := []struct {
		name string
		file []*testpki.Entity
		want []string
	}{
		{"a whole chain in order", []*testpki.Entity{leaf, issuing, root}, nil},
		{"a chain without the root", []*testpki.Entity{leaf, issuing}, []string{"issuer_not_in_file"}},
		{"a leaf alone", []*testpki.Entity{leaf}, []string{"issuer_not_in_file"}},
		{"a chain upside down", []*testpki.Entity{root, issuing, leaf}, []string{"wrong_order"}},
		{"a chain with its middle at the end", []*testpki.Entity{leaf, root, issuing}, []string{"wrong_order"}},
		{"a leaf and its root", []*testpki.Entity{leaf, root}, []string{"missing_intermediate", "unrelated"}},
		{"a root of the right name only", []*testpki.Entity{direct, impostor}, []string{"issuer_did_not_sign", "unrelated"}},
		{"two roots of one name", []*testpki.Entity{root, impostor}, []string{"duplicate_subject"}},
		{"a list of roots", []*testpki.Entity{root, testpki.NewCA(t, testpki.Options{CommonName: "Other"})}, nil},
		{"a stranger", []*testpki.Entity{leaf, issuing, root, stranger}, []string{"unrelated"}},
		{"an expired intermediate", []*testpki.Entity{below(expired), expired, root}, []string{"expired_issuer"}},
		{"an intermediate from the future", []*testpki.Entity{below(future), future, root}, []string{"issuer_not_yet_valid"}},
		{"an intermediate that may not issue", []*testpki.Entity{below(crlOnly), crlOnly, root}, []string{"issuer_may_not_issue"}},
		{"a leaf that issued a leaf", []*testpki.Entity{stranger.Leaf(t, soon(testpki.Options{})), stranger}, []string{"issuer_may_not_issue"}},
		{"a root signed by its predecessor", []*testpki.Entity{rolled}, []string{"self_issued_not_self_signed"}},
		{"a root with its predecessor", []*testpki.Entity{rolled, impostor}, []string{"duplicate_subject"}},
		{"two of one key", []*testpki.Entity{direct, root, root.Leaf(t, soon(testpki.Options{CommonName: "x", Signer: direct.Key}))}, []string{"duplicate_key"}},
		{"more intermediates than a store allows", deepFile, []string{"deep_path"}},
		{
			"certificates without a name",
			[]*testpki.Entity{
				root, root.Leaf(t, soon(testpki.Options{RawSubject: rawName(t)})), root.Leaf(t, soon(testpki.Options{RawSubject: rawName(t)})),
			},
			[]string{"wrong_order"},
		},
	}
	for _, tt := range tests {
		r := report(certs(tt.file...)...)
		if got := ids(r.Problems); !slices.Equal(got, append([]string{}, tt.want...)) {
			t.Errorf("%s: %v, want %v", tt.name, r.Problems, tt.want)
		}
		for _, f := range r.Problems {
			if len(f.Certificates) == 0 || f.Message == "" {
				t.Errorf("%s: %s is about nothing: %q", tt.name, f.ID, f.Message)
			}
		}
	}
}

func TestWhoIssuedWhom(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	other := testpki.NewCA(t, testpki.Options{CommonName: "Other"})
	cross := other.CrossSign(t, root, testpki.Options{})
	leaf := root.Leaf(t, soon(testpki.Options{}))
	r := report(leaf.Cert, root.Cert, cross.Cert, other.Cert)
	want := [][]int{{2, 3}, {3}, {4}, {}} // the cross-signed one has the root's name and key
	for i, c := range r.Certificates {
		if !slices.Equal(c.IssuedBy, want[i]) {
			t.Errorf("certificate %d was issued by %v, want %v", i+1, c.IssuedBy, want[i])
		}
	}
	if !r.Certificates[1].SelfSigned || r.Certificates[2].SelfSigned || r.Certificates[0].SelfIssued {
		t.Error("self-signed is only what signed itself")
	}
}

// TestAnExpiredTwinOfTheIssuerDoesNotStandInTheWay has the same CA twice, once expired, in both orders.
func TestAnExpiredTwinOfTheIssuerDoesNotStandInTheWay(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	issuing := root.Intermediate(t, testpki.Options{CommonName: "Issuing"})
	old := root.CrossSign(t, issuing, testpki.Options{NotAfter: now.AddDate(0, 0, -1)})
	leaf := issuing.Leaf(t, soon(testpki.Options{}))
	for _, file := range [][]*testpki.Entity{{leaf, old, issuing, root}, {leaf, issuing, old, root}} {
		if u := report(certs(file...)...).Certificates[0].Uses[0]; !u.OK {
			t.Errorf("refused with %s: %s", u.Reason, u.Detail)
		}
	}
}

func TestLongListsOfNumbersAreShortened(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	file := certs(ca.Leaf(t, soon(testpki.Options{})), ca)
	for i := range 12 {
		file = append(file, testpki.NewSelfSigned(t, soon(testpki.Options{CommonName: fmt.Sprintf("other %d", i), Key: testpki.Ed25519})).Cert)
	}
	r := report(file...)
	at := slices.IndexFunc(r.Problems, func(f inspect.Finding) bool { return f.ID == "unrelated" })
	if at < 0 || len(r.Problems[at].Certificates) != 12 || r.Problems[at].Message[:len("Certificate 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more")] !=
		"Certificate 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more" {
		t.Errorf("%v", r.Problems)
	}
}
