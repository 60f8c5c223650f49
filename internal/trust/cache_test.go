package trust_test

import (
	"crypto/x509"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

func TestTheSameLeafWithOtherIntermediatesIsAnotherChain(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := under(t, ca, 1)
	set := callers(t, ca)
	other := ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA A"}) // the name of the leaf's issuer, another key
	for range 2 {
		wantReason(t, set.Verify(trust.NewChain(leaf.Chain()), now), decision.OK)
		wantReason(t, set.Verify(trust.NewChain(leaf.Chain()[:1]), now), decision.CertificateUntrusted)
		wantReason(t, set.Verify(trust.NewChain(present(leaf, other)), now), decision.CertificateUntrusted)
		wantReason(t, set.Verify(trust.NewChain(present(leaf, other, leaf.Issuer)), now), decision.OK)
	}
}

func TestVerdictsOfOneSetAreNotAnothers(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	chain := trust.NewChain(ca.Leaf(t, testpki.Options{}).Chain())
	yes, no := callers(t, ca), callers(t, testpki.NewCA(t, testpki.Options{}))
	for range 2 {
		wantReason(t, yes.Verify(chain, now), decision.OK)
		wantReason(t, no.Verify(chain, now), decision.CertificateUntrusted)
	}
}

// hourly is a chain whose parts begin and cease to be valid at different hours, all at the half.
func hourly(tb testing.TB) (set *trust.Set, presented []*x509.Certificate, reasonAt func(hour int) decision.Reason) {
	tb.Helper()
	at := func(hour int) time.Time { return now.Add(time.Duration(hour)*time.Hour + 30*time.Minute) }
	between := func(name string, from, to int) testpki.Options {
		return testpki.Options{CommonName: name, NotBefore: at(from), NotAfter: at(to)}
	}
	// The anchor is there from 2 to 20, the intermediate from 4 to 14, the leaf from 6 to 10.
	ca := testpki.NewCA(tb, between("CA", 2, 20))
	leaf := ca.Intermediate(tb, between("Issuing CA", 4, 14)).Leaf(tb, between("leaf", 6, 10))
	return callers(tb, ca), leaf.Chain(), func(hour int) decision.Reason {
		switch {
		case hour <= 2 || hour > 20:
			return decision.CertificateUntrusted
		case hour <= 6:
			return decision.CertificateNotYetValid
		case hour <= 10:
			return decision.OK
		default:
			return decision.CertificateExpired
		}
	}
}

func TestTheClockGoesRoundHourByHour(t *testing.T) {
	t.Parallel()
	set, presented, reasonAt := hourly(t)
	chain := trust.NewChain(presented)
	check := func(hour int) {
		t.Helper()
		v := set.Verify(chain, now.Add(time.Duration(hour)*time.Hour))
		if v.Reason != reasonAt(hour) {
			t.Errorf("hour %d: %s (%s), want %s", hour, v.Reason, v.Detail, reasonAt(hour))
		}
	}
	for hour := range 24 {
		check(hour)
	}
	for hour := range 24 { // the clock goes back: what was learnt later must not be used
		check(23 - hour)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		check(random.IntN(24))
	}
}

func TestAVerdictIsExactToTheLastMoment(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	from, to := now.Add(-time.Hour), now.Add(time.Hour)
	chain := trust.NewChain(ca.Leaf(t, testpki.Options{NotBefore: from, NotAfter: to}).Chain())
	set := callers(t, ca)
	for range 2 {
		for _, tc := range []struct {
			at     time.Time
			reason decision.Reason
			until  time.Time
		}{
			{from.Add(-1), decision.CertificateNotYetValid, from},
			{from, decision.OK, to.Add(1)},
			{now, decision.OK, to.Add(1)},
			{to, decision.OK, to.Add(1)},
			{to.Add(1), decision.CertificateExpired, ca.Cert.NotAfter.Add(1)},
			{ca.Cert.NotAfter.Add(1), decision.CertificateUntrusted, time.Time{}},
		} {
			v := set.Verify(chain, tc.at)
			if v.Reason != tc.reason || !v.Until.Equal(tc.until) {
				t.Errorf("at %s: %s until %s, want %s until %s", tc.at, v.Reason, v.Until, tc.reason, tc.until)
			}
		}
	}
}

func TestAPinIsExactToTheLastMoment(t *testing.T) {
	t.Parallel()
	from, to := now.Add(-time.Hour), now.Add(time.Hour)
	pin := testpki.NewSelfSigned(t, testpki.Options{NotBefore: from, NotAfter: to})
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)}))
	for at, want := range map[time.Time]decision.Reason{
		from.Add(-1): decision.CertificateNotYetValid, from: decision.OK, to: decision.OK, to.Add(1): decision.CertificateExpired,
	} {
		wantReason(t, verify(t, set, present(pin), at), want)
	}
}

func TestARefusalEndsWhenAnotherAnchorBegins(t *testing.T) {
	t.Parallel()
	now := now
	young := testpki.NewCA(t, testpki.Options{NotBefore: now.Add(time.Hour)})
	old := testpki.NewCA(t, testpki.Options{CommonName: "Old"})
	chain := trust.NewChain(young.Leaf(t, testpki.Options{}).Chain())
	set := newSet(t, trust.ClientAuth, anchored(t, old), newStore(t, trust.StoreConfig{Name: "next", Anchors: cas(young)}))
	v := set.Verify(chain, now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !v.Until.Equal(now.Add(time.Hour)) {
		t.Errorf("until %s, want %s", v.Until, now.Add(time.Hour))
	}
	wantReason(t, set.Verify(chain, now.Add(time.Hour)), decision.OK)
}

// At any time and in any order of asking, the cache answers what validation would.
func TestTheCacheNeverChangesAnAnswer(t *testing.T) {
	t.Parallel()
	set, presented, _ := hourly(t)
	chains := []*trust.Chain{trust.NewChain(presented), trust.NewChain(presented[:1]), trust.NewChain(presented[1:])}
	random := rand.New(rand.NewPCG(3, 4))
	for range 600 {
		at := now.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
		if random.IntN(3) == 0 {
			at = at.Truncate(30 * time.Minute).Add(time.Duration(random.IntN(3) - 1)) // on a boundary or next to it
		}
		c := chains[random.IntN(len(chains))]
		if cached, fresh := set.Verify(c, at), set.Explain(c, at, nil); !same(cached, fresh) {
			t.Fatalf("at %s: cached %+v, fresh %+v", at, cached, fresh)
		}
	}
}

func TestVerdictsAreSharedWhileTheyHold(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	presented := ca.Leaf(t, testpki.Options{}).Chain()
	set := callers(t, ca)
	first := set.Verify(trust.NewChain(presented), now)
	if second := set.Verify(trust.NewChain(presented), now.Add(time.Hour)); second != first {
		t.Error("the second connection with the same chain was validated again")
	}
	refused := callers(t, testpki.NewCA(t, testpki.Options{}))
	if a, b := refused.Verify(trust.NewChain(presented), now), refused.Verify(trust.NewChain(presented), now); a != b {
		t.Error("a refusal was validated again")
	}
}

func TestASetServesManyConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	set, presented, reasonAt := hourly(t)
	shared := trust.NewChain(presented)
	stranger := trust.NewChain(testpki.NewSelfSigned(t, testpki.Options{}).Chain())
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				hour := (worker*7 + i) % 24
				at := now.Add(time.Duration(hour) * time.Hour)
				for _, c := range []*trust.Chain{shared, trust.NewChain(presented)} {
					if v := set.Verify(c, at); v.Reason != reasonAt(hour) {
						t.Errorf("hour %d: %s, want %s", hour, v.Reason, reasonAt(hour))
					}
				}
				if v := set.Verify(stranger, at); v.Reason != decision.CertificateUntrusted {
					t.Errorf("stranger: %s", v.Reason)
				}
			}
		})
	}
	wg.Wait()
}

func TestEndlessRefusedChainsDisplaceNobodyAccepted(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	set := callers(t, ca)
	chain := trust.NewChain(ca.Leaf(t, testpki.Options{}).Chain())
	accepted := set.Verify(chain, now)
	wantReason(t, accepted, decision.OK)
	var fillers []*x509.Certificate
	for _, name := range []string{"A", "B", "C", "D", "E", "F", "G", "H"} {
		fillers = append(fillers, testpki.NewSelfSigned(t, testpki.Options{CommonName: name}).Cert)
	}
	eve := testpki.NewSelfSigned(t, testpki.Options{CommonName: "eve"}).Cert
	random := rand.New(rand.NewPCG(5, 6))
	for range 4096 { // twice what is remembered of refused chains
		random.Shuffle(len(fillers), func(i, j int) { fillers[i], fillers[j] = fillers[j], fillers[i] })
		wantReason(t, set.Verify(trust.NewChain(append([]*x509.Certificate{eve}, fillers...)), now), decision.CertificateUntrusted)
	}
	if set.Verify(chain, now) != accepted {
		t.Error("refused chains displaced an accepted one")
	}
}

func TestACachedVerdictAllocatesNothing(t *testing.T) {
	ca := testpki.NewCA(t, testpki.Options{})
	yes, no := callers(t, ca), callers(t, testpki.NewCA(t, testpki.Options{}))
	chain := trust.NewChain(under(t, ca, 1).Chain())
	own := trust.NewChain(append(under(t, ca, 1).Chain(), ca.Leaf(t, testpki.Options{}).Cert))
	yes.Verify(own, now)
	if n := testing.AllocsPerRun(1000, func() { yes.Verify(own, now) }); n != 0 {
		t.Errorf("remembered by the chain alone: %v allocations", n)
	}
	for name, set := range map[string]*trust.Set{"accepted": yes, "refused": no, "no set": nil} {
		set.Verify(chain, now)
		if n := testing.AllocsPerRun(1000, func() { set.Verify(chain, now) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	ca := testpki.NewCA(b, testpki.Options{})
	set, chain := callers(b, ca), trust.NewChain(under(b, ca, 1).Chain())
	b.ReportAllocs()
	for b.Loop() {
		set.Verify(chain, now)
	}
}

func BenchmarkVerifyCachedParallel(b *testing.B) {
	ca := testpki.NewCA(b, testpki.Options{})
	set, chain := callers(b, ca), trust.NewChain(under(b, ca, 1).Chain())
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			set.Verify(chain, now)
		}
	})
}

func BenchmarkVerifyUncached(b *testing.B) {
	ca := testpki.NewCA(b, testpki.Options{})
	set, presented := callers(b, ca), under(b, ca, 1).Chain()
	b.ReportAllocs()
	for b.Loop() {
		set.Explain(trust.NewChain(presented), now, nil)
	}
}

func BenchmarkVerifyUncachedRefused(b *testing.B) {
	set, presented := callers(b, testpki.NewCA(b, testpki.Options{})), under(b, testpki.NewCA(b, testpki.Options{}), 1).Chain()
	b.ReportAllocs()
	for b.Loop() {
		set.Explain(trust.NewChain(presented), now, nil)
	}
}

// BenchmarkVerifyHostile is the most work that one unknown chain within the limits was found to cause.
func BenchmarkVerifyHostile(b *testing.B) {
	twin := testpki.NewCA(b, testpki.Options{CommonName: "Our CA"})
	presented := present(twin.Leaf(b, testpki.Options{}))
	for i := range 3 {
		presented = append(presented, testpki.NewCA(b, testpki.Options{CommonName: "Our CA", Signer: twin.Key, Hosts: []string{string(rune('a'+i)) + ".test"}}).Cert)
	}
	if c := trust.NewChain(presented); len(c.Certificates()) != len(presented) {
		b.Fatal("the chain is beyond the limits")
	}
	set := callers(b, testpki.NewCA(b, testpki.Options{CommonName: "Our CA"}))
	b.ReportAllocs()
	for b.Loop() {
		set.Explain(trust.NewChain(presented), now, nil)
	}
}

func BenchmarkNewChain(b *testing.B) {
	presented := under(b, testpki.NewCA(b, testpki.Options{}), 1).Chain()
	b.ReportAllocs()
	for b.Loop() {
		trust.NewChain(presented)
	}
}
