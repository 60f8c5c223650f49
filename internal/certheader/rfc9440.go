package certheader

import (
	"crypto/x509"
	"encoding/base64"
)

// ClientCert returns the value of the Client-Cert field for a leaf (RFC 9440 section 2.2): its DER as a byte sequence of
// structured fields. A nil leaf gives the empty string, which means no field.
func ClientCert(leaf *x509.Certificate) string {
	if leaf == nil {
		return ""
	}
	return string(appendItem(make([]byte, 0, itemLen(leaf)), leaf))
}

// ClientCertChain returns the value of the Client-Cert-Chain field (RFC 9440 section 2.3): a list of byte sequences in
// the order of the TLS handshake, the leaf's issuer first and the leaf itself left out, which is the caller's business.
// No certificates give the empty string, which means no field; nil ones are left out.
func ClientCertChain(intermediates []*x509.Certificate) string {
	size := 0
	for _, c := range intermediates {
		if c != nil {
			size += itemLen(c) + len(", ")
		}
	}
	b := make([]byte, 0, size)
	for _, c := range intermediates {
		if c == nil {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = appendItem(b, c)
	}
	return string(b)
}

func itemLen(c *x509.Certificate) int { return 2 + base64.StdEncoding.EncodedLen(len(c.Raw)) }

func appendItem(b []byte, c *x509.Certificate) []byte {
	b = append(b, ':')
	b = base64.StdEncoding.AppendEncode(b, c.Raw)
	return append(b, ':')
}
