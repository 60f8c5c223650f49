package inspect

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// MaxCertificates is how many certificates of a file are reported.
const MaxCertificates = 1000

// File is what was found in a file.
type File struct {
	// Format is the format's name, such as "pem".
	Format string
	// Certificates are in the order of the file.
	Certificates []*x509.Certificate
	// Keys are the public halves of the private keys, in the order of the file.
	Keys []crypto.PublicKey
	// Aliases are the names that a key store has for its certificates; nil without any.
	Aliases []Alias
}

// Alias is a name that a key store has for a certificate.
type Alias struct {
	Name        string
	Certificate *x509.Certificate
}

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	// Error means that the gateway refuses or skips the certificate for it.
	Error Severity = "error"
	// Warning means that it probably does not do what somebody hoped.
	Warning Severity = "warning"
	// Info is good to know.
	Info Severity = "info"
)

// Finding is one thing that is odd.
type Finding struct {
	// ID is the finding's identifier; it does not change between releases.
	ID string `json:"id"`
	// Severity says how much it matters.
	Severity Severity `json:"severity"`
	// Message is one sentence that says what the gateway does about it. It may quote the certificate, printably.
	Message string `json:"message"`
	// Certificates are the numbers of the certificates that it is about; nil in the lints of a certificate.
	Certificates []int `json:"certificates,omitempty"`
}

// Report is what there is to say about a file.
type Report struct {
	Format       string        `json:"format"`
	At           time.Time     `json:"at"`           // the time that it was judged for
	Certificates []Certificate `json:"certificates"` // in the order of the file
	Keys         []Key         `json:"keys"`
	Problems     []Finding     `json:"problems"` // about the file as a whole
}

// Key is a private key in the file.
type Key struct {
	Type         string `json:"type"`
	SPKISHA256   string `json:"spki_sha256"`  // empty for a kind that has no SubjectPublicKeyInfo
	Certificates []int  `json:"certificates"` // the numbers of those that are for it
}

// New reports about a file as of the time at, which must not be zero.
func New(f File, at time.Time) *Report {
	r := &Report{Format: f.Format, At: at.UTC(), Certificates: []Certificate{}, Keys: []Key{}, Problems: []Finding{}}
	certs := slices.DeleteFunc(slices.Clone(f.Certificates), func(c *x509.Certificate) bool { return c == nil || len(c.Raw) == 0 })
	if len(certs) > MaxCertificates {
		r.Problems = append(r.Problems, Finding{ID: "too_many_certificates", Severity: Warning, Message: fmt.Sprintf(
			"The file has %d certificates; this report is about the first %d, the gateway reads all of them.", len(certs), MaxCertificates)})
		certs = certs[:MaxCertificates]
	}
	w := newWeb(certs, at)
	for i, cert := range certs {
		r.Certificates = append(r.Certificates, w.certificate(i, aliasesOf(f.Aliases, cert)))
	}
	for _, public := range f.Keys {
		r.Keys = append(r.Keys, w.key(public))
	}
	r.Problems = append(r.Problems, w.problems(r.Keys)...)
	return r
}

// Worst returns the highest severity of all findings, "" without any.
func (r *Report) Worst() Severity {
	rank := []Severity{"", Info, Warning, Error}
	worst := 0
	for _, f := range r.Problems {
		worst = max(worst, slices.Index(rank, f.Severity))
	}
	for i := range r.Certificates {
		for _, f := range r.Certificates[i].Lints {
			worst = max(worst, slices.Index(rank, f.Severity))
		}
	}
	return rank[worst]
}

func aliasesOf(aliases []Alias, cert *x509.Certificate) []string {
	var names []string
	for _, a := range aliases {
		if a.Certificate != nil && a.Certificate.Equal(cert) {
			names = append(names, a.Name)
		}
	}
	return names
}

// key describes a private key by its public half.
func (w *web) key(public crypto.PublicKey) Key {
	k := Key{Type: keyOf(public).Type, Certificates: []int{}}
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		k.SPKISHA256 = fmt.Sprintf("%x", sha256.Sum256(der))
	}
	own, ok := public.(interface{ Equal(x crypto.PublicKey) bool })
	for i, cert := range w.certs {
		if ok && own.Equal(cert.PublicKey) {
			k.Certificates = append(k.Certificates, i+1)
		}
	}
	return k
}
