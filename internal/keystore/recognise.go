package keystore

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Format is what a file is made of.
type Format uint8

// The formats. The zero value is PEM, because only a look at a text tells whether it is.
const (
	FormatPEM    Format = iota
	FormatDER           // one certificate, private key or PKCS#7 bundle after the other
	FormatPKCS12        // also what Java writes since version 9
	FormatJKS
)

// String returns the name of the format.
func (f Format) String() string {
	switch f {
	case FormatDER:
		return "DER"
	case FormatPKCS12:
		return "PKCS#12"
	case FormatJKS:
		return "a Java key store (JKS)"
	case FormatPEM:
	}
	return "PEM"
}

var utf8BOM = []byte("\xef\xbb\xbf")

// Recognise tells the format of a file by its first bytes. A text is PEM, whatever it says. The error says what a file is
// that is none of the formats.
func Recognise(data []byte) (Format, error) {
	switch {
	case len(data) > MaxBytes:
		return 0, fmt.Errorf("%d bytes are more than %d", len(data), MaxBytes)
	case len(bytes.TrimSpace(bytes.TrimPrefix(data, utf8BOM))) == 0:
		return 0, errors.New("the text is empty: expected PEM")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")),
		bytes.HasPrefix(data, []byte("-\x00-\x00")), bytes.HasPrefix(data, []byte("\x00-\x00-")):
		return 0, errors.New("this is UTF-16 text: save it as UTF-8 or ASCII")
	case bytes.HasPrefix(data, []byte(magicJKS)):
		return FormatJKS, nil
	case bytes.HasPrefix(data, []byte(magicJCEKS)):
		return 0, errors.New("this is a Java key store of the kind JCEKS, which is not supported: convert it with: " +
			"keytool -importkeystore -srckeystore FILE -srcstoretype JCEKS -destkeystore FILE.p12 -deststoretype PKCS12")
	}
	contents, isDER := derContents(data)
	switch {
	case !isDER:
		return FormatPEM, nil
	case bytes.HasPrefix(contents, []byte(beginsPKCS12)):
		return FormatPKCS12, nil
	}
	return FormatDER, nil
}

// How the contents of the outermost SEQUENCE begin.
const (
	beginsPKCS12   = "\x02\x01\x03\x30"
	beginsPKCS8    = "\x02\x01\x00\x30"
	beginsPKCS1    = "\x02\x01\x00\x02"
	beginsPKCS8New = "\x02\x01\x01\x30" // RFC 5958, with the public key
	beginsSEC1     = "\x02\x01\x01\x04"
	beginsPKCS7    = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
)

// derContents returns what comes after the header of the outermost SEQUENCE; false for what is no DER, nor BER.
func derContents(data []byte) ([]byte, bool) {
	if len(data) < 3 || data[0] != tagSequence {
		return nil, false
	}
	header := 2
	if data[1] > 0x80 {
		header += int(data[1] & 0x7f)
	}
	contents := data[min(header, len(data)):]
	switch {
	case len(contents) == 0:
		return nil, false
	case data[1] < 0x80 && int(data[1]) != len(contents): // "000 certificates" is a text, but none has a control character
		return contents, contents[0] == tagInteger && int(data[1]) < len(contents)
	}
	return contents, contents[0] == tagSequence || contents[0] == tagInteger || contents[0] == tagOID
}

// refuseOthers refuses what is not PEM, saying what it is.
func refuseOthers(data []byte) error {
	format, err := Recognise(data)
	if err != nil || format == FormatPEM {
		return err
	}
	contents, _ := derContents(data)
	starts := func(with string) bool { return bytes.HasPrefix(contents, []byte(with)) }
	switch {
	case format == FormatPKCS12, format == FormatJKS:
		return fmt.Errorf("this is %s, not PEM", format)
	case starts(beginsPKCS7):
		return errors.New("this is PKCS7 in DER, not PEM; convert it with: openssl pkcs7 -inform der -print_certs -in FILE -out FILE.pem")
	case contents[0] == tagInteger:
		return errors.New("this is a private key in DER, not PEM; convert it with: openssl pkey -inform der -in FILE -out FILE.pem")
	}
	return errors.New("this is DER, not PEM; convert it with: openssl x509 -inform der -in FILE -out FILE.pem")
}

// noBlock says why a text holds no PEM block at all.
func noBlock(data []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, utf8BOM))
	if bytes.HasPrefix(text, []byte("MI")) {
		if _, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
			return errors.New("this is base64 without the lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE----- around it")
		}
	}
	if strings.ContainsFunc(string(text[:min(len(text), 100)]), func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }) {
		return errors.New("this is neither PEM nor DER, PKCS#12 or JKS: no PEM block found, and no beginning of the others")
	}
	return errors.New("no PEM block found: expected a line -----BEGIN CERTIFICATE-----")
}
