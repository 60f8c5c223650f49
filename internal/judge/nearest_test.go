package judge_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// nearest is what explain calls nearest to a caller whom none of the entries allows.
func nearest(t *testing.T, p *pki, who *testpki.Entity, entries ...string) *judge.Explanation {
	t.Helper()
	rules := p.rules(t, single("{mode: required, allow: [{"+strings.Join(entries, "}, {")+"}]}"))
	e := explain(t, rules, question("https://localhost/", who))
	if e.Reason.String() != "certificate_not_allowed" {
		t.Fatalf("%s: %s %s", entries, e.Reason, e.Detail)
	}
	return e
}

func TestTheEntryThatAPersonWouldCallNearestComesFirst(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	who := p.partner // CN=orders,OU=API,O=Acme,C=US and several alternative names
	several := p.ca.Leaf(t, testpki.Options{
		Subject: pkix.Name{CommonName: "Orders Europe", Organization: []string{"Acme"}},
		URIs:    []string{"spiffe://acme.test/other", "spiffe://acme.test/Orders/EU"}, Emails: []string{"x@acme.test", "Ops.Eu@acme.test"},
	})
	const unrelated = "sha256: 0000000000000000000000000000000000000000000000000000000000000001"
	for _, c := range []struct {
		name    string
		who     *testpki.Entity
		entries []string
		first   string // "" when none is near
	}{
		{"case in a common name", who, []string{unrelated, "common_name: Orders"}, "common_name: Orders"},
		{"case in a subject", who, []string{unrelated, "subject: 'CN=Orders,OU=API,O=ACME,C=US'"}, "subject: CN=Orders,OU=API,O=ACME,C=US"},
		{"case in a subject of one attribute", p.villain, []string{unrelated, "subject: CN=Villain"}, "subject: CN=Villain"},
		{"blanks in a common name", several, []string{unrelated, "common_name: ordersEurope"}, "common_name: ordersEurope"},
		{"blanks and case in a subject", several, []string{unrelated, "subject: 'CN=orders-europe,O=acme'"}, "subject: CN=orders-europe,O=acme"},
		{"case in one of several URIs", several, []string{unrelated, "san_uri: spiffe://acme.test/orders/eu"}, "san_uri: spiffe://acme.test/orders/eu"},
		{"a dot in one of several addresses", several, []string{unrelated, "san_email: ops-eu@acme.test"}, "san_email: ops-eu@acme.test"},
		{"part of a subject before none", who, []string{"subject: 'CN=x,O=Y'", "subject: 'CN=x,O=Acme'"}, "subject: CN=x,O=Acme"},
		{"more of a subject before less", who, []string{"subject: 'CN=x,O=Acme,OU=Y,C=US'", "subject: 'CN=x,O=Acme,OU=API,C=US'"}, "subject: CN=x,O=Acme,OU=API,C=US"},
		{"a typo before another name", who, []string{"subject: 'CN=invoices,O=Acme,*'", "subject: 'CN=Orders,O=Acme,*'"}, "subject: CN=Orders,O=Acme,*"},
		{"what holds before a typo", who, []string{"common_name: Orders", "common_name: orders, serial: '1f2f'", "common_name: ORDERS, serial: '1f2e'"}, "common_name: ORDERS, serial: 1f2e"},
		{"all fields but one before half of them", who, []string{"common_name: orders, serial: '1f2f'", "common_name: orders, serial: '1f2e', san_dns: b.acme.test"}, "common_name: orders, serial: 1f2e, san_dns: b.acme.test"},
		{"a subject that leaves something out", who, []string{unrelated, "subject: 'CN=orders,O=Acme'"}, "subject: CN=orders,O=Acme"},
		{"of equals the first", who, []string{"subject: 'CN=a,O=Acme'", "subject: 'CN=b,O=Acme'"}, "subject: CN=a,O=Acme"},
		{"an exact subject by its end", who, []string{"subject: 'CN=x,O=Y,C=DE', match: exact", "subject: 'CN=x,OU=API,O=Acme,C=US', match: exact"}, "subject: CN=x,OU=API,O=Acme,C=US"},
		{"an ant pattern with a typo", who, []string{unrelated, "subject: 'CN=Orders,OU=API,O=Acme,C=US', match: ant"}, "subject: CN=Orders,OU=API,O=Acme,C=US"},
		{"the issuer with a typo", who, []string{unrelated, "issuer: CN=issuing ca"}, "issuer: CN=issuing ca"},
		{"nothing is near", who, []string{unrelated, "common_name: invoices", "san_ip: 192.0.2.8", "policy_oid: 1.2.3"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := nearest(t, p, c.who, c.entries...)
			if (c.first == "") != (len(e.Nearest) == 0) {
				t.Fatalf("near is %+v", e.Nearest)
			}
			if c.first != "" && e.Nearest[0].Entry != "{"+c.first+"}" {
				t.Errorf("first comes %s, of %+v", e.Nearest[0].Entry, e.Nearest)
			}
			advised := strings.Contains(strings.Join(e.Changes, "\n"), "meant to match {"+c.first+"}")
			if advised != (c.first != "") {
				t.Errorf("the advice is %q", e.Changes)
			}
			if c.first != "" && !strings.Contains(e.Detail, e.Nearest[0].String()) || !strings.Contains(e.Detail, fmt.Sprint(len(c.entries))) {
				t.Errorf("the detail is %q", e.Detail)
			}
		})
	}
}

func TestAMissSaysFieldByFieldWhatWasExpectedAndPresented(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	zero := strings.Repeat("0", 63) + "1"
	many := p.ca.Leaf(t, testpki.Options{CommonName: "many", Hosts: []string{"a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test"}})
	latin := p.ca.Leaf(t, testpki.Options{CommonName: "alice"})
	cyrillic := p.ca.Leaf(t, testpki.Options{CommonName: "\u0430lice"})
	twice := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "b"},
	}}})
	for _, c := range []struct {
		who     *testpki.Entity
		entry   string
		matched []string
		failed  []string // their beginnings
	}{
		{p.partner, "sha256: " + zero, nil, []string{`sha256 expected "` + zero + `", presented "` + thumbprint(p.partner)}},
		{p.partner, "sha1: '" + zero[:39] + "1'", nil, []string{"sha1 expected"}},
		{p.partner, "spki_sha256: " + zero, nil, []string{"spki_sha256 expected"}},
		{p.partner, "issuer_sha256: " + zero, nil, []string{`issuer_sha256 expected "` + zero + `", presented "` + thumbprint(p.issuing)}},
		{p.pinned, "issuer_sha256: " + zero, nil, []string{`issuer_sha256 expected "` + zero + `", none presented`}},
		{p.partner, "subject: 'CN=Orders,OU=API,O=Acme,C=US'", nil, []string{`subject CN=Orders,OU=API,O=Acme,C=US: `}},
		{p.partner, "issuer: CN=Other", nil, []string{`issuer CN=Other: CN expected "Other", presented "Issuing CA"`}},
		{p.partner, "common_name: x", nil, []string{`common_name expected "x", presented "orders"`}},
		{p.partner, "serial: '1f2f'", nil, []string{`serial expected "1f2f", presented`}},
		{p.partner, "san_dns: b.test", nil, []string{`san_dns expected "b.test", presented "a.acme.test"`}},
		{p.partner, "san_uri: 'spiffe://x/y'", nil, []string{`san_uri expected "spiffe://x/y", presented "spiffe://acme.test/orders/eu"`}},
		{p.partner, "san_email: x@y.test", nil, []string{`san_email expected "x@y.test", presented "ops@acme.test"`}},
		{p.partner, "san_ip: 192.0.2.8", nil, []string{`san_ip expected "192.0.2.8", presented "192.0.2.7"`}},
		{p.villain, "san_ip: 192.0.2.8", nil, []string{`san_ip expected "192.0.2.8", none presented`}},
		{many, "san_dns: x.test", nil, []string{`san_dns expected "x.test", presented "a.test", "b.test", "c.test", "d.test", "e.test" and 2 more`}},
		{p.partner, "common_name: '\u0430lice'", nil, []string{`common_name expected "\u0430lice", presented "orders"`}},
		{cyrillic, "common_name: alice", nil, []string{`common_name expected "alice", presented "\u0430lice"`}},
		{cyrillic, "subject: CN=alice, match: ant", nil, []string{`subject CN=alice: expected "CN=alice", presented "CN=\u0430lice"`}},
		{cyrillic, "subject: CN=alice", nil, []string{`subject CN=alice: CN expected "alice", presented "\u0430lice"`}},
		{latin, "subject: 'CN=\u0430lice'", nil, []string{"subject CN=\u0430lice: CN expected \"\\u0430lice\", presented \"alice\""}},
		{twice, "common_name: a", nil, []string{`common_name expected "a" alone, presented "a", "b"`}},
		{p.partner, "common_name: orders, serial: '1f2f', san_dns: a.acme.test", []string{"common_name", "san_dns"}, []string{"serial expected"}},
	} {
		e := nearest(t, p, c.who, c.entry)
		miss := e.Nearest[0]
		if diff := cmp.Diff(c.matched, miss.Matched); diff != "" {
			t.Errorf("%s: %s", c.entry, diff)
		}
		if len(miss.Failed) != len(c.failed) {
			t.Fatalf("%s: %q", c.entry, miss.Failed)
		}
		for i := range c.failed {
			if !strings.HasPrefix(miss.Failed[i], c.failed[i]) {
				t.Errorf("%s: %q", c.entry, miss.Failed[i])
			}
		}
	}
	advises(t, nearest(t, p, twice, "common_name: a"), "{common_name: a} is for certificates with one common name", "name its subject instead", "not correct the entry")
	if e := nearest(t, p, p.partner, "common_name: orders, serial: '1f2f', san_dns: a.acme.test"); !strings.HasPrefix(e.Nearest[0].String(), "common_name and san_dns matched; serial expected") {
		t.Errorf("%s", &e.Nearest[0])
	}
}

func TestOfALongListTheNearEntriesAreShownAndTheLogHasOne(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var entries []string
	for i := range 40 {
		entries = append(entries, fmt.Sprintf("common_name: nobody-%d", i))
	}
	entries = append(entries, "common_name: Orders")
	e := nearest(t, p, p.partner, entries...)
	if len(e.Nearest) != 1 || e.Nearest[0].Entry != "{common_name: Orders}" {
		t.Errorf("%+v", e.Nearest)
	}
	for range 4 {
		entries = append(entries, "common_name: ORDERS")
	}
	if e := nearest(t, p, p.partner, entries...); len(e.Nearest) != 3 {
		t.Errorf("%+v", e.Nearest)
	}
	// A request that waits for its refusal compares a few entries, and says so.
	for first, want := range map[string]string{
		"common_name: nobody": `none of 46 entries matches "CN=orders,OU=API,O=Acme,C=US"`,
		"common_name: ORDERS": `none of 46 entries matches "CN=orders,OU=API,O=Acme,C=US"; nearest of the first 16: common_name expected "ORDERS", presented "orders"`,
	} {
		rules := p.rules(t, single("{mode: required, allow: [{"+first+"}, {"+strings.Join(entries, "}, {")+"}]}"))
		if o := decide(t, rules, evidence(p.partner)); o.Detail != want {
			t.Errorf("%s", o.Detail)
		}
	}
}

func TestADeniedCertificateIsToldByWhichEntry(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: required, deny: [{common_name: nobody}, {common_name: orders, san_ip: 192.0.2.0/24}]}"))
	if o := decide(t, rules, evidence(p.partner)); o.Detail != "the entry {common_name: orders, san_ip: 192.0.2.0/24} matches" {
		t.Errorf("%s", o.Detail)
	}
}
