package keystore

import (
	"bytes"
	"errors"
	"fmt"
)

// parseDER reads certificates, private keys and PKCS#7 bundles, one after the other.
func parseDER(data []byte, certificate certificateParser) (*Bundle, error) {
	c := newCollector(FormatDER, certificate)
	d := newDER(data)
	for number := 1; d.more(); number++ {
		at := fmt.Sprintf("element %d of the file", number)
		_, whole := d.element(tagSequence, at)
		if d.failed() != nil {
			break
		}
		if err := c.addDER(whole); err != nil {
			if len(whole) == len(data) {
				return nil, err
			}
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	if err := d.failed(); err != nil {
		return nil, err
	}
	return c.bundle, nil
}

// addDER adds one element by what it begins with.
func (c *collector) addDER(whole []byte) error {
	contents := newDER(whole).in(tagSequence, "").rest
	starts := func(with string) bool { return bytes.HasPrefix(contents, []byte(with)) }
	var err error
	switch {
	case starts(beginsPKCS7):
		err = c.addPKCS7(whole)
	case starts(beginsPKCS8), starts(beginsPKCS8New):
		_, err = c.addKey(labelPKCS8, whole)
	case starts(beginsPKCS1):
		_, err = c.addKey(labelRSA, whole)
	case starts(beginsSEC1):
		_, err = c.addKey(labelEC, whole)
	case encryptedKey(contents):
		err = errEncrypted
	default:
		_, err = c.addCertificate(whole)
	}
	return err
}

// encryptedKey reports whether a SEQUENCE is EncryptedPrivateKeyInfo (RFC 5958 §3): an algorithm and bytes.
func encryptedKey(contents []byte) bool {
	d := newDER(contents)
	algorithm := d.in(tagSequence, "")
	return algorithm.next(tagOID) && d.next(tagOctetString)
}

// addPKCS7 adds the certificates of a bundle: SignedData without content and signatures (RFC 5652 §5.1). One that is more
// than a bundle is refused, because what else it says would be lost.
func (c *collector) addPKCS7(whole []byte) error {
	const at = "the PKCS#7 bundle"
	d := newDER(whole)
	info := d.in(tagSequence, at)
	d.end(at)
	if oid := info.oid(at); info.failed() == nil && oid != oidSignedData {
		return fmt.Errorf("this is PKCS#7 of type %s: expected a bundle of certificates", oid)
	}
	wrapped := info.in(tagContext0, at)
	info.end(at)
	signed := wrapped.in(tagSequence, at)
	wrapped.end(at)
	signed.small(at)
	signed.in(tagSet, at).end(at) // digest algorithms
	content := signed.in(tagSequence, at)
	content.oid(at)
	content.end(at)
	var certificates *der
	if signed.next(tagContext0) {
		certificates = signed.in(tagContext0, at)
	}
	if signed.next(tagContext1) && len(signed.in(tagContext1, at).rest) > 0 {
		return errors.New("the PKCS#7 bundle holds revocation lists: expected certificates alone")
	}
	signed.in(tagSet, at).end(at) // signatures
	signed.end(at)
	if err := d.failed(); err != nil {
		return err
	}
	if certificates == nil || !certificates.more() {
		return errors.New("the PKCS#7 bundle holds no certificate")
	}
	for certificates.more() {
		_, raw := certificates.element(tagSequence, at)
		if err := certificates.failed(); err != nil {
			return err
		}
		if _, err := c.addCertificate(raw); err != nil {
			return err
		}
	}
	return nil
}
