package inspect_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"sallyport/internal/inspect"
	"sallyport/internal/testpki"
)

// now is the time of tests that do not care.
var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// soon are options that no lint has anything to say about.
func soon(o testpki.Options) testpki.Options {
	if o.NotBefore.IsZero() {
		o.NotBefore = now.AddDate(0, -1, 0)
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = now.AddDate(0, 6, 0)
	}
	if o.Hosts == nil {
		o.Hosts = []string{"a.acme.test"}
	}
	return o
}

func certs(entities ...*testpki.Entity) []*x509.Certificate {
	var list []*x509.Certificate
	for _, e := range entities {
		list = append(list, e.Cert)
	}
	return list
}

// report reports about certificates without keys, as of now.
func report(list ...*x509.Certificate) *inspect.Report {
	return inspect.New(inspect.File{Format: "pem", Certificates: list}, now)
}

func ids(findings []inspect.Finding) []string {
	list := []string{}
	for _, f := range findings {
		list = append(list, f.ID)
	}
	slices.Sort(list)
	return list
}

// value is an attribute value of a string type.
type value struct {
	oid  asn1.ObjectIdentifier
	tag  int
	text string
}

var (
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOther = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1466, 0}
)

// rawName is the DER of a name with one RDN for each value.
func rawName(tb testing.TB, values ...value) []byte {
	tb.Helper()
	name := []byte{}
	for _, v := range values {
		oid := marshal(tb, v.oid)
		text := marshal(tb, asn1.RawValue{Tag: v.tag, Bytes: []byte(v.text)})
		pair := marshal(tb, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(oid, text...)})
		name = append(name, marshal(tb, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: pair})...)
	}
	return marshal(tb, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: name})
}

// cn is the DER of a name with one common name.
func cn(tb testing.TB, text string) []byte {
	tb.Helper()
	return rawName(tb, value{oidCN, asn1.TagUTF8String, text})
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// generalNames is a subject alternative name extension with names as they are.
func generalNames(tb testing.TB, names ...asn1.RawValue) pkix.Extension {
	tb.Helper()
	var all []byte
	for _, n := range names {
		n.Class = asn1.ClassContextSpecific
		all = append(all, marshal(tb, n)...)
	}
	return pkix.Extension{
		Id:    asn1.ObjectIdentifier{2, 5, 29, 17},
		Value: marshal(tb, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all}),
	}
}

// publicOnly is a signer that cannot sign: a key for a certificate that somebody else signs.
type publicOnly struct{ key crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }

func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("nobody signs") }

// rsaKey is a key of 2048 bits with a modulus that nobody knows the factors of.
func rsaKey(exponent int) crypto.Signer {
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	return publicOnly{&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: exponent}}
}

// behind puts bytes behind the signature of a certificate.
func behind(tb testing.TB, cert *x509.Certificate) *x509.Certificate {
	tb.Helper()
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(cert.Raw, &outer); err != nil {
		tb.Fatal(err)
	}
	der := marshal(tb, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(slices.Clone(outer.Bytes), 5, 0)})
	changed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return changed
}
