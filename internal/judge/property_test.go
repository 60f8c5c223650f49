package judge_test

import (
	"crypto/elliptic"
	"crypto/x509/pkix"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// lottery draws documents about callers out of everything that a list can say.
type lottery struct {
	*rand.Rand
	p       *pki
	entries []string
	callers []*testpki.Entity
}

func newLottery(t *testing.T) *lottery {
	t.Helper()
	p := newPKI(t)
	l := &lottery{Rand: rand.New(rand.NewPCG(5, 18)), p: p} // a repeatable test
	bank := p.ca.Leaf(t, testpki.Options{
		Subject: pkix.Name{CommonName: "bank", ExtraNames: []pkix.AttributeTypeAndValue{organization("PSDDE-BAFIN-1")}}, Adjust: withPolicies(t, "1.2.3", "2.5.29.32.0"),
	})
	two := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "orders"}, {Type: []int{2, 5, 4, 3}, Value: "villain"}, organization("PSDDE-BAFIN-1"), organization("VATDE-1"),
	}}})
	l.callers = []*testpki.Entity{nil, p.partner, p.villain, p.outsider, p.pinned, p.ca, bank, two, reencoded(t, p.partner, elliptic.P256().Params().N, 0)}
	for _, e := range p.kinds(t) {
		l.callers = append(l.callers, e)
	}
	p.write(t, "some.txt", thumbprint(p.partner)+"\n"+thumbprint(two))
	p.write(t, "others.txt", thumbprint(p.villain)+"\n"+strings.Repeat("0", 64))
	p.writeCertificate(t, "partner.pem", p.partner)
	p.writeCertificate(t, "bank.pem", bank)
	for _, e := range []*testpki.Entity{p.partner, p.villain, p.pinned, bank, two} {
		l.entries = append(l.entries, "sha256: "+thumbprint(e))
	}
	l.entries = append(l.entries,
		"sha256_file: some.txt", "sha256_file: others.txt", "certificate: {file: partner.pem}", "certificate: {file: bank.pem}",
		"issuer_sha256: "+thumbprint(p.ca), "issuer_sha256: "+thumbprint(p.issuing), "common_name: orders", "common_name: villain", "common_name: '*a*'",
		"organization_identifier: PSDDE-BAFIN-1", "organization_identifier: 'VAT*'", "policy_oid: 1.2.3", "policy_oid: 2.5.29.32.0",
		"subject: 'CN=orders,*'", "subject: CN=villain", "subject: 'CN=*,**', match: ant", "subject: CN=villain, match: exact", "issuer: CN=Partner CA", "issuer: 'CN=*'",
		"serial: '1f2e'", "san_dns: '*.acme.test'", "san_uri: 'spiffe://acme.test/**'", "san_email: '*@acme.test'", "san_ip: 192.0.2.0/24",
	)
	return l
}

// list draws up to five entries, some of them with two fields; it may be empty.
func (l *lottery) list() []string {
	var list []string
	for range l.IntN(6) {
		list = append(list, l.entry())
	}
	return list
}

func (l *lottery) entry() string {
	a := l.entries[l.IntN(len(l.entries))]
	b := l.entries[l.IntN(len(l.entries))]
	field := func(entry string) string { name, _, _ := strings.Cut(entry, ":"); return name }
	if l.IntN(3) > 0 || field(a) == field(b) || strings.Contains(a, "match:") && strings.Contains(b, "match:") ||
		strings.Contains(a+b, "match:") && strings.Contains(a, "CN=") && strings.Contains(b, "CN=") {
		return a
	}
	return a + ", " + b
}

// said is what the three levels say: the lists by level, and the rest of each level.
type said struct {
	rest        [3]string
	allow, deny [3][]string
	trust       [3][]string
}

func (l *lottery) draw() *said {
	var s said
	for i := range s.rest {
		s.deny[i] = l.list()
		s.allow[i] = l.list()
		if len(slices.Concat(s.allow[:i]...)) > 0 && len(s.allow[i]) > 0 && l.IntN(2) == 0 {
			s.allow[i] = append(s.allow[i], "inherit")
		}
		s.trust[i] = [][]string{nil, {"partners"}, {"partners", "strangers"}, {"both"}}[l.IntN(4)]
		s.rest[i] = []string{"mode: required", "mode: required", "mode: required", "mode: optional", "mode: none", "mode: optional, on_invalid: ignore", "mode: required, observe_only: true"}[l.IntN(7)]
	}
	return &s
}

// text is the document; shuffle changes the order of every list.
func (s *said) text(shuffle func(list []string)) string {
	var levels [3]string
	for i := range levels {
		out := "{" + s.rest[i]
		for _, list := range []struct {
			key     string
			entries []string
		}{{"allow", s.allow[i]}, {"deny", s.deny[i]}, {"trust", s.trust[i]}} {
			if len(list.entries) == 0 {
				continue
			}
			entries := slices.Clone(list.entries)
			shuffle(entries)
			for k, entry := range entries {
				if strings.Contains(entry, ":") {
					entries[k] = "{" + entry + "}"
				}
			}
			out += ", " + list.key + ": [" + strings.Join(entries, ", ") + "]"
		}
		levels[i] = out + "}"
	}
	return inherited(levels[0], levels[1], levels[2])
}

// verdict is what a decision comes to: 0 for refused, 1 for anonymous, 2 for known, and the reason.
func (l *lottery) verdict(t *testing.T, rules *judge.Rules, who *testpki.Entity) (grant int, reason string) {
	t.Helper()
	o := decide(t, rules, evidence(who))
	switch {
	case !o.Allowed():
		return 0, o.Reason.String()
	case !o.Caller.Known():
		return 1, o.WouldBe.Reason.String()
	}
	return 2, o.WouldBe.Reason.String()
}

// TestMoreDenyNeverGrantsAndOrderNeverMatters draws documents of three levels and holds two rules against each: who is
// refused stays refused however many entries of deny are added wherever, and no list has an order.
func TestMoreDenyNeverGrantsAndOrderNeverMatters(t *testing.T) {
	t.Parallel()
	l := newLottery(t)
	asWritten := func([]string) {}
	shuffled := func(list []string) { l.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) }
	grants, refusals, changed := 0, 0, 0
	for range 60 {
		s := l.draw()
		more := *s
		level := l.IntN(3)
		more.deny[level] = append(slices.Clone(s.deny[level]), l.entry(), l.entry(), l.entry(), l.entry(), l.entry())
		before, other, denied := l.p.rules(t, s.text(asWritten)), l.p.rules(t, s.text(shuffled)), l.p.rules(t, more.text(shuffled))
		for i, who := range l.callers {
			grant, reason := l.verdict(t, before, who)
			if again, because := l.verdict(t, other, who); again != grant || because != reason {
				t.Errorf("caller %d: %d %s, and in another order %d %s:\n%s", i, grant, reason, again, because, s.text(asWritten))
			}
			less, because := l.verdict(t, denied, who)
			if less > grant {
				t.Errorf("caller %d: %d %s, and with more denied %d %s:\n%s\n%v", i, grant, reason, less, because, s.text(asWritten), more.deny)
			}
			if less != grant {
				changed++
			}
			if grant > 0 {
				grants++
			} else {
				refusals++
			}
		}
	}
	if grants < 100 || refusals < 100 || changed < 10 {
		t.Errorf("%d grants, %d refusals, %d changed: too few to mean anything", grants, refusals, changed)
	}
	t.Logf("%d grants, %d refusals, %d changed by five more entries", grants, refusals, changed)
}
