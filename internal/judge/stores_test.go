package judge_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/route"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// torn has references to what is not there; it only loads to be served in part.
const torn = `  - {name: whole, path: /whole/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: torn, path: /torn/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [partners, torn]}}
  - {name: absent, path: /absent/, listeners: [public], upstream: echo, client_certificate: {mode: optional, trust: [absent]}}
  - {name: naming, path: /naming/, listeners: [public], upstream: echo, client_certificate: {mode: none, trust: [torn]}}
  - {name: watched, path: /watched/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [torn], observe_only: true}}
  - {name: nowhere, path: /nowhere/, upstream: absent}
  - {name: lost, path: /lost/, upstream: lost}
  - {name: open, path: /open/, methods: [GET], upstream: echo}`

func TestWhatNeedsSomethingBrokenRefusesAndTheRestServes(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := replaced(t, document(torn), "  - {name: both,", "  - {name: torn, anchors: [{file: ca.pem}, {file: gone.pem}]}\n  - {name: both,")
	rules := p.partial(t, text)
	for _, c := range []struct {
		path string
		who  *testpki.Entity
		want string
	}{
		{"/whole/", p.partner, ""},
		{"/whole/", nil, "certificate_missing"},
		{"/torn/", p.partner, "trust_unavailable"}, // the store that is whole would accept it, and might be the laxer one
		{"/torn/", nil, "trust_unavailable"},
		{"/absent/", nil, "trust_unavailable"},
		{"/naming/", p.partner, "trust_unavailable"},
		{"/watched/", p.partner, "trust_unavailable"}, // to observe is no way around what is broken
		{"/nowhere/", nil, "trust_unavailable"},
		{"/lost/", nil, "upstream_unavailable"},
		{"/open/", nil, ""},
	} {
		v := opened(t, rules, "localhost", evidence(c.who))
		v.Target = c.path
		o := rules.Decide(v, nil)
		if got := reason(&o); got != c.want {
			t.Errorf("%s: %q (%s), want %q", c.path, got, o.Detail, c.want)
		}
	}
	var names []string
	for _, broken := range rules.Broken() {
		name, detail, _ := strings.Cut(broken, ": ")
		if detail == "" {
			t.Errorf("%s is broken, and nothing says why", name)
		}
		names = append(names, name)
	}
	if diff := cmp.Diff([]string{`API "torn"`, `API "absent"`, `API "naming"`, `API "watched"`, `API "nowhere"`, `API "lost"`}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAHandshakeAcceptsWithoutTheBrokenStores(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := replaced(t, document(torn), "  - {name: both,", "  - {name: torn, anchors: [{file: gone.pem}]}\n  - {name: both,")
	l := listener(t, p.partial(t, text), "public")
	if err := l.AskFor("localhost").VerifyHandshake(p.partner.Chain(), now()); err != nil {
		t.Error(err)
	}
	if err := l.AskFor("localhost").VerifyHandshake(p.outsider.Chain(), now()); err == nil {
		t.Error("a broken store accepts somebody")
	}
}

func TestSetsAreSharedAndTakenOver(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	doc := p.load(t, single("{mode: required}"), config.Options{})
	stores, err := judge.CompileStores(doc, nil, now())
	if err != nil {
		t.Fatal(err)
	}
	set := func(s *judge.Stores, use trust.Purpose, names ...string) *trust.Set {
		t.Helper()
		set, missing := s.Set(use, names)
		if missing != "" {
			t.Fatalf("%q is missing", missing)
		}
		return set
	}
	first := set(stores, trust.ClientAuth, "partners", "strangers")
	for name, same := range map[string]bool{
		"the same names":   first == set(stores, trust.ClientAuth, "partners", "strangers"),
		"in another order": first == set(stores, trust.ClientAuth, "strangers", "partners"),
		"one name twice":   first == set(stores, trust.ClientAuth, "partners", "strangers", "partners"),
		"one name less":    first != set(stores, trust.ClientAuth, "partners"),
		"towards backends": first != set(stores, trust.ServerAuth, "partners", "strangers"),
		"no names":         set(stores, trust.ClientAuth) == nil,
	} {
		if !same {
			t.Error(name)
		}
	}
	names := []string{"strangers", "partners"}
	set(stores, trust.ClientAuth, names...)
	if names[0] != "strangers" {
		t.Error("the names of somebody else were sorted")
	}
	if got, missing := stores.Set(trust.ClientAuth, []string{"partners", "gone", "missing"}); got != nil || missing != "gone" {
		t.Errorf("a set with a store that is not there: %v, missing %q", got, missing)
	}

	again, err := judge.CompileStores(p.load(t, single("{mode: required}"), config.Options{}), stores, now())
	if err != nil {
		t.Fatal(err)
	}
	if set(again, trust.ClientAuth, "partners", "strangers") != first {
		t.Error("a set of the same content was not taken over")
	}
	partners := set(again, trust.ClientAuth, "partners")
	p.ca.Write(t, p.dir, "stranger-ca")
	other, err := judge.CompileStores(p.load(t, single("{mode: required}"), config.Options{}), again, now())
	if err != nil {
		t.Fatal(err)
	}
	if set(other, trust.ClientAuth, "partners", "strangers") == first {
		t.Error("a set of other content was taken over")
	}
	if set(other, trust.ClientAuth, "partners") != partners {
		t.Error("a set that the change does not concern was made anew")
	}
}

func TestStoresSayWhatDeservesALook(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: now().Add(time.Hour)}).Write(t, p.dir, "stranger-ca")
	doc := p.load(t, single("{mode: required}"), config.Options{})
	stores, err := judge.CompileStores(doc, nil, now())
	if err != nil {
		t.Fatal(err)
	}
	old := func(notes []config.Note) []config.Note {
		return slices.DeleteFunc(slices.Clone(notes), func(n config.Note) bool { return !strings.Contains(n.Message, `"strangers": "CN=Old CA"`) })
	}
	if notes := old(stores.Notes()); len(notes) > 0 {
		t.Errorf("an anchor that is valid is noted: %v", notes)
	}
	later := now().Add(2 * time.Hour)
	store := slices.IndexFunc(doc.TrustStores, func(s config.TrustStore) bool { return s.Name == "strangers" })
	want := []config.Note{{
		Position: doc.Position(&doc.TrustStores[store].Anchors[0]),
		Message:  `trust store "strangers": "CN=Old CA" is skipped: it expired after ` + now().Add(time.Hour).UTC().Format(time.RFC3339),
	}}
	if want[0].Line == 0 || want[0].Column == 0 {
		t.Fatalf("the anchor has no place: %v", want[0])
	}
	if diff := cmp.Diff(want, old(stores.Warnings(later))); diff != "" {
		t.Errorf("what is said of an anchor that expired (-want +got):\n%s", diff)
	}
	if stores, err = judge.CompileStores(doc, nil, later); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, old(stores.Notes())); diff != "" {
		t.Errorf("what is noted of an anchor that has expired (-want +got):\n%s", diff)
	}
}

func TestARemarkNamesTheAnchorThatItIsAbout(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	old := testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: now().Add(-time.Hour)})
	pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "Old pin", NotAfter: now().Add(-time.Hour)})
	bundle := slices.Concat(testpki.EncodePEM(p.ca.Cert), testpki.EncodePEM(old.Cert))
	for name, data := range map[string][]byte{"bundle.pem": bundle, "old.pem": testpki.EncodePEM(old.Cert), "pin.pem": testpki.EncodePEM(pin.Cert)} {
		if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, anchors string
		at            int
	}{
		{"the second of a file", "[{file: ca.pem}, {file: bundle.pem}]", 1},
		{"twice the same: the first", "[{file: ca.pem}, {file: bundle.pem}, {file: old.pem}]", 1},
		{"a pin", "[{file: ca.pem}, {file: pin.pem}]", 1},
		{"twice the same pin: the first", "[{file: pin.pem}, {file: ca.pem}, {pin: true, certificate: {file: pin.pem}}]", 0},
		{"a reference", "[{file: ca.pem}, {certificate: {file: old.pem}}]", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			text := replaced(t, single("{mode: required}"), "trust_stores:\n", "trust_stores:\n  - {name: remarked, anchors: "+tc.anchors+"}\n")
			doc := p.load(t, text, config.Options{})
			stores, err := judge.CompileStores(doc, nil, now())
			if err != nil {
				t.Fatal(err)
			}
			want := doc.Position(&doc.TrustStores[0].Anchors[tc.at])
			notes := slices.DeleteFunc(stores.Notes(), func(n config.Note) bool { return !strings.Contains(n.Message, "expired after") })
			if len(notes) != 1 || notes[0].Position != want || want.Column == 0 {
				t.Errorf("%v; want one note, at %v", notes, want)
			}
		})
	}
}

func TestAPurposeAndADepthBelongToTheStore(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	server := p.ca.Leaf(t, testpki.Options{CommonName: "server", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for store, want := range map[string][2]string{
		"":                       {"", "certificate_purpose"},
		", purpose: client_auth": {"", "certificate_purpose"},
		", purpose: any":         {"", ""},
		", max_depth: 1":         {"", "certificate_purpose"},
		", max_depth: 0":         {"certificate_chain", "certificate_purpose"},
	} {
		rules := p.rules(t, replaced(t, single("{mode: required}"), "{file: pinned.pem}]", "{file: pinned.pem}]"+store))
		expect(t, decide(t, rules, evidence(p.partner)), want[0])
		expect(t, decide(t, rules, evidence(server)), want[1])
	}
	if doc := p.load(t, single("{mode: required}"), config.Options{}); doc != nil {
		doc.TrustStores[0].Purpose = config.PurposeServerAuth // config refuses that
		rules := compiled(t, doc)
		expect(t, decide(t, rules, evidence(p.partner)), "")
		expect(t, decide(t, rules, evidence(p.ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}))), "certificate_purpose")
	}
}

func TestAPinOfACAIsExactlyThatCertificate(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, replaced(t, single("{mode: required}"), "{file: ca.pem}, {file: pinned.pem}", "{file: ca.pem, pin: true}, {file: pinned.pem, pin: true}"))
	expect(t, decide(t, rules, evidence(p.ca)), "")
	expect(t, decide(t, rules, evidence(p.pinned)), "")
	expect(t, decide(t, rules, evidence(p.villain)), "certificate_untrusted")
}

func TestCompilingReportsWhatConfigShouldHaveRefused(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var list config.ErrorList

	doc := p.load(t, single("{mode: required}"), config.Options{})
	doc.TrustStores[1].Anchors = nil
	if _, err := judge.CompileStores(doc, nil, now()); !errors.As(err, &list) || len(list) != 1 {
		t.Errorf("a store without anchors: %v", err)
	}

	doc = p.load(t, single("{mode: required}"), config.Options{})
	twice := config.TLSProfile{ServerNames: []string{"a.test"}, Hosts: []route.HostPattern{hostPattern(t, "a.test")}}
	doc.Listeners[0].TLS.Profiles = []config.TLSProfile{twice, twice}
	stores, err := judge.CompileStores(doc, nil, now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := judge.Compile(doc, stores, usable); !errors.As(err, &list) || !strings.Contains(err.Error(), "server_names") {
		t.Errorf("one server name in two profiles: %v", err)
	}

	doc = p.load(t, single("{mode: required}"), config.Options{})
	if stores, err = judge.CompileStores(doc, nil, now()); err != nil {
		t.Fatal(err)
	}
	if set, missing := stores.Set(trust.Any, []string{"strangers"}); set != nil || missing != "strangers" {
		t.Errorf("a set that is used for anything: %v, missing %q", set, missing)
	}
	if _, err := judge.Compile(doc, stores, usable); !errors.As(err, &list) || !strings.Contains(err.Error(), "strangers") {
		t.Errorf("a set that cannot be made: %v", err)
	}
}

func TestACharacterThatIsNotKnownIsNotOptedInto(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	doc := p.load(t, document("  - {name: api, upstream: echo}"), config.Options{})
	doc.APIs[0].AllowInPath = []config.PathCharacter{"%00", "%2F"}
	rules := compiled(t, doc)
	v := opened(t, rules, "localhost", nil)
	v.Target = "/a%2fb"
	expect(t, rules.Decide(v, nil), "request_malformed")
}

func hostPattern(tb testing.TB, text string) route.HostPattern {
	tb.Helper()
	h, err := route.ParseHostPattern(text)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}
