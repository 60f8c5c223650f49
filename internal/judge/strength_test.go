package judge_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// withStore is a document whose store partners has these settings besides its anchors.
func withStore(t *testing.T, settings string) string {
	t.Helper()
	return replaced(t, single("{mode: required, trust: [partners]}"), "{file: pinned.pem}]}", "{file: pinned.pem}], "+settings+"}")
}

func TestWhatAStoreAsksForReachesJudging(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	server := p.issuing.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	mail := p.issuing.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
	old := p.issuing.Leaf(t, testpki.Options{Version1: true})
	rsa := p.issuing.Leaf(t, testpki.Options{Key: testpki.RSA2048})
	for _, c := range []struct {
		name, settings string
		who            *testpki.Entity
		want           string
	}{
		{"a server's where the client's purpose may be missing", "purpose: client_auth_or_missing", server, ""},
		{"one for mail where the client's purpose may be missing", "purpose: client_auth_or_missing", mail, "certificate_purpose"},
		{"a server's before the purpose ends", "purpose: client_auth_or_missing, until: 2026-03-01", server, ""},
		{"a server's after that", "purpose: client_auth_or_missing, until: 2026-02-28", server, "certificate_purpose"},
		{"a client's after that", "purpose: client_auth_or_missing, until: 2026-02-28", p.partner, ""},
		{"a server's at the moment when the purpose ends", "purpose: any, until: 2026-03-01T12:00:00Z", server, "certificate_purpose"},
		{"a server's in the last second", "purpose: any, until: 2026-03-01T13:00:01+01:00", server, ""},
		{"version 1", "max_depth: 5", old, "certificate_weak"},
		{"version 1 where it is not allowed", "allow_v1: false", old, "certificate_weak"},
		{"version 1 where it is allowed", "allow_v1: true", old, ""},
		{"RSA as large as asked for", "min_key_size: {rsa: 2048}", rsa, ""},
		{"RSA that is smaller than asked for", "min_key_size: {rsa: 2049}", rsa, "certificate_weak"},
		{"a curve as large as asked for", "min_key_size: {ec: P-256}", p.partner, ""},
		{"a curve that is smaller than asked for", "min_key_size: {ec: P-384}", p.partner, "certificate_weak"},
		{"a curve that is smaller by far", "min_key_size: {ec: P-521}", p.partner, "certificate_weak"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect(t, decide(t, p.rules(t, withStore(t, c.settings)), evidence(c.who)), c.want)
		})
	}
	for curve, detail := range map[string]string{"P-384": "384 are needed", "P-521": "521 are needed"} {
		if o := decide(t, p.rules(t, withStore(t, "min_key_size: {ec: "+curve+"}")), evidence(p.partner)); !strings.Contains(o.Detail, detail) {
			t.Errorf("%s: %s", curve, o.Detail)
		}
	}
}

// A connection that is open when the purpose ends gets no further: a verdict lives until then.
func TestAnOpenConnectionIsRefusedFromTheMomentWhenThePurposeEnds(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	server := p.issuing.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	rules := p.rules(t, withStore(t, "purpose: client_auth_or_missing, until: 2026-03-31"))
	until := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	v := opened(t, rules, "localhost", evidence(server))
	for _, c := range []struct {
		at   time.Time
		want string
	}{{now(), ""}, {until.Add(-1), ""}, {until, "certificate_purpose"}, {until.Add(time.Hour), "certificate_purpose"}} {
		v.Now = c.at
		expect(t, rules.Decide(v, nil), c.want)
	}
}

func TestAnExplanationNamesTheEndOfThePurpose(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	server := p.issuing.Leaf(t, testpki.Options{CommonName: "www", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	e := explain(t, p.rules(t, withStore(t, "purpose: client_auth_or_missing, until: 2026-03-31")), question("https://localhost/", server))
	if e.Reason != decision.OK {
		t.Fatalf("%s: %s", e.Reason, e.Detail)
	}
	said := false
	for _, check := range e.Checks {
		said = said || check.Name == "purpose" && strings.Contains(check.Detail, "the trust store is client_auth_or_missing, which ends at 2026-04-01T00:00:00Z")
	}
	if !said {
		t.Errorf("checks = %+v", e.Checks)
	}
	e = explain(t, p.rules(t, withStore(t, "purpose: client_auth_or_missing, until: 2026-02-28")), question("https://localhost/", server))
	if e.Reason != decision.CertificatePurpose || !strings.Contains(e.Detail, "until 2026-03-01T00:00:00Z the purpose of the trust store was client_auth_or_missing") {
		t.Errorf("%s: %s", e.Reason, e.Detail)
	}
	advises(t, e, "issued anew with the extended key usage clientAuth")
	if len(e.Changes) != 1 {
		t.Errorf("the purpose has ended, and the advice is %q", e.Changes)
	}
}

func TestTheAdviceOfAnotherPurposeComesWhereItHelpsAndSaysWhatItOpens(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for usage, helps := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageServerAuth: true, x509.ExtKeyUsageEmailProtection: false} {
		leaf := p.issuing.Leaf(t, testpki.Options{CommonName: "other", ExtKeyUsage: []x509.ExtKeyUsage{usage}})
		for store, offered := range map[string]bool{"purpose: client_auth": helps, "max_depth: 5": helps} {
			e := explain(t, p.rules(t, withStore(t, store)), question("https://localhost/", leaf))
			if e.Reason != decision.CertificatePurpose {
				t.Fatalf("%s: %s", e.Reason, e.Detail)
			}
			text := strings.Join(e.Changes, "\n")
			if said := strings.Contains(text, "client_auth_or_missing") && strings.Contains(text, "everybody passes who has a server's certificate"); said != offered {
				t.Errorf("%v under %s: %q", usage, store, text)
			}
		}
	}
}

func TestThePurposesEndIsNotedWhenTheDocumentIsLoaded(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for until, want := range map[string]string{
		"2026-02-28": `trust store "partners": its purpose any ended at 2026-03-01T00:00:00Z`,
		"2026-05-01": `trust store "partners": its purpose any ends at 2026-05-02T00:00:00Z`,
		"2027-03-14": "",
	} {
		doc := p.load(t, withStore(t, "purpose: any, until: "+until), config.Options{})
		stores, err := judge.CompileStores(doc, nil, now())
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		for _, n := range stores.Notes() {
			if strings.Contains(n.Message, "its purpose") {
				notes = append(notes, n.Message)
				if n.Position != doc.Position(&doc.TrustStores[0].Until) || n.Line == 0 {
					t.Errorf("%s: the note is at %s", until, n.Position)
				}
			}
		}
		if (len(notes) == 1) != (want != "") || want != "" && !strings.Contains(notes[0], want) {
			t.Errorf("%s: %q", until, notes)
		}
	}
}
