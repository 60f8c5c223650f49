package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"
	"time"
)

// Bounds on the signatures that one store checks to find out where a chain leads. Nobody who does not hold a
// certificate of an anchor makes the gateway calculate with a key of his own choice: signatures are checked from the
// anchors down, and only below certificates that are themselves anchored.
const (
	// maxNamesakes is how many anchors of one name are tried on one presented certificate, those with the key
	// identifier it asks for first.
	maxNamesakes = 32
	// maxStrays is how often a presented certificate may turn out not to be signed by the issuer that it names.
	// Honest chains have one or two, where a CA has changed its key or is cross-signed.
	maxStrays = 5
)

// outline is what the certificates of a chain say about each other by their names, and what is known of the
// signatures on them. It is made once for each chain, when a store is asked.
type outline struct {
	ids     [][32]byte // SHA-256 of the DER
	keys    [][32]byte // SHA-256 of the public key
	parents [][]int    // who, by its name, may have issued it; the leaf issues nothing and copies count once
	order   []int      // those that the leaf may depend on, the leaf first

	mu     sync.Mutex
	signed map[signature]bool
}

// signature is the question whether a key made the signature on a presented certificate.
type signature struct {
	child int
	key   [32]byte
}

func newOutline(certs []*x509.Certificate) *outline {
	o := &outline{parents: make([][]int, len(certs)), order: []int{0}, signed: map[signature]bool{}}
	for _, cert := range certs {
		o.ids = append(o.ids, sha256.Sum256(cert.Raw))
		o.keys = append(o.keys, sha256.Sum256(cert.RawSubjectPublicKeyInfo))
	}
	for i := 0; i < len(o.order); i++ {
		child := o.order[i]
		for j := 1; j < len(certs); j++ {
			if o.ids[j] == o.ids[child] || slices.Index(o.ids, o.ids[j]) != j || !bytes.Equal(certs[child].RawIssuer, certs[j].RawSubject) {
				continue
			}
			o.parents[child] = append(o.parents[child], j)
			if !slices.Contains(o.order, j) {
				o.order = append(o.order, j)
			}
		}
	}
	return o
}

// signedBy reports whether the key of parent, whose hash is given, made the signature on a presented certificate. Each
// pair is calculated once, whatever number of stores ask.
func (c *Chain) signedBy(child int, parent *x509.Certificate, key [32]byte) bool {
	o := c.outline()
	o.mu.Lock()
	defer o.mu.Unlock()
	question := signature{child, key}
	answer, known := o.signed[question]
	if !known {
		answer = signed(c.certs[child], parent)
		o.signed[question] = answer
	}
	return answer
}

// trails is how good signatures lead from the leaf to the anchors of a store, nothing else checked. All slices are by
// the index of the presented certificate.
type trails struct {
	in      *inquiry
	store   *Store
	anchors [][]*x509.Certificate // that signed it, or that it is
	parents [][]int               // presented certificates that signed it and are anchored themselves
	reached []bool                // it is anchored
	strays  int                   // see maxStrays
}

// trails finds every path that x509 can accept, within the bounds.
func (in *inquiry) trails(s *Store) *trails {
	n := len(in.chain.certs)
	t := &trails{in: in, store: s, anchors: make([][]*x509.Certificate, n), parents: make([][]int, n), reached: make([]bool, n)}
	var anchored []int
	for _, at := range in.chain.outline().order {
		t.anchors[at] = t.anchorsOf(at)
		if len(t.anchors[at]) > 0 {
			t.reached[at] = true
			anchored = append(anchored, at)
		}
	}
	for i := 0; i < len(anchored); i++ {
		for _, child := range t.children(anchored[i]) {
			if !t.reached[child] {
				t.reached[child] = true
				anchored = append(anchored, child)
			}
		}
	}
	return t
}

// anchorsOf returns the anchor that a presented certificate is, or else those that signed it.
func (t *trails) anchorsOf(at int) []*x509.Certificate {
	if anchor := t.isAnchor(at); anchor != nil {
		return []*x509.Certificate{anchor}
	}
	candidates := t.store.namesakes(t.in.chain.certs[at])
	if len(candidates) == 0 || t.strays >= maxStrays {
		return nil
	}
	var found []*x509.Certificate
	for _, a := range candidates {
		if t.in.chain.signedBy(at, a.cert, a.key) {
			found = append(found, a.cert)
		}
	}
	if len(found) == 0 {
		t.strays++
	}
	return found
}

// children returns the certificates that an anchored one signed. What may not issue at all is asked only about the
// leaf, to say so in a refusal.
func (t *trails) children(parent int) []int {
	var found []int
	chain := t.in.chain
	o := chain.outline()
	for _, child := range o.order {
		switch {
		case !slices.Contains(o.parents[child], parent) || slices.Contains(t.anchors[child], t.isAnchor(parent)) || t.isAnchor(child) != nil:
		case child != 0 && !mayIssue(chain.certs[parent]) || t.strays >= maxStrays:
		case chain.signedBy(child, chain.certs[parent], o.keys[parent]):
			t.parents[child] = append(t.parents[child], parent)
			found = append(found, child)
		default:
			t.strays++
		}
	}
	return found
}

func (t *trails) isAnchor(at int) *x509.Certificate {
	return t.store.isAnchor[t.in.chain.outline().ids[at]]
}

// pools returns what x509 needs to find the paths again: the anchors, and the certificates on the way to them, as far
// as they are valid now. Fewer of either never make it accept more. There may be no anchor left.
func (t *trails) pools(now time.Time) (roots, others *x509.CertPool) {
	others = x509.NewCertPool()
	way := []int{0}
	for i := 0; i < len(way); i++ {
		at := way[i]
		for _, anchor := range t.anchors[at] {
			if isValid(anchor, now) {
				if roots == nil {
					roots = x509.NewCertPool()
				}
				roots.AddCert(anchor)
			}
		}
		for _, parent := range t.parents[at] {
			if !slices.Contains(way, parent) && isValid(t.in.chain.certs[parent], now) {
				way = append(way, parent)
				others.AddCert(t.in.chain.certs[parent])
			}
		}
	}
	return roots, others
}

// paths returns the paths, up to a number that is enough for every honest chain.
func (t *trails) paths() [][]*x509.Certificate {
	w := &walk{trails: t}
	if t.reached[0] {
		w.from(0)
	}
	return w.found
}

// walk is the listing of paths.
type walk struct {
	*trails
	path  []int // indices of the certificates on the way
	found [][]*x509.Certificate
}

func (w *walk) from(at int) {
	if len(w.found) >= maxPaths {
		return
	}
	w.path = append(w.path, at)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	if anchor := w.isAnchor(at); anchor != nil {
		w.reach(w.path[:len(w.path)-1], anchor)
		return
	}
	for _, anchor := range w.anchors[at] {
		w.reach(w.path, anchor)
	}
	for _, next := range w.parents[at] {
		if !slices.Contains(w.path, next) {
			w.from(next)
		}
	}
}

// reach records the path that ends in anchor.
func (w *walk) reach(path []int, anchor *x509.Certificate) {
	var certs []*x509.Certificate
	for _, i := range path {
		certs = append(certs, w.in.chain.certs[i])
	}
	w.found = append(w.found, append(certs, anchor))
}

// mayIssue reports whether a certificate may issue others, as x509.Certificate.Verify has it (RFC 5280 §4.2.1.3 and §4.2.1.9).
// One of a version before 3 may not, whatever a store allows: it cannot say that it is a CA.
func mayIssue(cert *x509.Certificate) bool {
	return isCA(cert) && (cert.KeyUsage == 0 || cert.KeyUsage&x509.KeyUsageCertSign != 0)
}
