package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/decision"
)

// Set is the stores in effect for an API or an upstream. It accepts what any of its stores accepts; a path, its purpose
// and its limits are judged inside one store. A Set owns a bounded cache of verdicts. Nil and the zero value refuse
// everything with trust_unavailable.
type Set struct {
	use         Purpose
	stores      []*Store
	fingerprint [32]byte
	announce    [][]byte
	boundaries  []time.Time // when anchors begin and cease to be valid, and purposes end, ascending
	cache       cache
}

// NewSet returns the set of the stores, in their order, equal ones once. The use says whose certificates are judged,
// and with that what PurposeDefault means: ClientAuth for callers, ServerAuth for backends; others are an error. So are
// no stores and a nil or zero Store.
func NewSet(use Purpose, stores ...*Store) (*Set, error) {
	if use != ClientAuth && use != ServerAuth {
		return nil, fmt.Errorf("a trust set is used for client_auth or server_auth, not %s", use)
	}
	if len(stores) == 0 {
		return nil, errors.New("a trust set without stores")
	}
	s := &Set{use: use}
	for _, store := range stores {
		if err := store.usable(); err != nil {
			return nil, err
		}
		same := func(o *Store) bool { return o.fingerprint == store.fingerprint }
		if !slices.ContainsFunc(s.stores, same) {
			s.stores = append(s.stores, store)
		}
	}
	s.prepare()
	return s, nil
}

// prepare computes what the stores together say.
func (s *Set) prepare() {
	digest := sha256.New()
	digest.Write([]byte{byte(s.use)})
	for _, store := range s.stores {
		digest.Write(store.fingerprint[:])
		for _, a := range store.anchors {
			s.announce = append(s.announce, a.RawSubject)
			s.boundaries = append(s.boundaries, a.NotBefore, afterLast(a))
		}
		if !store.until.IsZero() {
			s.boundaries = append(s.boundaries, store.until)
		}
		for _, p := range store.pins {
			s.announce = append(s.announce, p.RawIssuer)
		}
	}
	digest.Sum(s.fingerprint[:0])
	slices.SortFunc(s.announce, bytes.Compare)
	s.announce = slices.CompactFunc(s.announce, bytes.Equal)
	slices.SortFunc(s.boundaries, time.Time.Compare)
	s.boundaries = slices.CompactFunc(s.boundaries, time.Time.Equal)
	s.cache.prepare()
}

// Fingerprint returns a hash over the use and the stores in their order; zero for nil. Sets with the same fingerprint
// give the same verdicts.
func (s *Set) Fingerprint() [32]byte {
	if s == nil {
		return [32]byte{}
	}
	return s.fingerprint
}

// Stores returns the stores in their order. The caller must not change the slice.
func (s *Set) Stores() []*Store {
	if s == nil {
		return nil
	}
	return s.stores
}

// Announce returns the DER of the names that a handshake announces as acceptable issuers (RFC 8446 §4.2.4): the
// subjects of the CA anchors and the issuers of the pins, ascending, each once. The caller must not change them.
func (s *Set) Announce() [][]byte {
	if s == nil {
		return nil
	}
	return s.announce
}

// Verify says whether the chain is acceptable at the time now. Nothing presented is certificate_missing, a nil or zero
// set trust_unavailable. Once a chain has been seen, and until something in it or in the anchors begins or ceases to be
// valid or the purpose of a store ends, the answer comes from the cache, without a lock and without an allocation. A chain that is accepted although
// it has more in it than the path, or another order, is remembered by the Chain alone, so that nobody fills the cache
// with variations of his certificate. The certificates of a verdict from the cache are equal to those presented, not
// the same pointers.
func (s *Set) Verify(c *Chain, now time.Time) *Verdict {
	if v := s.shortcut(c, now); v != nil {
		return v
	}
	if v := s.cache.get(&c.id, now); v != nil {
		return v
	}
	if v := c.recall(s, now); v != nil {
		return v
	}
	v, w := s.judge(c, now, nil)
	if v.Accepted() {
		var owned *Verdict
		if c.spells(v) {
			owned = v.owned()
		}
		if owned == nil {
			c.remember(&ownVerdict{set: s, window: w, verdict: v})
			return v
		}
		v = owned
	}
	s.cache.put(&entry{id: c.id, window: w, verdict: v}, now)
	return v
}

// Explain does what Verify does without the cache and records in t what was presented, each store that was asked and
// what broke.
func (s *Set) Explain(c *Chain, now time.Time, t *decision.Trace) *Verdict {
	if v := s.shortcut(c, now); v != nil {
		t.Add("trust", decision.Fail, v.Err().Error())
		return v
	}
	if t.Enabled() {
		for i, cert := range c.certs {
			t.Addf("presented", decision.Info, "certificate %d of %d: %s, issued by %s, valid from %s through %s", i+1, len(c.certs),
				name(cert), issuerName(cert), cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	v, _ := s.judge(c, now, t)
	return v
}

// Namesakes returns the anchors that have the name of a certificate's issuer although another key signed it: the CA changed
// its key, or somebody used its name. Of many of one name it looks at so many as validation does. It is for explanations.
func (s *Set) Namesakes(cert *x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for _, store := range s.Stores() {
		for _, a := range store.namesakes(cert) {
			if slowness(a.cert) == "" && !signed(cert, a.cert) && !slices.ContainsFunc(found, a.cert.Equal) {
				found = append(found, a.cert)
			}
		}
	}
	return found
}

// shortcut returns the verdict where there is nothing to validate, else nil.
func (s *Set) shortcut(c *Chain, now time.Time) *Verdict {
	switch {
	case s == nil || len(s.stores) == 0:
		return unavailable
	case c == nil || len(c.certs) == 0 && c.refusal == nil:
		return missing
	case c.refusal != nil:
		return c.refusal
	case now.IsZero(): // to x509.Verify the zero time means the real clock
		return clockless
	}
	return nil
}

// The verdicts that need no chain.
var (
	unavailable = &Verdict{Reason: decision.TrustUnavailable, Detail: "no trust store is in effect"}
	missing     = &Verdict{Reason: decision.CertificateMissing}
	clockless   = &Verdict{Reason: decision.InternalError, Detail: "a certificate was to be judged without a clock"}
)

// judge asks the stores in their order. The first that accepts decides; otherwise the nearest failure is reported: the
// one that passed most checks, of the first store where several are equal.
func (s *Set) judge(c *Chain, now time.Time, t *decision.Trace) (*Verdict, window) {
	w := c.window(s.window(now), now)
	var nearest *finding
	var nearestStore *Store
	in := &inquiry{chain: c, now: now, use: s.use}
	for _, store := range s.stores {
		f := in.ask(store)
		f.record(t, in, store)
		if f.fault == nil {
			return f.verdict(store.name, w), w
		}
		if nearest == nil || rank(f.fault.reason) > rank(nearest.fault.reason) {
			nearest, nearestStore = f, store
		}
	}
	v := nearest.verdict(nearestStore.name, w)
	if v.Reason == decision.CertificateUntrusted && len(s.stores) > 1 {
		v.Detail += s.others(nearestStore)
	}
	if t.Enabled() { // a verdict that is kept must not keep what a peer sent
		v.Broken = nearest.fault.cert
	}
	return v, w
}

// window returns the time around now in which no anchor begins or ceases to be valid and no purpose ends.
func (s *Set) window(now time.Time) window {
	after, _ := slices.BinarySearchFunc(s.boundaries, now, func(boundary, now time.Time) int {
		if boundary.After(now) {
			return 1
		}
		return -1
	})
	var w window
	if after > 0 {
		w.since = s.boundaries[after-1]
	}
	if after < len(s.boundaries) {
		w.until = s.boundaries[after]
	}
	return w
}

// others names the stores besides one, for a detail.
func (s *Set) others(besides *Store) string {
	const most = 3
	var names []string
	for _, store := range s.stores {
		if store != besides {
			names = append(names, fmt.Sprintf("%q", store.name))
		}
	}
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	return "; nor is there one in " + strings.Join(names, ", ") + more
}

// rank orders refusals by how many checks were passed before: a path to an anchor, its form, its strength, its purpose,
// its validity, what the leaf says.
func rank(r decision.Reason) int {
	order := []decision.Reason{
		decision.CertificateUntrusted, decision.CertificateChain, decision.CertificateWeak, decision.CertificatePurpose,
		decision.CertificateNotYetValid, decision.CertificateExpired, decision.CertificateMalformed,
	}
	return slices.Index(order, r)
}
