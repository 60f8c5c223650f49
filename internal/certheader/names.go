package certheader

import "strings"

// The fields of RFC 9440.
const (
	ClientCertName      = "Client-Cert"       // section 2.2
	ClientCertChainName = "Client-Cert-Chain" // section 2.3
)

// maxName is how much of a name Identity looks at: more than the longest name of the family needs.
const maxName = 64

// families are the names of the family, folded and without a leading "x-", which every one of them may have. A name is
// in the family when it is one of these or continues one with a hyphen; an asterisk says that anything may follow, an
// equals sign that nothing may.
//
// Names that hold one of the words of holdsClient anywhere are in the family too and need no entry: RFC 9440, Envoy
// (X-Forwarded-Client-Cert), Traefik, App Service, App Gateway, Google, F5, NetScaler, WSO2, Kong, WebLogic, Apache,
// ingress-nginx, HAProxy, Caddy.
var families = []string{
	"-wscc",                  // WebSphere's plug-ins: $WSCC
	"amzn-mtls*",             // AWS ALB
	"cert-chain",             // Keycloak's name for Apache's chain, with a number
	"cert-issuer*",           // by convention
	"cert-serial*",           // by convention
	"cert-subject*",          // by convention
	"certificate-issuer*",    // by convention
	"certificate-subject*",   // by convention
	"cf-cert",                // Cloudflare's managed transform
	"client-cn",              // by convention: nginx
	"client-dn",              // Puppet; by convention: nginx
	"client-fingerprint=",    // by convention: nginx
	"client-i-dn",            // by convention: nginx
	"client-issuer",          // by convention: App Gateway
	"client-s-dn",            // by convention: nginx
	"client-san=",            // by convention
	"client-sans=",           // by convention
	"client-serial=",         // by convention: nginx
	"client-sha1=",           // by convention: HAProxy
	"client-sha256=",         // by convention: HAProxy
	"client-subject",         // by convention: App Gateway
	"client-thumbprint=",     // by convention: App Gateway
	"client-verified",        // by convention: nginx
	"client-verify",          // Puppet; by convention: nginx
	"clientcn",               // by convention
	"cloudfront-viewer-cert", // CloudFront
	"forwarded-cert*",        // by convention
	"forwarded-client-dn",    // by convention: Apache
	"forwarded-ssl-verified", // by convention: HAProxy
	"forwarded-ssl-verify*",  // by convention: HAProxy
	"issuer-dn",              // by convention
	"mtls",                   // by convention: ALB renamed
	"peer-cert*",             // by convention
	"proxy-ssl*",             // by convention: nginx's variables as names
	"spiffe-id*",             // by convention: SPIFFE
	"ssl-c",                  // by convention: HAProxy's fetches as names
	"ssl-cert*",              // WSO2, nginx, Apache's SSL_CERT_CHAIN_n
	"ssl-cn",                 // by convention: HAProxy
	"ssl-dn",                 // by convention: nginx
	"ssl-fingerprint",        // by convention: nginx
	"ssl-i-dn",               // by convention: Apache
	"ssl-issuer",             // by convention: HAProxy
	"ssl-peer*",              // by convention
	"ssl-s-dn",               // by convention: Apache
	"ssl-san",                // by convention: HAProxy
	"ssl-serial",             // by convention: nginx
	"ssl-subject*",           // Puppet
	"ssl-user",               // by convention: Apache's SSLUserName
	"ssl-verified",           // by convention: nginx
	"ssl-verify",             // by convention: nginx
	"subject-dn",             // by convention
	"tls-cert*",              // by convention: Caddy
	"tls-peer*",              // by convention
	"tls-subject*",           // by convention: Caddy
	"tls-user",               // by convention
	"wl-proxy-ssl",           // WebLogic
}

// follow says what a name may have behind one of the families.
type follow uint8

const (
	noFamily follow = iota
	nothing         // it is the whole name
	hyphen          // or continues with a hyphen
	anything
)

// familyTree holds the families octet by octet, so that what they have in common is compared once, however many they are.
// A node is the index of the next one for each octet, 0 for none; the root is 0.
type familyTree struct {
	next [][digits]uint16
	ends []follow
}

// digits is how many octets there are in folded names: letters, digits and the hyphen.
const digits = 26 + 10 + 1

// digit numbers the octets of folded names.
func digit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a'
	case c >= '0':
		return c - '0' + 26
	}
	return digits - 1
}

var familyNodes = func() (t familyTree) {
	add := func() uint16 {
		t.next, t.ends = append(t.next, [digits]uint16{}), append(t.ends, noFamily)
		return uint16(len(t.ends) - 1) // a few hundred
	}
	add()
	for _, f := range families {
		stem, may := f, hyphen
		if cut, ok := strings.CutSuffix(f, "*"); ok {
			stem, may = cut, anything
		} else if cut, ok := strings.CutSuffix(f, "="); ok {
			stem, may = cut, nothing
		}
		at := uint16(0)
		for k := range len(stem) {
			d := digit(stem[k])
			if t.next[at][d] == 0 {
				n := add()
				t.next[at][d] = n
			}
			at = t.next[at][d]
		}
		t.ends[at] = may
	}
	return t
}()

// match reports whether a folded name is in one of the families.
func (t *familyTree) match(b []byte) bool {
	at := uint16(0)
	for i, c := range b {
		if at = t.next[at][digit(c)]; at == 0 {
			return false
		}
		switch t.ends[at] {
		case anything:
			return true
		case hyphen:
			if i+1 == len(b) || b[i+1] == '-' {
				return true
			}
		case nothing:
			if i+1 == len(b) {
				return true
			}
		case noFamily:
		}
	}
	return false
}

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
	if holdsClient(b) {
		return true
	}
	if n >= 2 && b[0] == 'x' && b[1] == '-' {
		b = b[2:]
	}
	return familyNodes.match(b)
}

// holdsClient reports whether b holds "client-cert", "ssl-client" or "tls-client", with or without the hyphen.
func holdsClient(b []byte) bool {
	const word = "client"
	for i := 0; i+len(word) <= len(b); i++ {
		if b[i] != 'c' || string(b[i:i+len(word)]) != word {
			continue
		}
		before, after := b[:i], b[i+len(word):]
		if len(before) > 0 && before[len(before)-1] == '-' {
			before = before[:len(before)-1]
		}
		if len(after) > 0 && after[0] == '-' {
			after = after[1:]
		}
		if n := len(before); n >= 3 && (string(before[n-3:]) == "ssl" || string(before[n-3:]) == "tls") || len(after) >= 4 && string(after[:4]) == "cert" {
			return true
		}
	}
	return false
}

// longestFraming is the length of the longest name that Framing knows.
const longestFraming = len("transfer-encoding")

// Framing reports whether the name of a field is not that of one of the fields that frame a message or say where it goes
// (RFC 9110 §7, RFC 9112 §6), whatever its case, but one that some backend takes for it: with other signs in the place of
// hyphens, or signs around it. Content_Length and Transfer.Encoding are such names, Content-Length is not. Nobody sends
// them in good faith.
//
// It allocates nothing.
func Framing(name string) bool {
	first, end := 0, len(name)
	for first < end && folded[name[first]] == '-' {
		first++
	}
	for end > first && folded[name[end-1]] == '-' {
		end--
	}
	core := name[first:end]
	if len(core) > longestFraming {
		return false
	}
	var buf [longestFraming]byte
	same := len(core) == len(name) // nothing but case tells it from its folded form
	for i := range len(core) {
		buf[i] = folded[core[i]]
		same = same && (buf[i] != '-' || core[i] == '-')
	}
	if same {
		return false
	}
	switch string(buf[:len(core)]) {
	case "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}
