package certheader

import (
	"bytes"
	"strings"
)

// The fields of RFC 9440.
const (
	ClientCertName      = "Client-Cert"       // section 2.2
	ClientCertChainName = "Client-Cert-Chain" // section 2.3
)

// maxName is how much of a name Identity looks at: more than the longest name of the family needs.
const maxName = 64

// families are the names of the family, folded and without a leading "x-", which every one of them may have. A name is
// in the family when it is one of these or continues one with a hyphen; an asterisk says that anything may follow.
//
// Names that hold "client-cert" or "clientcert" anywhere are in the family too and need no entry: RFC 9440, Envoy
// (X-Forwarded-Client-Cert), Traefik up to 1.7, App Service, App Gateway, Google, F5, NetScaler, WSO2, Kong, WebLogic.
var families = []string{
	"-wscc",                  // WebSphere's plug-ins: $WSCC
	"amzn-mtls*",             // AWS ALB
	"cert-chain",             // Keycloak's name for Apache's chain, with a number
	"cf-cert",                // Cloudflare's managed transform
	"client-cn",              // by convention: nginx
	"client-dn",              // Puppet; by convention: nginx
	"client-i-dn",            // by convention: nginx
	"client-issuer",          // by convention: App Gateway
	"client-s-dn",            // by convention: nginx
	"client-subject",         // by convention: App Gateway
	"client-verified",        // by convention: nginx
	"client-verify",          // Puppet; by convention: nginx
	"cloudfront-viewer-cert", // CloudFront
	"forwarded-client-dn",    // by convention: Apache
	"forwarded-ssl-client*",  // by convention: HAProxy
	"forwarded-tls-client*",  // Traefik
	"mtls",                   // by convention: ALB renamed
	"ssl-c",                  // by convention: HAProxy's fetches as names
	"ssl-cert*",              // WSO2, nginx, Apache's SSL_CERT_CHAIN_n
	"ssl-client*",            // Apache, ingress-nginx, HAProxy
	"ssl-cn",                 // by convention: HAProxy
	"ssl-dn",                 // by convention: nginx
	"ssl-fingerprint",        // by convention: nginx
	"ssl-i-dn",               // by convention: Apache
	"ssl-issuer",             // by convention: HAProxy
	"ssl-s-dn",               // by convention: Apache
	"ssl-san",                // by convention: HAProxy
	"ssl-serial",             // by convention: nginx
	"ssl-subject",            // Puppet
	"ssl-verified",           // by convention: nginx
	"ssl-verify",             // by convention: nginx
	"tls-cert*",              // by convention: Caddy
	"tls-client",             // by convention: Caddy
}

// family is a parsed entry of families.
type family struct {
	stem string
	open bool // whether anything may follow
}

// familiesByLetter are the families by the first octet of their names.
var familiesByLetter = func() (t [256][]family) {
	for _, f := range families {
		stem, open := strings.CutSuffix(f, "*")
		t[f[0]] = append(t[f[0]], family{stem, open})
	}
	return t
}()

// folded is what each octet of a name folds to.
var folded = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			t[c] = byte(c)
		case 'A' <= c && c <= 'Z':
			t[c] = byte(c) | 0x20
		default:
			t[c] = '-'
		}
	}
	return t
}()

// Fold appends to dst the form of a field name in which all spellings that some backend takes for one name are equal,
// and returns it: letters in lower case, and a hyphen for everything that is neither letter nor digit, because
// CGI and its descendants make one character of "-", "_" and ".", and some of them of all the rest too.
func Fold(dst []byte, name string) []byte {
	for i := range len(name) {
		dst = append(dst, folded[name[i]])
	}
	return dst
}

// Identity reports whether a request header of this name, in any spelling, belongs to the family by which gateways tell
// a backend who the caller is: the certificate, parts of it, or what became of its validation. Such a field must never
// come through from a caller. It knows the names that products and their manuals use; names that only one installation
// uses are for the configuration to add.
//
// It allocates nothing, and looks at the first 64 octets only.
func Identity(name string) bool {
	var buf [maxName]byte
	n := min(len(name), maxName)
	for i := range n {
		buf[i] = folded[name[i]]
	}
	b := buf[:n]
	if holdsClientCert(b) {
		return true
	}
	if n >= 2 && b[0] == 'x' && b[1] == '-' {
		b = b[2:]
	}
	if len(b) == 0 {
		return false
	}
	for _, f := range familiesByLetter[b[0]] {
		if len(b) < len(f.stem) || string(b[:len(f.stem)]) != f.stem {
			continue
		}
		if f.open || len(b) == len(f.stem) || b[len(f.stem)] == '-' {
			return true
		}
	}
	return false
}

// holdsClientCert reports whether b holds "client-cert" or "clientcert".
func holdsClientCert(b []byte) bool {
	for {
		i := bytes.Index(b, []byte("client"))
		if i < 0 {
			return false
		}
		b = b[i+len("client"):]
		if bytes.HasPrefix(b, []byte("cert")) || bytes.HasPrefix(b, []byte("-cert")) {
			return true
		}
	}
}
