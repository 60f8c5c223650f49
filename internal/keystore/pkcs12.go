package keystore

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
)

const (
	maxParts      = 100  // SafeContents of one PKCS#12 store; OpenSSL and Java write two
	maxAliasBytes = 1024 // of one alias, in UTF-16 for PKCS#12
	maxAttributes = 32   // of one entry
)

// The object identifiers of PKCS#12 and of what it holds.
const (
	oidData                 = "1.2.840.113549.1.7.1"
	oidSignedData           = "1.2.840.113549.1.7.2"
	oidEnvelopedData        = "1.2.840.113549.1.7.3"
	oidEncryptedData        = "1.2.840.113549.1.7.6"
	oidKeyBag               = "1.2.840.113549.1.12.10.1.1"
	oidShroudedKeyBag       = "1.2.840.113549.1.12.10.1.2"
	oidCertBag              = "1.2.840.113549.1.12.10.1.3"
	oidCRLBag               = "1.2.840.113549.1.12.10.1.4"
	oidSecretBag            = "1.2.840.113549.1.12.10.1.5"
	oidSafeContentsBag      = "1.2.840.113549.1.12.10.1.6"
	oidX509Certificate      = "1.2.840.113549.1.9.22.1"
	oidFriendlyName         = "1.2.840.113549.1.9.20"
	oidLocalKeyID           = "1.2.840.113549.1.9.21"
	oidJavaTrustedKeyUsages = "2.16.840.1.113894.746875.1.1"
)

// item is a certificate or a private key of a store with its attributes.
type item struct {
	alias   string
	keyID   []byte
	trusted bool // Java's attribute for trusted certificates
	cert    *x509.Certificate
	key     crypto.Signer
}

// pkcs12 reads a store.
type pkcs12 struct {
	*secret
	collector
	items    []item
	verified bool // a MAC vouches for the store
}

// parsePKCS12 reads a PKCS#12 store (RFC 7292). The MAC is verified before anything inside is looked at.
func parsePKCS12(data []byte, password string, rounds int, certificate certificateParser) (*Bundle, error) {
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	content, mac, err := openPFX(data)
	if err != nil {
		return nil, err
	}
	s := &pkcs12{
		secret:    &secret{text: password, bmp: append(utf16BE(password), 0, 0), rounds: rounds},
		collector: newCollector(FormatPKCS12, certificate),
		verified:  mac != nil,
	}
	switch {
	case mac != nil:
		err = s.verifyMAC(mac, content)
	case password != "":
		err = errors.New("the store has no MAC, so its password protects nothing from being changed: write it anew with one")
	}
	if err != nil {
		return nil, err
	}
	if err := s.authenticatedSafe(content); err != nil {
		return nil, err
	}
	if s.bundle.Entries = s.entries(); len(s.bundle.Entries) == 0 {
		return nil, errNoEntries
	}
	return s.bundle, nil
}

var errNoEntries = errors.New("the key store holds no entry")

// openPFX returns the bytes that the MAC is about and MacData; nil when there is none.
func openPFX(data []byte) (content []byte, mac *der, err error) {
	const at = "the beginning"
	if header, length, err := lengthOf(data); err == nil && header+length != len(data) {
		return nil, nil, wrongSize(header+length, len(data))
	}
	d := newDER(data)
	pfx := d.in(tagSequence, at)
	if version := pfx.small(at); pfx.failed() == nil && version != 3 {
		pfx.fail(at, "the version is not 3")
	}
	info := pfx.in(tagSequence, at)
	switch oid := info.oid(at); {
	case info.failed() != nil:
	case oid == oidSignedData:
		return nil, nil, errors.New("the store is protected by a signature instead of a password, which is not supported")
	case oid != oidData:
		info.fail(at, "unexpected content")
	}
	wrapped := info.in(tagContext0, at)
	info.end(at)
	content, _ = wrapped.element(tagOctetString, at)
	wrapped.end(at)
	if pfx.more() {
		mac = pfx.in(tagSequence, "the MAC")
	}
	pfx.end("the end")
	return content, mac, d.failed()
}

// wrongSize says that a file is shorter or longer than its first bytes say.
func wrongSize(want, have int) error {
	if have < want {
		return fmt.Errorf("the file is cut off: it has %d bytes and should have %d", have, want)
	}
	return fmt.Errorf("the file is damaged: %d bytes follow the end of the store", have-want)
}

// authenticatedSafe reads the parts of a store.
func (s *pkcs12) authenticatedSafe(content []byte) error {
	const at = "the list of parts"
	d := newDER(content)
	parts := d.in(tagSequence, at)
	d.end(at)
	for number := 1; parts.more(); number++ {
		if number > maxParts {
			return fmt.Errorf("the store has more than %d parts", maxParts)
		}
		info := parts.in(tagSequence, at)
		oid := info.oid(at)
		wrapped := info.in(tagContext0, at)
		info.end(at)
		if info.failed() != nil {
			break
		}
		var contents []byte
		var err error
		switch oid {
		case oidData:
			contents, _ = wrapped.element(tagOctetString, at)
			wrapped.end(at)
		case oidEncryptedData:
			contents, err = s.encryptedData(wrapped)
		case oidEnvelopedData:
			err = errors.New("the store is encrypted for a key instead of with a password, which is not supported")
		default:
			err = unsupported("a part of type", oid)
		}
		if err == nil && wrapped.failed() == nil {
			err = s.safeContents(contents)
		}
		if err != nil {
			return err
		}
	}
	return d.failed()
}

// encryptedData decrypts EncryptedData (RFC 5652 §8).
func (s *pkcs12) encryptedData(wrapped *der) ([]byte, error) {
	const at = "an encrypted part"
	data := wrapped.in(tagSequence, at)
	wrapped.end(at)
	if version := data.small(at); version != 0 {
		data.fail(at, "the version is not 0")
	}
	info := data.in(tagSequence, at)
	data.end(at)
	if oid := info.oid(at); oid != oidData {
		info.fail(at, "unexpected content")
	}
	algorithm := info.in(tagSequence, at)
	ciphertext, _ := info.element(tagImplicit0, at)
	info.end(at)
	if err := info.failed(); err != nil {
		return nil, err
	}
	return s.decrypt(algorithm, ciphertext)
}

// safeContents reads the bags of one part.
func (s *pkcs12) safeContents(contents []byte) error {
	const at = "a part"
	d := newDER(contents)
	bags := d.in(tagSequence, at)
	d.end(at)
	for bags.more() {
		if len(s.items) == MaxCertificates+MaxKeys {
			return fmt.Errorf("the store has more than %d entries", MaxCertificates+MaxKeys)
		}
		bag := bags.in(tagSequence, at)
		oid := bag.oid(at)
		value := bag.in(tagContext0, at)
		var it item
		if bag.more() {
			it.attributes(bag.in(tagSet, "the attributes"))
		}
		bag.end(at)
		if bags.failed() != nil {
			break
		}
		if err := s.bag(oid, value, &it); err != nil {
			return fmt.Errorf("%s: %w", it.name(len(s.items)+1), err)
		}
		s.items = append(s.items, it)
	}
	return d.failed()
}

// name names an entry for errors.
func (it *item) name(number int) string {
	if it.alias == "" {
		return fmt.Sprintf("entry %d", number)
	}
	return fmt.Sprintf("entry %d, %s", number, quoteAlias(it.alias))
}

// bag reads the value of one SafeBag.
func (s *pkcs12) bag(oid string, value *der, it *item) error {
	const at = "an entry"
	var err error
	switch oid {
	case oidCertBag:
		var raw []byte
		if raw, err = certBag(value); err == nil {
			it.cert, err = s.addCertificate(raw)
		}
	case oidKeyBag:
		_, raw := value.element(tagSequence, at)
		value.end(at)
		if err = value.failed(); err == nil {
			it.key, err = s.addKey(labelPKCS8, raw)
		}
	case oidShroudedKeyBag:
		if err := s.roomForKey(); err != nil {
			return err // before the work of decrypting it
		}
		encrypted := value.in(tagSequence, at)
		value.end(at)
		algorithm := encrypted.in(tagSequence, at)
		ciphertext, _ := encrypted.element(tagOctetString, at)
		encrypted.end(at)
		if err := encrypted.failed(); err != nil {
			return err
		}
		var raw []byte
		if raw, err = s.decrypt(algorithm, ciphertext); err == nil {
			it.key, err = s.addKey(labelPKCS8, raw)
		}
	case oidCRLBag:
		err = errors.New("this is a revocation list: expected certificates and private keys")
	case oidSecretBag:
		err = errors.New("this is a secret key or password: expected certificates and private keys")
	case oidSafeContentsBag:
		err = errors.New("this is a store inside the store, which is not supported")
	default:
		err = unsupported("an entry of type", oid)
	}
	return err
}

// decrypt is secret.decrypt for stores that a MAC vouches for.
func (s *pkcs12) decrypt(algorithm *der, ciphertext []byte) ([]byte, error) {
	if !s.verified {
		return nil, errors.New("the store is encrypted and has no MAC: nothing shows whether it is whole; write it anew with one")
	}
	return s.secret.decrypt(algorithm, ciphertext)
}

// certBag returns the certificate of a CertBag (RFC 7292 §4.2.3).
func certBag(value *der) ([]byte, error) {
	const at = "a certificate"
	bag := value.in(tagSequence, at)
	value.end(at)
	oid := bag.oid(at)
	wrapped := bag.in(tagContext0, at)
	bag.end(at)
	if err := bag.failed(); err != nil {
		return nil, err
	}
	if oid != oidX509Certificate {
		return nil, unsupported("a certificate of type", oid)
	}
	raw, _ := wrapped.element(tagOctetString, at)
	wrapped.end(at)
	return raw, wrapped.failed()
}

// attributes reads PKCS12Attributes (RFC 7292 §4.2). Those that mean nothing here are skipped.
func (it *item) attributes(set *der) {
	const at = "the attributes"
	seen := map[string]bool{}
	for set.more() {
		attribute := set.in(tagSequence, at)
		oid := attribute.oid(at)
		values := attribute.in(tagSet, at)
		attribute.end(at)
		if seen[oid] || len(seen) == maxAttributes {
			set.fail(at, "an attribute stands there twice, or there are more than %d", maxAttributes)
		}
		seen[oid] = true
		switch oid {
		case oidFriendlyName:
			text, _ := values.element(tagBMPString, at)
			values.end(at)
			it.alias = bmpString(values, text)
		case oidLocalKeyID:
			it.keyID, _ = values.element(tagOctetString, at)
			values.end(at)
		case oidJavaTrustedKeyUsages:
			it.trusted = true
		}
	}
}

// bmpString decodes the text of an alias. Java writes UTF-16 with surrogates, which a BMPString has not.
func bmpString(d *der, text []byte) string {
	const at = "an alias"
	if len(text)%2 != 0 || len(text) > maxAliasBytes {
		d.fail(at, "it is longer than %d bytes, or of an odd number", maxAliasBytes)
		return ""
	}
	units := make([]uint16, 0, len(text)/2)
	for pair := range slices.Chunk(text, 2) {
		units = append(units, uint16(pair[0])<<8|uint16(pair[1]))
	}
	alias, ok := decodeUTF16(units)
	if !ok {
		d.fail(at, "it is not UTF-16")
	}
	return alias
}

// decodeUTF16 is utf16.Decode for texts in which every surrogate has its other half.
func decodeUTF16(units []uint16) (string, bool) {
	runes := utf16.Decode(units)
	return string(runes), slices.Equal(utf16.Encode(runes), units)
}

// pair finds the certificate of each private key: one with its public key, where there are several the one with the same
// localKeyId. Both results are by index in items.
func (s *pkcs12) pair() (certOf, keyOf map[int]int) {
	certOf, keyOf = map[int]int{}, map[int]int{}
	if s.keyItems == 0 {
		return certOf, keyOf
	}
	fitting := map[[32]byte][]int{} // certificates that are not taken, by their public key
	for i, it := range s.items {
		if it.cert == nil {
			continue
		}
		if sum, ok := publicSum(it.cert.PublicKey); ok {
			fitting[sum] = append(fitting[sum], i)
		}
	}
	for k, it := range s.items {
		if it.key == nil {
			continue
		}
		sum, ok := publicSum(it.key.Public())
		if !ok || len(fitting[sum]) == 0 {
			continue
		}
		free := fitting[sum]
		at := max(0, slices.IndexFunc(free, func(c int) bool { return bytes.Equal(s.items[c].keyID, it.keyID) }))
		certOf[k], keyOf[free[at]] = free[at], k
		fitting[sum] = slices.Delete(free, at, at+1)
	}
	return certOf, keyOf
}

// publicSum identifies a public key, however a certificate writes its parameters; false for one of an unknown kind.
func publicSum(public crypto.PublicKey) ([32]byte, bool) {
	der, err := x509.MarshalPKIXPublicKey(public)
	return sha256.Sum256(der), err == nil
}

// entries puts keys and their certificates together. An entry stands where the first of both does.
func (s *pkcs12) entries() []Entry {
	certOf, keyOf := s.pair()
	known := bySubject(s.bundle.Certificates)
	var entries []Entry
	checks := maxSignatureChecks
	for i, it := range s.items {
		c, k := i, i
		if it.key != nil {
			if at, ok := certOf[i]; ok {
				c = at
			}
		} else if at, ok := keyOf[i]; ok {
			k = at
		}
		if c < i || k < i {
			continue // the other half stands there
		}
		e := Entry{Alias: s.items[k].alias, Key: s.items[k].key, Certificate: s.items[c].cert, TrustedJava: s.items[c].trusted && s.items[k].key == nil}
		if e.Alias == "" {
			e.Alias = s.items[c].alias
		}
		if e.Certificate != nil && e.Key != nil {
			e.Chain = path(e.Certificate, known, &checks)
		}
		entries = append(entries, e)
	}
	return entries
}
