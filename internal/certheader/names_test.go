package certheader_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/certheader"
)

// identityNames are the names that products and their manuals use, sender by sender.
var identityNames = map[string][]string{
	"RFC 9440": {certheader.ClientCertName, certheader.ClientCertChainName},
	"Envoy":    {"X-Forwarded-Client-Cert"},
	"nginx": {
		"X-SSL-Cert", "SSL-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN",
		"X-SSL-Client-S-DN-Legacy", "X-SSL-Client-Serial", "X-SSL-Client-Fingerprint", "X-SSL-Client-V-Start", "X-SSL-Client-V-End",
		"X-SSL-Client-V-Remain", "X-SSL-Client-Escaped-Cert", "X-SSL-Client-Raw-Cert", "X-SSL-Verified", "X-SSL-Verify", "X-SSL-Serial",
		"X-SSL-Fingerprint", "X-SSL-DN", "X-SSL-S-DN", "X-SSL-I-DN", "X-Client-Verify", "X-Client-Verified", "X-Client-DN", "X-Client-CN",
		"X-Client-S-DN", "X-Client-I-DN",
	},
	"ingress-nginx": {"ssl-client-cert", "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn"},
	"Traefik":       {"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Tls-Client-Cert-Infos"},
	"HAProxy": {
		"X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-SHA1", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Client-Serial",
		"X-SSL-Client-NotBefore", "X-SSL-Client-NotAfter", "X-SSL-Client-Not-Before", "X-SSL-Issuer", "X-SSL-Subject", "X-SSL-Client-Chain",
		"X-SSL-CN", "X-SSL-SAN", "SSL-C-DER", "X-SSL-C-S-DN", "X-Forwarded-SSL-Client-Cert", "X-Forwarded-Client-DN",
	},
	"Apache": {
		"SSL_CLIENT_CERT", "SSL_CLIENT_CERT_CHAIN_0", "SSL_CERT_CHAIN_0", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_S_DN_CN",
		"SSL_CLIENT_I_DN", "SSL_CLIENT_M_SERIAL", "SSL_CLIENT_SAN_Email_0", "SSL_CLIENT_CERT_RFC4523_CEA", "CERT_CHAIN_0",
	},
	"Caddy": {"X-Tls-Client-Certificate-Der-Base64", "X-Tls-Client-Subject", "X-Tls-Client-Fingerprint", "Tls-Client-Serial", "X-Tls-Cert", "X-Tls-Certificate"},
	"ALB": {
		"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Serial-Number", "X-Amzn-Mtls-Clientcert-Issuer",
		"X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert-Validity", "X-Mtls-Client",
		"X-Amzn-Mtls-Error", "X-Mtls-Subject",
	},
	"CloudFront": {
		"CloudFront-Viewer-Cert-Pem", "CloudFront-Viewer-Cert-Serial-Number", "CloudFront-Viewer-Cert-Issuer", "CloudFront-Viewer-Cert-Subject",
		"CloudFront-Viewer-Cert-Validity", "CloudFront-Viewer-Cert-Present", "CloudFront-Viewer-Cert-Sha256",
	},
	"App Service": {"X-ARR-ClientCert"},
	"App Gateway": {
		"X-Client-Cert", "X-Client-Certificate", "client_certificate", "client_certificate_fingerprint", "client_certificate_issuer",
		"client_certificate_subject", "client_certificate_serial", "client_certificate_verification", "client_certificate_start_date",
		"client_certificate_end_date", "X-Client-Subject", "X-Client-Issuer",
	},
	"Google": {
		"X-Client-Cert-Present", "X-Client-Cert-Chain-Verified", "X-Client-Cert-Error", "X-Client-Cert-Hash", "X-Client-Cert-Serial-Number",
		"client_cert_present", "client_cert_chain_verified", "client_cert_error", "client_cert_sha256_fingerprint", "client_cert_serial_number",
		"client_cert_spiffe_id", "client_cert_uri_sans", "client_cert_dnsname_sans", "client_cert_valid_not_before",
		"client_cert_valid_not_after", "client_cert_issuer_dn", "client_cert_subject_dn", "client_cert_leaf", "client_cert_chain",
	},
	"Cloudflare": {
		"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256", "cf-cert-revoked", "cf-cert-verified", "cf-cert-presented", "cf-cert-issuer-dn",
		"cf-cert-subject-dn", "cf-cert-issuer-dn-rfc2253", "cf-cert-subject-dn-legacy", "cf-cert-serial", "cf-cert-fingerprint-sha256",
		"cf-cert-fingerprint-sha1", "cf-cert-not-before", "cf-cert-not-after", "cf-cert-ski", "cf-cert-issuer-ski", "cf-cert-issuer-serial",
	},
	"F5":        {"X-Client-Cert", "SSLClientCertSubject", "SSLClientCertStatus"},
	"WSO2":      {"X-SSL-CERT", "X-WSO2-CLIENT-CERTIFICATE"},
	"Kong":      {"X-Client-Cert", "X-Client-Cert-Serial", "X-Client-Cert-Issuer-DN", "X-Client-Cert-Subject-DN", "X-Client-Cert-Fingerprint"},
	"Boomi":     {"Client-Certificate", "X-Client-Certificate"},
	"WebLogic":  {"WL-Proxy-Client-Cert"},
	"WebSphere": {"$WSCC"},
	"Puppet":    {"X-Client-Verify", "X-Client-DN", "X-Client-Cert", "X-SSL-Subject"},
	"convention": {
		"X-My-SSL-Client-Name", "Foo-SSLClient", "FooSSLClientDN", "X-Edge-TLS-Client-Hash", "X-TLSClient-Subject", "X-Nginx-Tls-Client",
		"X-ClientCN", "ClientCN", "X-SSL-User", "SSL_USER", "TLS-User", "X-SSL-Subject-DN", "X-SSL-SubjectDN", "X-TLS-Subject", "TLS-SubjectDN",
		"X-TLS-Peer", "X-TLS-PeerCert", "X-SSL-Peer-DN", "SSL-PeerDN", "Proxy-SSL", "Proxy-SSL-Name", "X-Proxy-SSLVerify", "WL-Proxy-SSL",
		"X-Forwarded-SSL-Verify", "X-Forwarded-SSL-Verified", "X-Forwarded-Cert", "Forwarded-Certificate", "X-Cert-Subject", "Cert-SubjectDN",
		"X-Cert-Issuer", "Cert-Issuer-DN", "X-Cert-Serial", "Cert-SerialNumber", "X-Certificate-Subject", "Certificate-SubjectDN",
		"X-Certificate-Issuer", "Certificate-IssuerDN", "X-Subject-DN", "Subject-DN", "X-Issuer-DN", "Issuer_DN", "X-Peer-Cert", "Peer-Certificate",
		"X-Peer-Certificate-Subject", "X-Spiffe-Id", "Spiffe-ID", "X-Spiffe-Ids",
	},
}

// exactNames are names of the family that continue to names of other things.
var exactNames = []string{
	"X-Client-Fingerprint", "X-Client-Serial", "X-Client-SAN", "X-Client-SANs", "X-Client-SHA1", "X-Client-SHA256", "X-Client-Thumbprint",
	"Client-Fingerprint", "Client-Serial", "Client-SAN", "Client-Sans", "Client-SHA1", "Client-SHA256", "Client-Thumbprint",
}

// otherNames are names that belong to normal traffic and come near the family.
var otherNames = []string{
	"Accept", "Accept-CH", "Accept-Encoding", "Authorization", "Cache-Control", "CDN-Loop", "Connection", "Content-Length", "Content-Type",
	"Cookie", "DPoP", "Date", "Expect", "Forwarded", "From", "Host", "Origin", "Referer", "Signature", "Signature-Input", "Client-Version", "Client-Id",
	"Client-IP", "Client-Hints", "Client-Key", "Client-CNonce", "Client-Data-Nonce", "Sec-CH-UA", "Sec-CH-UA-Platform", "Sec-Fetch-Site",
	"Sec-WebSocket-Key", "TE", "Traceparent", "True-Client-IP", "User-Agent", "Via", "X-Client", "X-Client-Id", "X-Client-IP", "X-Client-Name",
	"X-Client-Version", "X-Client-Data", "X-Client-Trace-Id", "X-Client-Serial-Number", "X-Client-Sandbox", "X-Client-Sha512", "X-Client-Serials", "X-Cluster-Client-IP", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Tls-Version", "X-Forwarded-Client-Ip", "X-Real-IP",
	"X-Request-Id", "X-Requested-With", "X-Correlation-Id", "X-B3-TraceId", "X-CSRF-Token", "X-Api-Key", "X-Amzn-Trace-Id", "X-Amz-Date",
	"X-Amz-Cf-Id", "X-Amzn-Tls-Version", "X-Amzn-Tls-Cipher-Suite", "CloudFront-Viewer-Country", "CloudFront-Viewer-Address", "CloudFront-Viewer-TLS",
	"CloudFront-Is-Mobile-Viewer", "CF-Connecting-IP", "CF-Ray", "CF-Visitor", "CF-IPCountry", "Cf-Certainty", "X-ARR-SSL", "X-ARR-Log-Id", "X-SSL",
	"X-SSL-Protocol", "X-SSL-Cipher", "X-SSL-Session-Id", "SSL-Cipher", "X-TLS-Version", "X-TLS-Cipher", "Strict-Transport-Security",
	"WL-Proxy-Client-IP", "X-Certainly", "Certificate-Transparency", "Expect-CT", "X-Mtlsx", "Xs-sl-Client-Cer", "xclient-dn",
	"Client-Type", "Client-Platform", "Client-Secret", "X-Client-Session", "X-Clientcnx", "X-SSL-Users", "X-TLS-Userx", "X-TLS-Session-Id",
	"X-TLS-Protocol", "X-TLS-Server-Name", "X-Forwarded-Ssl-Cipher", "X-Forwarded-Tls-Cipher", "X-Proxy-Id", "Proxy-Authorization", "WL-Proxy-SSLx",
	"X-Subject", "Subject", "X-Issuer", "X-Subject-Id", "X-Subject-Dnx", "X-Cert-Id", "X-Certificate-Id", "X-Peer", "X-Peer-Id", "X-Spiffe",
	"Ssl--Client", "X-SSL-Http-Client", "Http-Client-Cer", "Slient", "X-Serial", "X-Fingerprint",
	"X", "X-", "XX", "-", "_", "", "c", "x-c", "x-client-", "client", "cert", "X-X-Client-DN", "-ssl-cipher", "Client--Verify", "Clie-ntcert",
}

func spellings(name string) map[string]string {
	mixed := []byte(name)
	for i := range mixed {
		switch c := name[i]; {
		case i%2 == 0:
			mixed[i] = strings.ToUpper(name)[i]
		case c == '-' || c == '_':
			mixed[i] = "-_.!"[i%4]
		default:
			mixed[i] = strings.ToLower(name)[i]
		}
	}
	underscores := strings.ReplaceAll(name, "-", "_")
	return map[string]string{
		"as written":            name,
		"lower case":            strings.ToLower(name),
		"upper case":            strings.ToUpper(name),
		"underscores":           underscores,
		"dots":                  strings.ReplaceAll(underscores, "_", "."),
		"hyphens":               strings.ReplaceAll(name, "_", "-"),
		"one underscore":        strings.Replace(name, "-", "_", 1),
		"CGI without its HTTP_": strings.ToUpper(underscores),
		"mixed":                 string(mixed),
		"tildes":                strings.ReplaceAll(underscores, "_", "~"),
	}
}

func TestEveryIdentityNameIsKnownInEverySpelling(t *testing.T) {
	t.Parallel()
	for sender, names := range identityNames {
		for _, name := range names {
			for how, spelling := range spellings(name) {
				if !certheader.Identity(spelling) {
					t.Errorf("%s: %q (%s) is not in the family", sender, spelling, how)
				}
			}
			if long := name + "-" + strings.Repeat("a", 100<<10); !certheader.Identity(long) {
				t.Errorf("%s: %q with 100 KiB behind it is not in the family", sender, name)
			}
		}
	}
}

func TestSomeNamesAreInTheFamilyOnlyAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range exactNames {
		for how, spelling := range spellings(name) {
			if !certheader.Identity(spelling) {
				t.Errorf("%q (%s) is not in the family", spelling, how)
			}
			for _, end := range []string{"-", "x", "-x", "-number"} {
				if certheader.Identity(spelling + end) {
					t.Errorf("%q is in the family", spelling+end)
				}
			}
		}
	}
}

// Every entry of the list is a statement of its own about what may follow: the names above have most of them only as far as
// another entry, or a hyphen, would do as well.
func TestEachFamilyEndsWhereItsEntrySays(t *testing.T) {
	t.Parallel()
	check := func(stem, end string, want bool) {
		for _, prefix := range []string{"", "X-"} {
			for how, spelling := range spellings(prefix + stem + end) {
				if certheader.Identity(spelling) != want {
					t.Errorf("Identity(%q) (%s) = %t, want %t", spelling, how, !want, want)
				}
			}
		}
	}
	for _, stem := range naiveFamilies.open {
		for _, end := range []string{"", "-number", "x", "7"} {
			check(stem, end, true)
		}
		check(stem[:len(stem)-1], "", naiveIdentity(stem[:len(stem)-1])) // one octet less is another name
	}
	for _, stem := range naiveFamilies.words {
		check(stem, "", true)
		check(stem, "-number", true)
		if !slices.ContainsFunc(naiveFamilies.open, func(open string) bool { return strings.HasPrefix(stem+"zz", open) }) {
			check(stem, "zz", false)
		}
	}
	for _, stem := range naiveFamilies.exact {
		check(stem, "", true)
		check(stem, "-number", false)
		check(stem, "zz", false)
	}
}

func TestNamesOfNormalTrafficAreNotInTheFamily(t *testing.T) {
	t.Parallel()
	for _, name := range otherNames {
		for how, spelling := range spellings(name) {
			if certheader.Identity(spelling) {
				t.Errorf("%q (%s) is in the family", spelling, how)
			}
		}
	}
	for _, name := range []string{strings.Repeat("a", 100<<10), strings.Repeat("client-", 10<<10), strings.Repeat("-", 65), strings.Repeat("\xff", 64)} {
		if certheader.Identity(name) {
			t.Errorf("%.20q... of %d octets is in the family", name, len(name))
		}
	}
}

func TestFoldMakesAllSpellingsEqual(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"letters are lowered", "X-SSL-Cert", "x-ssl-cert"},
		{"an underscore is a hyphen", "X_SSL_Cert", "x-ssl-cert"},
		{"a dot is a hyphen", "X.SSL.Cert", "x-ssl-cert"},
		{"so is every other sign", "X!SSL~Cert$", "x-ssl-cert-"},
		{"runs are not shortened", "X--__.SSL", "x-----ssl"},
		{"digits stay", "a-0-9", "a-0-9"},
		{"no octet is left out", "\x00\x7f\u212a", "-----"},
		{"nothing is nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(certheader.Fold([]byte("kept:"), tt.in)); got != "kept:"+tt.want {
				t.Errorf("Fold(%q) = %q, want %q", tt.in, got, "kept:"+tt.want)
			}
		})
	}
}

func TestNamesAreLookedAtWithoutAllocating(t *testing.T) {
	buf := make([]byte, 0, 128)
	for _, name := range append(slices.Concat(identityNames["ALB"], identityNames["Apache"], exactNames), "", "Content_Length", "Transfer.Encoding", "_Host", "x", "X-Request-Id", strings.Repeat("client", 20_000)) {
		if n := testing.AllocsPerRun(100, func() { certheader.Identity(name) }); n != 0 {
			t.Errorf("Identity(%.40q) allocates %v times, want none", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { certheader.Framing(name) }); n != 0 {
			t.Errorf("Framing(%.40q) allocates %v times, want none", name, n)
		}
		if len(name) > cap(buf) {
			continue
		}
		if n := testing.AllocsPerRun(100, func() { certheader.Fold(buf, name) }); n != 0 {
			t.Errorf("Fold(%.40q) allocates %v times, want none", name, n)
		}
	}
}

// naiveFamilies is the family once more, written down as expressions of another kind: the test's own reading of it.
var naiveFamilies = struct{ anywhere, open, words, exact []string }{
	anywhere: []string{"client-cert", "clientcert", "ssl-client", "sslclient", "tls-client", "tlsclient"},
	open: []string{
		"amzn-mtls", "ssl-cert", "tls-cert", "ssl-subject", "tls-subject", "tls-peer", "ssl-peer", "proxy-ssl", "forwarded-ssl-verify", "forwarded-cert",
		"cert-subject", "cert-issuer", "cert-serial", "certificate-subject", "certificate-issuer", "peer-cert", "spiffe-id",
	},
	exact: []string{
		"client-fingerprint", "client-serial", "client-san", "client-sans", "client-sha1", "client-sha256", "client-thumbprint",
	},
	words: []string{
		"-wscc", "cert-chain", "cf-cert", "client-cn", "client-dn", "client-i-dn", "client-issuer", "client-s-dn", "client-subject",
		"client-verified", "client-verify", "cloudfront-viewer-cert", "forwarded-client-dn", "mtls", "ssl-c", "ssl-cn", "ssl-dn",
		"ssl-fingerprint", "ssl-i-dn", "ssl-issuer", "ssl-s-dn", "ssl-san", "ssl-serial", "ssl-verified", "ssl-verify",
		"clientcn", "forwarded-ssl-verified", "ssl-user", "tls-user", "wl-proxy-ssl", "subject-dn", "issuer-dn",
	},
}

func naiveIdentity(name string) bool {
	name = name[:min(len(name), 64)]
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", c) < 0 {
			b.WriteByte('-')
		} else {
			b.WriteString(strings.ToLower(string(rune(c))))
		}
	}
	for _, s := range naiveFamilies.anywhere {
		if strings.Contains(b.String(), s) {
			return true
		}
	}
	stem := strings.TrimPrefix(b.String(), "x-")
	for _, s := range naiveFamilies.open {
		if strings.HasPrefix(stem, s) {
			return true
		}
	}
	if slices.Contains(naiveFamilies.exact, stem) {
		return true
	}
	for _, s := range naiveFamilies.words {
		if strings.HasPrefix(stem+"-", s+"-") {
			return true
		}
	}
	return false
}

func FuzzIdentity(f *testing.F) {
	for _, names := range identityNames {
		for _, name := range names {
			f.Add(name)
		}
	}
	for _, name := range slices.Concat(otherNames, exactNames) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := certheader.Identity(name)
		if want := naiveIdentity(name); got != want {
			t.Fatalf("Identity(%q) = %t, want %t", name, got, want)
		}
		folded := string(certheader.Fold(nil, name))
		if again := string(certheader.Fold(nil, folded)); again != folded {
			t.Fatalf("Fold(%q) = %q, which folds to %q", name, folded, again)
		}
		for how, spelling := range map[string]string{"folded": folded, "upper case": strings.ToUpper(folded), "underscores": strings.ReplaceAll(folded, "-", "_")} {
			if certheader.Identity(spelling) != got {
				t.Fatalf("Identity(%q) = %t, but not for %q (%s)", name, got, spelling, how)
			}
		}
	})
}

var framingNames = []string{
	"content-length", "transfer-encoding", "host", "connection", "upgrade", "te", "trailer", "keep-alive", "proxy-connection", "expect",
}

func TestNamesThatPassForFramingFields(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Content_Length", "Content.Length", "CONTENT_LENGTH", "content length", "Content-Length_", "_Content-Length", "Content_Length ", "$content~length!",
		"Transfer_Encoding", "Transfer.Encoding", "transfer\x00encoding", "Transfer-Encoding\t", "Keep_Alive", "Proxy.Connection", "Host_", "_host", "-Host",
		"Te.", "Trailer-", "Upgrade_", ".Connection", "Expect!", strings.Repeat("_", 100<<10) + "Host",
	} {
		if !certheader.Framing(name) {
			t.Errorf("Framing(%.40q) = false", name)
		}
	}
	for _, name := range framingNames {
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if certheader.Framing(spelling) {
				t.Errorf("Framing(%q) = true for the field itself", spelling)
			}
		}
	}
	for _, name := range slices.Concat(otherNames, []string{
		"Content_Type", "Content-Encoding", "Content_Lengths", "X-Content_Length", "Content--Length", "ContentLength", "Content_-Length", "Hosts", "X_Host",
		"Host-Name", "H_ost", "Trailers", "T.E", "__", strings.Repeat("content_length", 10<<10),
	}) {
		if certheader.Framing(name) {
			t.Errorf("Framing(%.40q) = true", name)
		}
	}
}

func FuzzFraming(f *testing.F) {
	for _, name := range slices.Concat(framingNames, otherNames, []string{"Content_Length", "_Host.", "Transfer.Encoding", "K\u212aeep-alive"}) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := certheader.Framing(name)
		looks := slices.Contains(framingNames, strings.Trim(string(certheader.Fold(nil, name)), "-"))
		is := slices.ContainsFunc(framingNames, func(n string) bool { return len(n) == len(name) && strings.EqualFold(n, name) })
		if want := looks && !is; got != want {
			t.Fatalf("Framing(%q) = %t, want %t", name, got, want)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	for _, header := range []string{"User-Agent", "X-Forwarded-For", "Content-Length", "Transfer_Encoding"} {
		b.Run(header, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				certheader.Framing(header)
			}
		})
	}
}

func BenchmarkIdentity(b *testing.B) {
	for name, header := range map[string]string{
		"user-agent": "User-Agent", "forwarded": "X-Forwarded-For", "request-id": "X-Request-Id", "client": "X-Client-Version",
		"family": "X-Forwarded-Tls-Client-Cert-Info", "ssl": "Ssl-Client-Verify", "long": strings.Repeat("x-client-", 10<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				certheader.Identity(header)
			}
		})
	}
}
