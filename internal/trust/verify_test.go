package trust_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// refusal is a chain that is refused, and what the refusal must say.
type refusal struct {
	name   string
	set    func(t *testing.T) (*trust.Set, []*x509.Certificate)
	reason decision.Reason
	says   []string
}

func TestRefusalsNameTheReasonAndTheCertificate(t *testing.T) {
	t.Parallel()
	for _, group := range [][]refusal{pathRefusals(), timeRefusals(), strengthRefusals(), purposeRefusals(), formRefusals()} {
		for _, tc := range group {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				set, presented := tc.set(t)
				v := verify(t, set, presented, now)
				wantReason(t, v, tc.reason)
				for _, text := range tc.says {
					if !strings.Contains(v.Detail, text) {
						t.Errorf("detail = %q, want it to name %q", v.Detail, text)
					}
				}
			})
		}
	}
}

func pathRefusals() []refusal {
	return []refusal{
		{"a leaf of a stranger's CA", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca, stranger := testpki.NewCA(t, testpki.Options{}), testpki.NewCA(t, testpki.Options{CommonName: "Stranger CA"})
			return callers(t, ca), stranger.Leaf(t, testpki.Options{CommonName: "eve"}).Chain()
		}, decision.CertificateUntrusted, []string{"Stranger CA", "eve", "was not presented"}},
		{"a leaf of a stranger's CA with the name of ours", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca, stranger := testpki.NewCA(t, testpki.Options{CommonName: "Our CA"}), testpki.NewCA(t, testpki.Options{CommonName: "Our CA"})
			return callers(t, ca), stranger.Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateUntrusted, []string{"Our CA", "did not sign"}},
		{"a chain of a stranger that brings its root along", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			stranger := testpki.NewCA(t, testpki.Options{CommonName: "Stranger CA"})
			leaf := stranger.Intermediate(t, testpki.Options{}).Leaf(t, testpki.Options{})
			return callers(t, testpki.NewCA(t, testpki.Options{})), append(leaf.Chain(), stranger.Cert)
		}, decision.CertificateUntrusted, []string{"Stranger CA", "self-signed"}},
		{"a self-signed leaf", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			return callers(t, testpki.NewCA(t, testpki.Options{})), testpki.NewSelfSigned(t, testpki.Options{CommonName: "me"}).Chain()
		}, decision.CertificateUntrusted, []string{"me", "self-signed"}},
		{"a leaf without its intermediate", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			leaf := ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"}).Leaf(t, testpki.Options{})
			return callers(t, ca), leaf.Chain()[:1]
		}, decision.CertificateUntrusted, []string{"Issuing CA"}},
		{"a trusted certificate appended to a stranger's", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			good := ca.Leaf(t, testpki.Options{CommonName: "partner-a"})
			eve := testpki.NewSelfSigned(t, testpki.Options{CommonName: "partner-a"})
			return callers(t, ca), present(eve, good)
		}, decision.CertificateUntrusted, []string{"self-signed"}},
		{"a pinned certificate appended to a stranger's", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pinned, eve := testpki.NewSelfSigned(t, testpki.Options{}), testpki.NewSelfSigned(t, testpki.Options{CommonName: "eve"})
			set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)}))
			return set, present(eve, pinned)
		}, decision.CertificateUntrusted, []string{"eve", "pinned"}},
		{"a leaf that a pinned leaf issued", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pinned := testpki.NewSelfSigned(t, testpki.Options{})
			set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)}))
			return set, present(pinned.Leaf(t, testpki.Options{CommonName: "eve"}), pinned)
		}, decision.CertificateUntrusted, []string{"eve"}},
		{"a leaf that a pinned CA issued", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pinned := testpki.NewCA(t, testpki.Options{CommonName: "tutorial"})
			set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: pins(pinned)}))
			return set, present(pinned.Leaf(t, testpki.Options{CommonName: "eve"}), pinned)
		}, decision.CertificateUntrusted, []string{"eve"}},
		{"a leaf that a pinned CA issued, in a store with another CA", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pinned, ca := testpki.NewCA(t, testpki.Options{CommonName: "tutorial"}), testpki.NewCA(t, testpki.Options{})
			set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: append(pins(pinned), cas(ca)...)}))
			return set, present(pinned.Leaf(t, testpki.Options{CommonName: "eve"}), pinned)
		}, decision.CertificateUntrusted, []string{"tutorial"}},
		{"a certificate with the name and the key of a pinned one", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pinned := testpki.NewSelfSigned(t, testpki.Options{CommonName: "me"})
			again := testpki.NewSelfSigned(t, testpki.Options{CommonName: "me", Signer: pinned.Key})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)})), present(again)
		}, decision.CertificateUntrusted, nil},
		{"a root that is cross-signed by nobody we know", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			a, b := testpki.NewCA(t, testpki.Options{CommonName: "A"}), testpki.NewCA(t, testpki.Options{CommonName: "B"})
			ab, ba := a.CrossSign(t, b, testpki.Options{}), b.CrossSign(t, a, testpki.Options{}) // a loop of two
			return callers(t, testpki.NewCA(t, testpki.Options{})), present(a.Leaf(t, testpki.Options{}), ba, ab)
		}, decision.CertificateUntrusted, nil},
		{"an expired leaf of a stranger is untrusted first", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			stranger := testpki.NewCA(t, testpki.Options{CommonName: "Stranger CA"})
			return callers(t, testpki.NewCA(t, testpki.Options{})), stranger.Leaf(t, testpki.Options{NotAfter: now.Add(-time.Hour)}).Chain()
		}, decision.CertificateUntrusted, []string{"Stranger CA"}},
		{"two stores that hold CAs of the issuer's name", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			o := testpki.Options{CommonName: "Our CA"}
			one := newStore(t, trust.StoreConfig{Name: "one", Anchors: cas(testpki.NewCA(t, o))})
			two := newStore(t, trust.StoreConfig{Name: "two", Anchors: cas(testpki.NewCA(t, o))})
			return newSet(t, trust.ClientAuth, one, two), testpki.NewCA(t, o).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateUntrusted, []string{"Our CA", "did not sign", `"two"`}},
		{"several stores that do not know the issuer", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			var stores []*trust.Store
			for _, name := range []string{"one", "two", "three", "four", "five"} {
				stores = append(stores, newStore(t, trust.StoreConfig{Name: name, Anchors: cas(testpki.NewCA(t, testpki.Options{}))}))
			}
			return newSet(t, trust.ClientAuth, stores...), testpki.NewSelfSigned(t, testpki.Options{}).Chain()
		}, decision.CertificateUntrusted, []string{`"two", "three", "four" and 1 more`}},
	}
}

func timeRefusals() []refusal {
	past, future := testpki.Options{NotAfter: now.Add(-time.Hour)}, testpki.Options{NotBefore: now.Add(time.Hour)}
	named := func(o testpki.Options, name string) testpki.Options { o.CommonName = name; return o }
	return []refusal{
		{"an expired leaf", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, named(past, "old")).Chain()
		}, decision.CertificateExpired, []string{"old", "2026-11-21T11:00:00Z"}},
		{"a leaf that is not yet valid", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, named(future, "young")).Chain()
		}, decision.CertificateNotYetValid, []string{"young", "2026-11-21T13:00:00Z"}},
		{"an expired intermediate", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, named(past, "Old Issuing CA")).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateExpired, []string{"Old Issuing CA"}},
		{"an intermediate that is not yet valid", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, named(future, "Young CA")).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateNotYetValid, []string{"Young CA"}},
		{"an expired anchor is skipped", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, named(past, "Old CA"))
			return callers(t, ca, testpki.NewCA(t, testpki.Options{})), ca.Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateUntrusted, []string{"Old CA", "skipped"}},
		{"an expired pin", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, named(past, "old"))
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)})), present(pin)
		}, decision.CertificateExpired, []string{"old"}},
		{"a pin that is not yet valid", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, named(future, "young"))
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)})), present(pin)
		}, decision.CertificateNotYetValid, []string{"young"}},
		{"windows of leaf and issuer that never overlap", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, named(past, "Old CA")).Leaf(t, named(future, "young")).Chain()
		}, decision.CertificateNotYetValid, []string{"young"}},
	}
}

func strengthRefusals() []refusal {
	signedWith := func(key testpki.KeyType, algorithm x509.SignatureAlgorithm) func(t *testing.T) (*trust.Set, []*x509.Certificate) {
		return func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{Key: key})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "aged", SignatureAlgorithm: algorithm}).Chain()
		}
	}
	keyed := func(key testpki.KeyType) func(t *testing.T) (*trust.Set, []*x509.Certificate) {
		return func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "small", Key: key}).Chain()
		}
	}
	return []refusal{
		{"a leaf signed with SHA-1 and RSA", signedWith(testpki.RSA2048, x509.SHA1WithRSA), decision.CertificateWeak, []string{"aged", "SHA1-RSA"}},
		{"a leaf signed with SHA-1 and ECDSA", signedWith("", x509.ECDSAWithSHA1), decision.CertificateWeak, []string{"aged", "ECDSA-SHA1"}},
		{"a leaf signed with MD5", signedWith(testpki.RSA2048, x509.MD5WithRSA), decision.CertificateWeak, []string{"aged", "MD5-RSA"}},
		{"a leaf with a small RSA key", keyed(testpki.RSA1024), decision.CertificateWeak, []string{"small", "1024"}},
		{"a leaf on P-224", keyed(testpki.P224), decision.CertificateWeak, []string{"small", "P-224"}},
		{"a key of a kind that Go does not know", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			odd := *ca.Leaf(t, testpki.Options{CommonName: "odd"}).Cert
			odd.PublicKey, odd.PublicKeyAlgorithm = nil, x509.UnknownPublicKeyAlgorithm
			return callers(t, ca), []*x509.Certificate{&odd}
		}, decision.CertificateWeak, []string{"odd", "unknown kind"}},
		{"an intermediate signed with SHA-1", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{CommonName: "Aged CA", SignatureAlgorithm: x509.ECDSAWithSHA1}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateWeak, []string{"Aged CA"}},
		{"an intermediate with a small RSA key", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{CommonName: "Small CA", Key: testpki.RSA1024}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateWeak, []string{"Small CA"}},
		{"an anchor with a small RSA key", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "Small CA", Key: testpki.RSA1024})
			return callers(t, ca), ca.Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateWeak, []string{"Small CA"}},
		{"a pin with a small RSA key", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "small", Key: testpki.RSA1024})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)})), present(pin)
		}, decision.CertificateWeak, []string{"small"}},
		{"MD5 in the name of a CA that did not sign", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "Our CA", Key: testpki.RSA2048})
			impostor := testpki.NewCA(t, testpki.Options{CommonName: "Our CA", Key: testpki.RSA3072})
			return callers(t, ca), impostor.Leaf(t, testpki.Options{SignatureAlgorithm: x509.MD5WithRSA}).Chain()
		}, decision.CertificateUntrusted, []string{"did not sign"}},
		{"MD5 named by a certificate whose issuer has no RSA key", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
			impostor := testpki.NewCA(t, testpki.Options{CommonName: "CA", Key: testpki.RSA2048})
			return callers(t, ca), impostor.Leaf(t, testpki.Options{SignatureAlgorithm: x509.MD5WithRSA}).Chain()
		}, decision.CertificateUntrusted, []string{"did not sign"}},
	}
}

// usable gives a certificate key usages; none is no extension.
func usable(usage x509.KeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.KeyUsage = usage }
}

func purposeRefusals() []refusal {
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return []refusal{
		{"a server certificate as a caller's", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "www", ExtKeyUsage: server}).Chain()
		}, decision.CertificatePurpose, []string{"www", "client_auth"}},
		{"a caller's certificate as a backend's", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return newSet(t, trust.ServerAuth, anchored(t, ca)), ca.Leaf(t, testpki.Options{ExtKeyUsage: client}).Chain()
		}, decision.CertificatePurpose, []string{"server_auth"}},
		{"a store for servers in a set for callers", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			store := newStore(t, trust.StoreConfig{Anchors: cas(ca), Purpose: trust.ServerAuth})
			return newSet(t, trust.ClientAuth, store), ca.Leaf(t, testpki.Options{ExtKeyUsage: client}).Chain()
		}, decision.CertificatePurpose, []string{"server_auth"}},
		{"an intermediate for servers only", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{CommonName: "TLS CA", ExtKeyUsage: server}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificatePurpose, []string{"TLS CA"}},
		{"an anchor for servers only", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "TLS CA", ExtKeyUsage: server})
			return callers(t, ca), ca.Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificatePurpose, []string{"TLS CA"}},
		{"a usage nobody knows", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{}, Adjust: func(c *x509.Certificate) {
				c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999, 1}}
			}}).Chain()
		}, decision.CertificatePurpose, nil},
		{"a pin for servers", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "www", ExtKeyUsage: server})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)})), present(pin)
		}, decision.CertificatePurpose, []string{"www"}},
		{"a caller whose key may only be encrypted to", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "sealed", Adjust: usable(x509.KeyUsageKeyEncipherment)}).Chain()
		}, decision.CertificatePurpose, []string{"sealed", "key usage"}},
		{"a caller whose key may only sign lists", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "lister", Adjust: usable(x509.KeyUsageCRLSign)}).Chain()
		}, decision.CertificatePurpose, []string{"lister", "key usage"}},
		{"a CA anchor that calls itself", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "Our CA"})
			return callers(t, ca), present(ca)
		}, decision.CertificatePurpose, []string{"Our CA", "pin: true"}},
		{"an intermediate CA that calls itself", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), present(ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"}))
		}, decision.CertificatePurpose, []string{"Issuing CA"}},
		{"a CA that calls itself where any purpose will do", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca), Purpose: trust.Any})), present(ca)
		}, decision.CertificatePurpose, nil},
	}
}

func formRefusals() []refusal {
	constrained := func(leaf testpki.Options, adjust func(*x509.Certificate)) func(t *testing.T) (*trust.Set, []*x509.Certificate) {
		return func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{Adjust: adjust}).Leaf(t, leaf).Chain()
		}
	}
	return []refusal{
		{"a DNS name that the CA may not issue for", constrained(testpki.Options{Hosts: []string{"evil.test"}}, func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"good.test"}
		}), decision.CertificateChain, []string{"evil.test"}},
		{"a URI that the CA may not issue for", constrained(testpki.Options{URIs: []string{"spiffe://evil.test/x"}}, func(c *x509.Certificate) {
			c.PermittedURIDomains = []string{"good.test"}
		}), decision.CertificateChain, []string{"evil.test"}},
		{"a name that the CA is kept from", constrained(testpki.Options{Emails: []string{"eve@evil.test"}}, func(c *x509.Certificate) {
			c.ExcludedEmailAddresses = []string{"evil.test"}
		}), decision.CertificateChain, []string{"evil.test"}},
		{"an expired leaf that also violates name constraints", constrained(testpki.Options{Hosts: []string{"evil.test"}, NotAfter: now.Add(-time.Hour)}, func(c *x509.Certificate) {
			c.PermittedDNSDomains = []string{"good.test"}
		}), decision.CertificateChain, []string{"evil.test"}},
		{"an intermediate below a CA of path length zero", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{CommonName: "Our CA", PathLen: new(0)})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateChain, []string{"Our CA", "0 intermediates"}},
		{"a leaf that issues a leaf", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "partner-a"}).Leaf(t, testpki.Options{CommonName: "eve"}).Chain()
		}, decision.CertificateChain, []string{"partner-a", "may not issue"}},
		{"an intermediate without the right to sign certificates", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			inter := ca.Intermediate(t, testpki.Options{CommonName: "CRL CA", Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }})
			return callers(t, ca), inter.Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateChain, []string{"CRL CA"}},
		{"an intermediate of version 1", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Intermediate(t, testpki.Options{CommonName: "V1 CA", Version1: true}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateChain, []string{"V1 CA", "may not issue"}},
		{"a critical extension that nobody knows", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			extension := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 7}, Critical: true, Value: []byte{5, 0}}
			return callers(t, ca), ca.Leaf(t, testpki.Options{CommonName: "odd", Extensions: []pkix.Extension{extension}}).Chain()
		}, decision.CertificateChain, []string{"odd", "1.3.6.1.4.1.99999.7"}},
		{"six intermediates where five are the most", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), under(t, ca, 6).Chain()
		}, decision.CertificateChain, []string{"6 intermediates", "max_depth is 5"}},
		{"one intermediate where none is allowed", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca), MaxDepth: 0})), under(t, ca, 1).Chain()
		}, decision.CertificateChain, []string{"max_depth is 0"}},
		{"a policy that the CA requires and the leaf lacks", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			// RequireExplicitPolicy 0 (RFC 5280 section 4.2.1.11) and no policy anywhere.
			requires := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 3, 0x80, 1, 0}}
			return callers(t, ca), ca.Intermediate(t, testpki.Options{Extensions: []pkix.Extension{requires}}).Leaf(t, testpki.Options{}).Chain()
		}, decision.CertificateChain, []string{"polic"}},
	}
}

// under returns a leaf with n intermediates between it and ca.
func under(tb testing.TB, ca *testpki.Entity, n int) *testpki.Entity {
	tb.Helper()
	for i := range n {
		ca = ca.Intermediate(tb, testpki.Options{CommonName: "Issuing CA " + string(rune('A'+i))})
	}
	return ca.Leaf(tb, testpki.Options{})
}

func TestAcceptedPathsEndInTheAnchor(t *testing.T) {
	t.Parallel()
	for _, key := range []testpki.KeyType{testpki.P256, testpki.P384, testpki.P521, testpki.Ed25519, testpki.RSA2048, testpki.RSA3072} {
		t.Run(string(key), func(t *testing.T) {
			t.Parallel()
			ca := testpki.NewCA(t, testpki.Options{Key: key})
			inter := ca.Intermediate(t, testpki.Options{Key: key})
			leaf := inter.Leaf(t, testpki.Options{CommonName: "partner-a", Key: key})
			v := verify(t, callers(t, ca), leaf.Chain(), now)
			wantReason(t, v, decision.OK)
			if diff := cmp.Diff(present(leaf, inter, ca), v.Path, cmp.Comparer((*x509.Certificate).Equal)); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
			if v.Store != "partners" || v.Anchor != ca.Cert || v.Pinned {
				t.Errorf("verdict = %+v", v)
			}
		})
	}
}

// acceptance is a chain that is accepted.
type acceptance struct {
	name string
	set  func(t *testing.T) (*trust.Set, []*x509.Certificate)
}

func TestAcceptedChains(t *testing.T) {
	t.Parallel()
	for _, tc := range acceptances() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set, presented := tc.set(t)
			v := verify(t, set, presented, now)
			wantReason(t, v, decision.OK)
			if v.Accepted() && (!v.Path[0].Equal(presented[0]) || !v.Identity.Leaf().Equal(presented[0])) {
				t.Errorf("path begins with %q, identity is %q's", v.Path[0].Subject, v.Identity.Leaf().Subject)
			}
		})
	}
}

func acceptances() []acceptance {
	return []acceptance{
		{"the intermediate is the anchor, its root is not there", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			inter := testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{})
			return callers(t, inter), inter.Leaf(t, testpki.Options{}).Chain()[:1]
		}},
		{"the root is presented too", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), append(under(t, ca, 1).Chain(), ca.Cert)
		}},
		{"intermediates in the wrong order with strangers among them", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			c := under(t, ca, 3).Chain()
			return callers(t, ca), []*x509.Certificate{c[0], testpki.NewSelfSigned(t, testpki.Options{}).Cert, c[3], c[1], c[2], c[2]}
		}},
		{"five intermediates", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), under(t, ca, 5).Chain()
		}},
		{"no key usage stated", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{Adjust: usable(0)}).Chain()
		}},
		{"a key for key agreement", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{Adjust: usable(x509.KeyUsageKeyAgreement)}).Chain()
		}},
		{"a key to encrypt to where any purpose will do", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca), Purpose: trust.Any}))
			return set, ca.Leaf(t, testpki.Options{Adjust: usable(x509.KeyUsageKeyEncipherment)}).Chain()
		}},
		{"a backend whose key is to encrypt to", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			set := newSet(t, trust.ServerAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca)}))
			return set, ca.Leaf(t, testpki.Options{Adjust: usable(x509.KeyUsageKeyEncipherment)}).Chain()
		}},
		{"no usage stated", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{}}).Chain()
		}},
		{"any usage stated", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return callers(t, ca), ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}).Chain()
		}},
		{"a server certificate where any purpose will do", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			store := newStore(t, trust.StoreConfig{Anchors: cas(ca), Purpose: trust.Any})
			return newSet(t, trust.ClientAuth, store), ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).Chain()
		}},
		{"a server certificate pinned where any purpose will do", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin), Purpose: trust.Any})), present(pin)
		}},
		{"a certificate for any usage, pinned", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin)})), present(pin)
		}},
		{"a pinned CA that calls itself", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: pins(ca)})), present(ca)
		}},
		{"a leaf pinned although its issuer is unknown", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			leaf := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(leaf)})), present(leaf)
		}},
		{"a pin of version 1 signed with SHA-1", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			pin := testpki.NewSelfSigned(t, testpki.Options{Version1: true, SignatureAlgorithm: x509.ECDSAWithSHA1})
			return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pin), AllowV1: true})), present(pin)
		}},
		{"a CA that is also pinned issues", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{})
			store := newStore(t, trust.StoreConfig{Anchors: append(pins(ca), cas(ca, ca)...)})
			return newSet(t, trust.ClientAuth, store), ca.Leaf(t, testpki.Options{}).Chain()
		}},
		{"an anchor signed with SHA-1 by itself", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{SignatureAlgorithm: x509.ECDSAWithSHA1})
			return callers(t, ca), ca.Leaf(t, testpki.Options{}).Chain()
		}},
		{"a backend whose self-signed CA certificate is its own anchor", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			backend := testpki.NewCA(t, testpki.Options{Hosts: []string{"localhost"}})
			return newSet(t, trust.ServerAuth, anchored(t, backend)), present(backend)
		}},
		{"names within the constraints", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.test"} }})
			return callers(t, ca), ca.Leaf(t, testpki.Options{Hosts: []string{"a.good.test"}}).Chain()
		}},
		{"cross-signed by two roots, one of them expired", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			old, young := testpki.NewCA(t, testpki.Options{CommonName: "Old", NotAfter: now.Add(-time.Hour)}), testpki.NewCA(t, testpki.Options{CommonName: "Young"})
			inter := old.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
			return callers(t, old, young), present(inter.Leaf(t, testpki.Options{}), inter, young.CrossSign(t, inter, testpki.Options{}))
		}},
		{"cross-signed, one of the two certificates expired", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			a, b := testpki.NewCA(t, testpki.Options{CommonName: "A"}), testpki.NewCA(t, testpki.Options{CommonName: "B"})
			inter := a.Intermediate(t, testpki.Options{CommonName: "Issuing CA", NotAfter: now.Add(-time.Hour)})
			return callers(t, a, b), present(inter.Leaf(t, testpki.Options{}), inter, b.CrossSign(t, inter, testpki.Options{}))
		}},
		{"a longer path is taken where the shorter one is weak", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			weak := testpki.NewCA(t, testpki.Options{CommonName: "Weak", Key: testpki.RSA1024})
			strong := testpki.NewCA(t, testpki.Options{CommonName: "Strong"})
			inter := weak.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
			return callers(t, weak, strong), present(inter.Leaf(t, testpki.Options{}), inter, strong.CrossSign(t, inter, testpki.Options{}))
		}},
		{"a URI host is no DNS name", func(t *testing.T) (*trust.Set, []*x509.Certificate) {
			ca := testpki.NewCA(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.test"} }})
			return callers(t, ca), ca.Leaf(t, testpki.Options{Adjust: func(c *x509.Certificate) {
				c.URIs = []*url.URL{{Scheme: "spiffe", Host: "other.test", Path: "/a"}}
			}}).Chain()
		}},
	}
}

// Without a key identifier nothing says which of many anchors of one name to try first.
func TestOfTooManyAnchorsOfOneNameTheAskedForAreTried(t *testing.T) {
	t.Parallel()
	var anchors []*testpki.Entity
	for range 120 {
		anchors = append(anchors, testpki.NewCA(t, testpki.Options{CommonName: "Our CA"}))
	}
	set := callers(t, anchors...)
	last := slices.MaxFunc(anchors, func(a, b *testpki.Entity) int { return bytes.Compare(a.Cert.Raw, b.Cert.Raw) })
	wantReason(t, verify(t, set, last.Leaf(t, testpki.Options{}).Chain(), now), decision.OK)
	v := verify(t, set, last.Leaf(t, testpki.Options{Version1: true}).Chain(), now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !strings.Contains(v.Detail, "first 32 of 120") {
		t.Errorf("detail = %q", v.Detail)
	}
}

// gallery returns a chain and anchors with which x509 comes to a good path only after more than the hundred signatures
// after which it stops: before it there are three certificates that 32 anchors of one key have signed. The good path ends
// in so many anchors of one key.
func gallery(t *testing.T, bad testpki.Options, ends int) (*trust.Set, []*x509.Certificate) {
	t.Helper()
	bad.CommonName = "Bad CA"
	anchor := testpki.NewCA(t, bad)
	anchors := []*testpki.Entity{anchor}
	bad.Signer = anchor.Key
	for range 31 {
		anchors = append(anchors, testpki.NewCA(t, bad))
	}
	good := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
	inter := anchor.Intermediate(t, testpki.Options{CommonName: "I", Hosts: []string{"0.test"}})
	// x509 comes to the certificate with the key identifier that the leaf does not ask for last.
	last := good.CrossSign(t, inter, testpki.Options{Adjust: func(c *x509.Certificate) { c.SubjectKeyId = []byte("other") }})
	presented := present(inter.Leaf(t, testpki.Options{}), last, inter)
	for _, host := range []string{"1.test", "2.test"} {
		presented = append(presented, anchor.CrossSign(t, inter, testpki.Options{Hosts: []string{host}}).Cert)
	}
	anchors = append(anchors, good)
	for range ends - 1 {
		anchors = append(anchors, testpki.NewCA(t, testpki.Options{CommonName: "CA", Signer: good.Key}))
	}
	return callers(t, anchors...), presented
}

// What x509 did not get to is refused, whatever the diagnosis finds.
func TestWhatX509GivesUpOnIsRefused(t *testing.T) {
	t.Parallel()
	bad := testpki.Options{Adjust: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.test"} }}
	for _, ends := range []int{1, 8} { // good paths alone, as many as a diagnosis looks at
		set, presented := gallery(t, bad, ends)
		v := verify(t, set, presented, now)
		wantReason(t, v, decision.CertificateChain)
		if !strings.Contains(v.Detail, "x509: ") {
			t.Errorf("detail = %q", v.Detail)
		}
	}
}

func TestAnchorsOutsideTheirValidityDoNotWearX509Out(t *testing.T) {
	t.Parallel()
	for _, bad := range []testpki.Options{{NotAfter: now.Add(-time.Hour)}, {NotBefore: now.Add(time.Hour)}} {
		set, presented := gallery(t, bad, 1)
		wantReason(t, verify(t, set, presented, now), decision.OK)
	}
}

func TestADiagnosisOfEndlessPathsEnds(t *testing.T) {
	t.Parallel()
	key := testpki.NewSelfSigned(t, testpki.Options{}).Key
	twin := func(host string, to time.Time) *testpki.Entity {
		return testpki.NewCA(t, testpki.Options{CommonName: "Our CA", Signer: key, Hosts: []string{host}, NotAfter: to})
	}
	past := now.Add(-time.Hour)
	leaf := twin("issuer.test", past).Leaf(t, testpki.Options{})
	set := callers(t, twin("a.test", past), twin("b.test", past), twin("c.test", past), twin("d.test", past), twin("e.test", past))
	v := verify(t, set, present(leaf, twin("f.test", past), twin("g.test", past), twin("h.test", past)), now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !strings.Contains(v.Detail, "skipped") {
		t.Errorf("detail = %q", v.Detail)
	}
}
