package keystore

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// The tags of DER that the formats use (X.690 §8.1.2).
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagBMPString   = 0x1e
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0xa0
	tagContext1    = 0xa1
	tagImplicit0   = 0x80
)

// errIndefinite is about what NSS (Firefox), Bouncy Castle and what is built on it (EJBCA) write. OpenSSL, Java, Windows and
// Go write DER, and one reading of a file that says whom to trust is enough.
var errIndefinite = errors.New("this is BER with indefinite lengths, as Firefox, EJBCA and Bouncy Castle write it, not DER: write it anew with openssl or keytool")

// der walks over DER (X.690 §10). The first error stays, in all readers that come from one; after it nothing is read.
type der struct {
	rest []byte
	err  *error
}

func newDER(data []byte) *der { return &der{rest: data, err: new(error)} }

func (d *der) failed() error { return *d.err }

func (d *der) fail(at, format string, args ...any) {
	if *d.err == nil {
		*d.err = fmt.Errorf("the structure is damaged at %s: %s", at, fmt.Sprintf(format, args...))
	}
}

// more reports whether there is another element to read.
func (d *der) more() bool { return *d.err == nil && len(d.rest) > 0 }

// next reports whether the next element has a tag.
func (d *der) next(tag byte) bool { return d.more() && d.rest[0] == tag }

// element returns the contents of the next element, and the element itself, which must have the tag.
func (d *der) element(tag byte, at string) (contents, whole []byte) {
	if *d.err != nil {
		return nil, nil
	}
	header, length, err := lengthOf(d.rest)
	switch {
	case errors.Is(err, errIndefinite):
		*d.err = errIndefinite
	case err != nil:
		d.fail(at, "%s", err)
	case d.rest[0] != tag:
		d.fail(at, "unexpected element")
	case length > len(d.rest)-header:
		d.fail(at, "it is cut off")
	default:
		contents, whole = d.rest[header:header+length], d.rest[:header+length]
		d.rest = d.rest[header+length:]
	}
	return contents, whole
}

// lengthOf returns the size of an element's header and of its contents, of which not all need to be there.
func lengthOf(data []byte) (header, length int, err error) {
	if len(data) < 2 {
		return 0, 0, errors.New("it is cut off")
	}
	if data[0]&0x1f == 0x1f {
		return 0, 0, errors.New("unexpected element")
	}
	first := data[1]
	if first < 0x80 {
		return 2, int(first), nil
	}
	if first == 0x80 {
		return 0, 0, errIndefinite
	}
	size := int(first & 0x7f)
	if size > 4 {
		return 0, 0, errors.New("its length is not possible")
	}
	if len(data) < 2+size {
		return 0, 0, errors.New("it is cut off")
	}
	var value uint64
	for _, b := range data[2 : 2+size] {
		value = value<<8 | uint64(b)
	}
	if value < 0x80 || data[2] == 0 || value > MaxBytes {
		return 0, 0, errors.New("its length is not possible")
	}
	return 2 + size, int(value), nil
}

// in returns a reader of the contents of the next element.
func (d *der) in(tag byte, at string) *der {
	contents, _ := d.element(tag, at)
	return &der{rest: contents, err: d.err}
}

// end says that nothing may follow.
func (d *der) end(at string) {
	if d.more() {
		d.fail(at, "%d more bytes follow", len(d.rest))
	}
}

// small reads a number from 0 to 2³¹-1 and returns -1 with an error.
func (d *der) small(at string) int {
	contents, _ := d.element(tagInteger, at)
	if *d.err != nil {
		return -1
	}
	if len(contents) == 0 || len(contents) > 4 || contents[0] >= 0x80 || len(contents) > 1 && contents[0] == 0 && contents[1] < 0x80 {
		d.fail(at, "the number is not possible")
		return -1
	}
	value := 0
	for _, b := range contents {
		value = value<<8 | int(b)
	}
	return value
}

// oid reads an object identifier as dotted numbers.
func (d *der) oid(at string) string {
	_, whole := d.element(tagOID, at)
	if *d.err != nil {
		return ""
	}
	const longest = 64
	var oid asn1.ObjectIdentifier
	if len(whole) <= longest {
		_, err := asn1.Unmarshal(whole, &oid)
		if err == nil {
			return oid.String()
		}
	}
	d.fail(at, "the object identifier is not possible")
	return ""
}

// null reads the NULL that most algorithms have for parameters, and accepts that it is absent.
func (d *der) null(at string) {
	if d.next(tagNull) {
		if contents, _ := d.element(tagNull, at); len(contents) > 0 {
			d.fail(at, "unexpected parameters")
		}
	}
	d.end(at)
}
