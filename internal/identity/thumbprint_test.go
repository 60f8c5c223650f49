package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"sallyport/internal/identity"
)

const (
	sha256Hex = "fbefbe0c9fdfd7ebb0da3d4a27d7d2e5e8a8cbbd2d4a5fb27cdc32dcb0a9ef3f"
	sha1Hex   = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
)

func TestParseSHA256AcceptsWhatPeoplePaste(t *testing.T) {
	t.Parallel()
	raw := must(identity.ParseSHA256(sha256Hex))
	pairs := make([]string, 0, 32)
	for i := 0; i < len(sha256Hex); i += 2 {
		pairs = append(pairs, strings.ToUpper(sha256Hex[i:i+2]))
	}
	std, rawURL := base64.StdEncoding.EncodeToString(raw[:]), base64.RawURLEncoding.EncodeToString(raw[:])
	if !strings.ContainsAny(std, "+/") || !strings.ContainsAny(rawURL, "-_") {
		t.Fatalf("the digest should use both base64 alphabets: %s %s", std, rawURL)
	}
	for name, text := range map[string]string{
		"lower-case hex":                  sha256Hex,
		"upper-case hex":                  strings.ToUpper(sha256Hex),
		"colons":                          strings.Join(pairs, ":"),
		"blanks":                          strings.Join(pairs, " "),
		"hyphens as .NET prints":          strings.Join(pairs, "-"),
		"no-break and ideographic blanks": strings.Join(pairs[:16], "\u00a0") + "\u3000" + strings.Join(pairs[16:], "\u2009"),
		"left-to-right mark of Windows":   "\u200e" + sha256Hex,
		"zero width space inside":         sha256Hex[:9] + "\u200b" + sha256Hex[9:],
		"byte order mark":                 "\ufeff" + sha256Hex,
		"soft hyphen and joiners":         sha256Hex[:7] + "\u00ad\u200d\u2060" + sha256Hex[7:],
		"line breaks":                     sha256Hex[:32] + "\r\n\t" + sha256Hex[32:] + "\n",
		"label of lists":                  "sha256:" + sha256Hex,
		"label with hyphen":               "SHA-256: " + sha256Hex,
		"openssl 1.1":                     "SHA256 Fingerprint=" + strings.Join(pairs, ":"),
		"openssl 3":                       "sha256 Fingerprint=" + strings.Join(pairs, ":"),
		"base64":                          std,
		"base64 without padding":          strings.TrimRight(std, "="),
		"base64url without padding":       rawURL,
		"base64url with padding":          rawURL + "=",
		"pin of curl":                     "sha256//" + std,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.ParseSHA256(text)
			if err != nil || got != raw {
				t.Errorf("ParseSHA256(%q) = %v, %v, want %v", text, got, err, raw)
			}
		})
	}
}

func TestParseSHA256SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                 {"", "empty"},
		"only a label":            {"sha256:", "empty"},
		"only invisible":          {"\u200e \ufeff", "empty"},
		"one digit short":         {sha256Hex[1:], "63 hex digits, want 64"},
		"one digit too many":      {sha256Hex + "0", "65 hex digits, want 64"},
		"SHA-1":                   {sha1Hex, "looks like SHA-1"},
		"MD5":                     {sha256Hex[:32], "looks like MD5"},
		"label of another":        {"SHA1 Fingerprint=" + sha256Hex, "labelled SHA-1"},
		"a letter O for a zero":   {"O" + sha256Hex[1:], `'O' is not a hex digit`},
		"a Cyrillic a":            {"\u0430" + sha256Hex[1:], `'\u0430' is not a hex digit`},
		"full-width digits":       {"\uff11" + sha256Hex[1:], `'\uff11'`},
		"a NUL":                   {sha256Hex + "\x00", `'\x00'`},
		"PEM":                     {"-----BEGIN CERTIFICATE-----\nMIIB", "PEM"},
		"not UTF-8":               {"\xff" + sha256Hex, "UTF-8"},
		"a novel":                 {strings.Repeat("a", 5000), "too long"},
		"hex with a hyphen short": {"ab-" + sha256Hex[4:], "62 hex digits"},
		"base64 with loose bits":  {strings.Repeat("/", 43), `'/' is not a hex digit`},
		"base64 of one byte more": {strings.Repeat("z", 44), `'z' is not a hex digit`},
		"both alphabets mixed":    {"+_" + strings.Repeat("z", 40) + "w", `'+' is not a hex digit`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.ParseSHA256(c.text)
			wantError(t, err, c.want)
			if got != (identity.SHA256{}) {
				t.Errorf("a refused thumbprint is %v, want zero", got)
			}
		})
	}
}

func TestParseSHA1(t *testing.T) {
	t.Parallel()
	d, err := identity.ParseSHA1("\u200eA1 B2 C3 D4 E5 F6 07 18 29 3A 4B 5C 6D 7E 8F 90 01 12 23 34")
	if err != nil || d.String() != sha1Hex {
		t.Errorf("got %v, %v", d, err)
	}
	viaBase64, err := identity.ParseSHA1(base64.StdEncoding.EncodeToString(d[:]))
	if err != nil || viaBase64 != d {
		t.Errorf("base64: got %v, %v", viaBase64, err)
	}
	_, err = identity.ParseSHA1(sha256Hex)
	wantError(t, err, "looks like SHA-256")
	_, err = identity.ParseSHA1("sha256:" + sha1Hex)
	wantError(t, err, "labelled SHA-256")
}

func TestDigestsAsText(t *testing.T) {
	t.Parallel()
	type list struct {
		A identity.SHA256
		B identity.SHA1
	}
	var got list
	if err := json.Unmarshal([]byte(`{"A":"`+strings.ToUpper(sha256Hex)+`","B":"`+sha1Hex+`"}`), &got); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(got)
	if want := `{"A":"` + sha256Hex + `","B":"` + sha1Hex + `"}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
	before := got
	if err := got.A.UnmarshalText([]byte("x")); err == nil || got != before {
		t.Errorf("a refused text changed the digest: %v, %v", got.A, err)
	}
	if err := got.B.UnmarshalText([]byte("x")); err == nil || got != before {
		t.Errorf("a refused text changed the digest: %v, %v", got.B, err)
	}
}

func TestThumbprintOfNoCertificateIsZero(t *testing.T) {
	t.Parallel()
	for _, cert := range []*x509.Certificate{nil, {}} {
		if got := identity.Thumbprint(cert); got != (identity.SHA256{}) {
			t.Errorf("got %v, want zero", got)
		}
	}
}

func TestSerial(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1f", "1F", "0x1F", "0X1f", "1F:", "00:1f", "0x001F", " 1 f\u200e", "serial=1F"} {
		s, err := identity.ParseSerial(text)
		if err != nil || s.String() != "1F" {
			t.Errorf("ParseSerial(%q) = %v, %v, want 1F", text, s, err)
		}
	}
	zero, err := identity.ParseSerial("00")
	if err != nil || zero.String() != "0" || !zero.Equal(must(identity.ParseSerial("0x0"))) {
		t.Errorf("zero: %v, %v", zero, err)
	}
	for text, want := range map[string]string{
		"": "empty", "0x": "empty", ":": "empty", "-1f": "negative", "xyz": `'x' is not a hex digit`,
		strings.Repeat("f", 65): "too long", "\xff": "UTF-8", strings.Repeat("0", 2000): "too long",
	} {
		_, err := identity.ParseSerial(text)
		wantError(t, err, want)
	}
	if (identity.Serial{}).Equal(identity.Serial{}) {
		t.Error("the zero serial equals itself, want nothing")
	}
	if must(identity.ParseSerial("31")).Equal(must(identity.ParseSerial("1f"))) {
		t.Error("a serial is read as decimal")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
