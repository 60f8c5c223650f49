package keystore

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // G505: what the format is made of
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	magicJKS      = "\xfe\xed\xfe\xed"
	magicJCEKS    = "\xce\xce\xce\xce"
	maxChain      = 100 // certificates of one entry
	smallestEntry = 14  // bytes: tag, an alias of none, date, a length of something
	oidSunJKS     = "1.3.6.1.4.1.42.2.17.1.1"
)

// jks reads Java's own key store format, which has no standard: numbers are big-endian, texts are modified UTF-8 with
// their size in two bytes before them, and the last 20 bytes are the SHA-1 of password, a salt and everything before.
type jks struct {
	collector
	rest     []byte
	password []byte // UTF-16
	err      error
}

// parseJKS reads a Java key store. Its digest is verified before anything else is looked at.
func parseJKS(data []byte, password string, certificate certificateParser) (*Bundle, error) {
	const header = 12
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	if len(data) < header+sha1.Size {
		return nil, fmt.Errorf("the file is cut off: it has %d bytes", len(data))
	}
	j := &jks{collector: newCollector(FormatJKS, certificate), rest: data[len(magicJKS) : len(data)-sha1.Size], password: utf16BE(password)}
	digest := sha1.New() //nolint:gosec // G401: as above
	digest.Write(j.password)
	digest.Write([]byte("Mighty Aphrodite"))
	digest.Write(data[:len(data)-sha1.Size])
	if !hmac.Equal(digest.Sum(nil), data[len(data)-sha1.Size:]) {
		return nil, wrongPassword(password)
	}
	if version := j.number(); version != 2 {
		return nil, fmt.Errorf("the Java key store has version %d: expected 2; write it anew with keytool -importkeystore", version)
	}
	count := j.number()
	if count > MaxCertificates || count > len(j.rest)/smallestEntry {
		return nil, fmt.Errorf("the Java key store says that it has %d entries, which is more than it can hold or than %d", count, MaxCertificates)
	}
	for number := 1; number <= count; number++ {
		e := j.entry()
		if j.err != nil {
			it := item{alias: e.Alias}
			return nil, fmt.Errorf("%s: %w", it.name(number), j.err)
		}
		j.bundle.Entries = append(j.bundle.Entries, e)
	}
	switch {
	case len(j.rest) > 0:
		return nil, fmt.Errorf("the structure is damaged at the end: %d more bytes follow the entries", len(j.rest))
	case count == 0:
		return nil, errNoEntries
	}
	return j.bundle, nil
}

// take returns the next bytes.
func (j *jks) take(n int) []byte {
	if j.err == nil && n > len(j.rest) {
		j.err = errors.New("the structure is damaged: a length is larger than what follows")
	}
	if j.err != nil {
		return make([]byte, min(n, 8))
	}
	taken := j.rest[:n]
	j.rest = j.rest[n:]
	return taken
}

func (j *jks) number() int { return int(binary.BigEndian.Uint32(j.take(4))) }

func (j *jks) text() string {
	size := int(binary.BigEndian.Uint16(j.take(2)))
	if size > maxAliasBytes && j.err == nil {
		j.err = fmt.Errorf("a text is longer than %d bytes", maxAliasBytes)
	}
	raw := j.take(size)
	if j.err != nil {
		return ""
	}
	text, ok := decodeModifiedUTF8(raw)
	if !ok {
		j.err = errors.New("a text is not in Java's form of UTF-8")
	}
	return text
}

func (j *jks) entry() Entry {
	tag := j.number()
	e := Entry{Alias: j.text()}
	j.take(8) // when it was made
	switch {
	case j.err != nil:
	case tag == 1:
		j.key(&e)
	case tag == 2:
		e.Certificate = j.certificate()
		e.TrustedJava = true
	default:
		j.err = errors.New("it is neither a private key nor a trusted certificate")
	}
	return e
}

func (j *jks) certificate() *x509.Certificate {
	kind := j.text()
	raw := j.take(j.number())
	if j.err != nil {
		return nil
	}
	if kind != "X.509" {
		j.err = errors.New("the certificate is not an X.509 one")
		return nil
	}
	var cert *x509.Certificate
	cert, j.err = j.addCertificate(raw)
	return cert
}

// key reads a private key with its chain.
func (j *jks) key(e *Entry) {
	if j.err = j.roomForKey(); j.err != nil {
		return
	}
	protected := j.take(j.number())
	count := j.number()
	if j.err == nil && (count > maxChain || count == 0) {
		j.err = fmt.Errorf("its chain has %d certificates: expected 1 to %d", count, maxChain)
	}
	for range count {
		if j.err != nil {
			return
		}
		e.Chain = append(e.Chain, j.certificate())
	}
	if j.err != nil {
		return
	}
	var raw []byte
	if raw, j.err = j.unprotect(protected); j.err != nil {
		return
	}
	if e.Key, j.err = j.addKey(labelPKCS8, raw); j.err != nil {
		return
	}
	if e.Certificate = e.Chain[0]; !belongs(e.Key, e.Certificate) {
		j.err = mismatch(e.Chain, e.Key)
	}
}

// unprotect decrypts a private key: it is xored with a chain of SHA-1 digests that begins with a salt, and followed by the
// digest of password and key.
func (j *jks) unprotect(protected []byte) ([]byte, error) {
	const at = "the private key"
	d := newDER(protected)
	info := d.in(tagSequence, at)
	d.end(at)
	algorithm := info.in(tagSequence, at)
	oid := algorithm.oid(at)
	algorithm.null(at)
	data, _ := info.element(tagOctetString, at)
	info.end(at)
	if err := d.failed(); err != nil {
		return nil, err
	}
	if oid != oidSunJKS {
		return nil, unsupported("the encryption", oid)
	}
	if len(data) < 2*sha1.Size || len(data) > MaxKeyBytes+2*sha1.Size {
		return nil, errors.New("the private key is damaged: its size is not possible")
	}
	link, body, check := data[:sha1.Size], data[sha1.Size:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	plain := make([]byte, len(body))
	for at := 0; at < len(body); at += sha1.Size {
		sum := sha1.Sum(append(bytes.Clone(j.password), link...)) //nolint:gosec // G401: as above
		link = sum[:]
		for i := at; i < min(at+sha1.Size, len(body)); i++ {
			plain[i] = body[i] ^ link[i-at]
		}
	}
	sum := sha1.Sum(append(bytes.Clone(j.password), plain...)) //nolint:gosec // G401: as above
	if !hmac.Equal(sum[:], check) {
		return nil, errors.New("the private key has another password than the store: give it the same with keytool -keypasswd")
	}
	return plain, nil
}

// decodeModifiedUTF8 decodes what java.io.DataOutput.writeUTF writes: every UTF-16 unit in one to three bytes, the shortest
// that can hold it, but NUL in two.
func decodeModifiedUTF8(raw []byte) (string, bool) {
	var units []uint16
	for i := 0; i < len(raw); {
		follow := func(n int) uint16 {
			if i+n < len(raw) && raw[i+n]&0xc0 == 0x80 {
				return uint16(raw[i+n] & 0x3f)
			}
			return 0xffff
		}
		switch b := raw[i]; {
		case b != 0 && b < 0x80:
			units = append(units, uint16(b))
			i++
		case b&0xe0 == 0xc0:
			second := follow(1)
			u := uint16(b&0x1f)<<6 | second
			if second == 0xffff || u < 0x80 && u != 0 {
				return "", false
			}
			units = append(units, u)
			i += 2
		case b&0xf0 == 0xe0:
			second, third := follow(1), follow(2)
			u := uint16(b&0x0f)<<12 | second<<6 | third
			if second == 0xffff || third == 0xffff || u < 0x800 {
				return "", false
			}
			units = append(units, u)
			i += 3
		default:
			return "", false
		}
	}
	return decodeUTF16(units)
}
