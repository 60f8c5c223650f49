package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultMaxDepth is the number of intermediates allowed between leaf and anchor unless a store says otherwise.
const DefaultMaxDepth = 5

// Anchor is a certificate that a store trusts.
type Anchor struct {
	// Certificate is the certificate.
	Certificate *x509.Certificate
	// Pin makes a CA certificate stand for itself alone. Certificates that are no CAs are pins anyhow.
	Pin bool
}

// StoreConfig describes a trust store.
type StoreConfig struct {
	// Name is the store's name in the configuration.
	Name string
	// Anchors are what the store trusts; at least one.
	Anchors []Anchor
	// Purpose is the extended key usage asked for; PurposeDefault takes the set's.
	Purpose Purpose
	// Until is the moment from which on Purpose is PurposeDefault, whatever it was; zero means never. It goes with Any and
	// ClientAuthOrMissing.
	Until time.Time
	// MinKeySize are the smallest keys on a path.
	MinKeySize KeySize
	// AllowV1 admits leaves and pins of versions before 3 (RFC 5280 §4.1.2.1). They have no extensions, so nothing says what
	// they may be used for. They never issue anything.
	AllowV1 bool
	// MaxDepth is the largest number of intermediates between leaf and anchor; negative means DefaultMaxDepth, zero
	// none.
	MaxDepth int
}

// Store is a named set of trust anchors. A nil or zero Store refuses everything; NewSet refuses to hold one.
type Store struct {
	name     string
	purpose  Purpose
	until    time.Time // when the purpose ends; zero for never
	keys     KeySize   // nothing in it is zero
	allowV1  bool
	maxDepth int

	anchors []*x509.Certificate            // CA anchors, ordered by their DER
	pins    map[[32]byte]*x509.Certificate // by SHA-256 of the DER

	isAnchor  map[[32]byte]*x509.Certificate // the anchors by SHA-256 of the DER
	bySubject map[string][]namesake          // the anchors by raw subject

	fingerprint [32]byte
}

// NewStore returns the store that cfg describes. It is an error when there is no anchor or one is not parsed. Expired
// anchors are kept: they are skipped while they are invalid, and Warnings says so.
func NewStore(cfg StoreConfig) (*Store, error) {
	if len(cfg.Anchors) == 0 {
		return nil, fmt.Errorf("trust store %q has no anchors", cfg.Name)
	}
	if cfg.Purpose > ClientAuthOrMissing {
		return nil, fmt.Errorf("trust store %q: unknown purpose %d", cfg.Name, cfg.Purpose)
	}
	if !cfg.Until.IsZero() && !cfg.Purpose.ends() {
		return nil, fmt.Errorf("trust store %q: the purpose %s has no end", cfg.Name, cfg.Purpose)
	}
	keys, err := cfg.MinKeySize.orDefault()
	if err != nil {
		return nil, fmt.Errorf("trust store %q: %w", cfg.Name, err)
	}
	s := &Store{
		name:      cfg.Name,
		purpose:   cfg.Purpose,
		until:     cfg.Until,
		keys:      keys,
		allowV1:   cfg.AllowV1,
		maxDepth:  cfg.MaxDepth,
		pins:      map[[32]byte]*x509.Certificate{},
		isAnchor:  map[[32]byte]*x509.Certificate{},
		bySubject: map[string][]namesake{},
	}
	if s.maxDepth < 0 {
		s.maxDepth = DefaultMaxDepth
	}
	for i, a := range cfg.Anchors {
		if a.Certificate == nil || len(a.Certificate.Raw) == 0 {
			return nil, fmt.Errorf("trust store %q: anchor %d is not a parsed certificate", cfg.Name, i+1)
		}
		s.add(a)
	}
	slices.SortFunc(s.anchors, compareDER)
	for _, a := range s.anchors {
		n := namesake{cert: a, key: sha256.Sum256(a.RawSubjectPublicKeyInfo)}
		s.bySubject[string(a.RawSubject)] = append(s.bySubject[string(a.RawSubject)], n)
	}
	s.fingerprint = s.sum()
	return s, nil
}

// add takes one anchor in; the same one twice counts once.
func (s *Store) add(a Anchor) {
	id := sha256.Sum256(a.Certificate.Raw)
	if a.Pin || !isCA(a.Certificate) {
		if s.pins[id] == nil {
			s.pins[id] = a.Certificate
		}
		return
	}
	if s.isAnchor[id] == nil {
		s.isAnchor[id] = a.Certificate
		s.anchors = append(s.anchors, a.Certificate)
	}
}

// isCA reports whether a certificate says that it is a CA (RFC 5280 §4.2.1.9).
func isCA(cert *x509.Certificate) bool { return cert.BasicConstraintsValid && cert.IsCA }

func compareDER(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) }

// sum hashes everything that decides: the same sum, the same verdicts.
func (s *Store) sum() [32]byte {
	digest := sha256.New()
	text := binary.BigEndian.AppendUint64(nil, uint64(len(s.name)))
	text = append(text, s.name...)
	text = append(text, byte(s.purpose))
	if s.allowV1 {
		text = append(text, 1)
	} else {
		text = append(text, 0)
	}
	text = binary.BigEndian.AppendUint64(text, uint64(s.keys.RSA))           //nolint:gosec // never negative
	text = binary.BigEndian.AppendUint64(text, uint64(s.keys.EC))            //nolint:gosec // never negative
	text = binary.BigEndian.AppendUint64(text, uint64(s.until.Unix()))       //nolint:gosec // any 64 bits will do
	text = binary.BigEndian.AppendUint64(text, uint64(s.until.Nanosecond())) //nolint:gosec // never negative
	text = binary.BigEndian.AppendUint64(text, uint64(s.maxDepth))           //nolint:gosec // never negative here
	text = binary.BigEndian.AppendUint64(text, uint64(len(s.anchors)))
	digest.Write(text)
	for _, a := range s.anchors {
		id := sha256.Sum256(a.Raw)
		digest.Write(id[:])
	}
	for _, p := range s.sortedPins() {
		id := sha256.Sum256(p.Raw)
		digest.Write(id[:])
	}
	return [32]byte(digest.Sum(nil))
}

func (s *Store) sortedPins() []*x509.Certificate {
	pins := make([]*x509.Certificate, 0, len(s.pins))
	for _, p := range s.pins {
		pins = append(pins, p)
	}
	slices.SortFunc(pins, compareDER)
	return pins
}

// usable says why a store cannot be part of a set.
func (s *Store) usable() error {
	if s == nil || len(s.anchors)+len(s.pins) == 0 {
		return errors.New("a trust store without anchors")
	}
	return nil
}

// Name returns the store's name; empty for nil.
func (s *Store) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Purpose returns the purpose that the store was configured with, PurposeDefault included.
func (s *Store) Purpose() Purpose {
	if s == nil {
		return PurposeDefault
	}
	return s.purpose
}

// Fingerprint returns a hash over the name, the options and the anchors, whatever order they were given in. Zero for
// nil.
func (s *Store) Fingerprint() [32]byte {
	if s == nil {
		return [32]byte{}
	}
	return s.fingerprint
}

// namesake is an anchor among those of one name.
type namesake struct {
	cert *x509.Certificate
	key  [32]byte // SHA-256 of the public key
}

// namesakes returns the anchors to try on a certificate: those of its issuer's name and, where they are too many, first
// those with the key identifier that it asks for (RFC 5280 §4.2.1.1).
func (s *Store) namesakes(cert *x509.Certificate) []namesake {
	all := s.bySubject[string(cert.RawIssuer)]
	if len(all) <= maxNamesakes {
		return all
	}
	var first, rest []namesake
	for _, a := range all {
		if bytes.Equal(a.cert.SubjectKeyId, cert.AuthorityKeyId) {
			first = append(first, a)
		} else if len(rest) < maxNamesakes {
			rest = append(rest, a)
		}
	}
	return append(first, rest...)[:maxNamesakes]
}
