package judge

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/trust"
)

// Stores are the trust stores of a document, compiled, and the sets that were asked of them. A set with the content of one
// of the previous generation is that one, with everything its cache knows.
type Stores struct {
	byName   map[string]*trust.Store // the usable ones
	order    []namedStore            // the same, in the order of the document
	sets     map[string]*trust.Set   // by purpose and the names of their stores
	previous map[[32]byte]*trust.Set // by fingerprint
	notes    []config.Note
	failed   error // of making a set; it is a mistake of the document
}

// CompileStores compiles the trust stores of a document. A store that the document calls broken is left out: whoever names
// it is refused. A nil previous is the first compilation. The error is a config.ErrorList.
func CompileStores(doc *config.Document, previous *Stores, now time.Time) (*Stores, error) {
	s := &Stores{byName: map[string]*trust.Store{}, sets: map[string]*trust.Set{}, previous: map[[32]byte]*trust.Set{}}
	if previous != nil {
		for _, set := range previous.sets {
			s.previous[set.Fingerprint()] = set
		}
	}
	var errs config.ErrorList
	for i := range doc.TrustStores {
		ts := &doc.TrustStores[i]
		if ts.Broken != nil {
			continue
		}
		store, err := newStore(ts)
		if err != nil {
			errs = append(errs, config.Error{Position: doc.Position(&ts.Anchors), Message: err.Error()})
			continue
		}
		named := namedStore{Store: store, until: doc.Position(&ts.Until)}
		for k := range ts.Anchors {
			named.anchors = append(named.anchors, anchor{ts.Anchors[k].Certificates, doc.Position(&ts.Anchors[k])})
		}
		s.notes = append(s.notes, named.warnings(now)...)
		s.byName[ts.Name] = store
		s.order = append(s.order, named)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

func newStore(ts *config.TrustStore) (*trust.Store, error) {
	cfg := trust.StoreConfig{Name: ts.Name, Purpose: purposeOf(ts.Purpose), MaxDepth: -1, Until: ts.Until.Time(), MinKeySize: keySize(ts.MinKeySize), AllowV1: ts.AllowV1}
	if ts.MaxDepth != nil {
		cfg.MaxDepth = *ts.MaxDepth
	}
	for _, a := range ts.Anchors {
		for _, cert := range a.Certificates {
			cfg.Anchors = append(cfg.Anchors, trust.Anchor{Certificate: cert, Pin: a.Pin})
		}
	}
	return trust.NewStore(cfg)
}

func purposeOf(p config.Purpose) trust.Purpose {
	switch p {
	case config.PurposeClientAuth:
		return trust.ClientAuth
	case config.PurposeServerAuth:
		return trust.ServerAuth
	case config.PurposeAny:
		return trust.Any
	case config.PurposeClientAuthOrMissing:
		return trust.ClientAuthOrMissing
	}
	return trust.PurposeDefault
}

// keySize returns the smallest keys that the document asks for; zero is what the store asks for anyhow.
func keySize(k *config.KeySize) trust.KeySize {
	var size trust.KeySize
	if k == nil {
		return size
	}
	if k.RSA != nil {
		size.RSA = *k.RSA
	}
	switch k.EC {
	case config.CurveP256:
		size.EC = 256
	case config.CurveP384:
		size.EC = 384
	case config.CurveP521:
		size.EC = 521
	}
	return size
}

// namedStore is a trust store and where the document names what is in it.
type namedStore struct {
	*trust.Store

	anchors []anchor
	until   config.Position // of the end of its purpose
}

type anchor struct {
	certificates []*x509.Certificate
	position     config.Position
}

// warnings are the store's, each at the first anchor that has the certificate, or at the end of the purpose.
func (s namedStore) warnings(now time.Time) []config.Note {
	warnings := s.Warnings(now)
	if len(warnings) == 0 {
		return nil
	}
	places := map[*x509.Certificate]config.Position{nil: s.until} // made anew: it is seldom needed, and a store can be large
	for _, a := range slices.Backward(s.anchors) {
		for _, cert := range a.certificates {
			places[cert] = a.position
		}
	}
	notes := make([]config.Note, len(warnings))
	for i, w := range warnings {
		notes[i] = config.Note{Position: places[w.Certificate], Message: w.Text}
	}
	return notes
}

// Notes are remarks about the stores at the time when they were compiled, such as an anchor that has expired, each with
// the place of that anchor.
func (s *Stores) Notes() []config.Note { return s.notes }

// Warnings are what the stores deserve a look for at a time, such as an anchor that has expired since.
func (s *Stores) Warnings(now time.Time) []config.Note {
	var all []config.Note
	for _, store := range s.order {
		all = append(all, store.warnings(now)...)
	}
	return all
}

// Set returns the trust set of the named stores, shared by everybody who names the same ones. It is nil when names is
// empty or one of the stores cannot be used: a set that silently lacked a store could refuse or accept something else
// than what was asked for. The second result says which store is missing. It is called while a document is compiled, and
// not concurrently.
func (s *Stores) Set(use trust.Purpose, names []string) (set *trust.Set, missing string) {
	if len(names) == 0 {
		return nil, ""
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	key := fmt.Sprintf("%d\x00%s", use, strings.Join(names, "\x00"))
	if set, ok := s.sets[key]; ok {
		return set, ""
	}
	stores := make([]*trust.Store, len(names))
	for i, name := range names {
		if stores[i] = s.byName[name]; stores[i] == nil {
			return nil, name
		}
	}
	fresh, err := trust.NewSet(use, stores...)
	if err != nil {
		s.failed = fmt.Errorf("trust stores %q: %w", names, err)
		return nil, names[0]
	}
	if old, ok := s.previous[fresh.Fingerprint()]; ok {
		fresh = old
	}
	s.sets[key] = fresh
	return fresh, ""
}

// usable drops the stores that are broken. It is for handshakes alone, which are never a verdict: the APIs that name a
// broken store refuse by themselves.
func (s *Stores) usable(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.byName[name] == nil })
}

// compiled forgets what only compiling needs and says what went wrong with a set.
func (s *Stores) compiled() error {
	s.previous = nil
	return s.failed
}
