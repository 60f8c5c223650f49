package keystore

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

var utf8BOM = []byte("\xef\xbb\xbf")

// recognise refuses what cannot be PEM, saying what it is.
func recognise(data []byte) error {
	switch {
	case len(data) > MaxBytes:
		return fmt.Errorf("%d bytes are more than %d", len(data), MaxBytes)
	case len(bytes.TrimSpace(bytes.TrimPrefix(data, utf8BOM))) == 0:
		return errors.New("the text is empty: expected PEM")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")),
		bytes.HasPrefix(data, []byte("-\x00-\x00")), bytes.HasPrefix(data, []byte("\x00-\x00-")):
		return errors.New("this is UTF-16 text: save it as UTF-8 or ASCII")
	case bytes.HasPrefix(data, []byte("\xfe\xed\xfe\xed")):
		return errors.New("this is a Java key store (JKS), not PEM: name it under jks")
	case bytes.HasPrefix(data, []byte("\xce\xce\xce\xce")):
		return errors.New("this is a Java key store (JCEKS), not PEM: convert it with: keytool -importkeystore -deststoretype pkcs12")
	}
	return recogniseDER(data)
}

// DER that begins a file: what comes after the header of the outermost SEQUENCE.
var derBeginnings = []struct {
	begins string
	says   string
}{
	{"\x02\x01\x03\x30", "this is PKCS#12, not PEM: name it under pkcs12"},
	{"\x02\x01\x00", "this is a private key in DER, not PEM; convert it with: openssl pkey -inform der -in FILE -out FILE.pem"},
	{"\x02\x01\x01\x04", "this is a private key in DER, not PEM; convert it with: openssl pkey -inform der -in FILE -out FILE.pem"},
	{"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", "this is PKCS7 in DER, not PEM; convert it with: openssl pkcs7 -inform der -print_certs -in FILE -out FILE.pem"},
	{"\x30", "this is DER, not PEM; convert it with: openssl x509 -inform der -in FILE -out FILE.pem"},
}

func recogniseDER(data []byte) error {
	if len(data) < 2 || data[0] != 0x30 || data[1] < 0x80 && int(data[1])+2 != len(data) {
		return nil // a text may begin with "0" and any character
	}
	header := 2
	if data[1] > 0x80 {
		header += int(data[1] & 0x7f)
	}
	contents := data[min(header, len(data)):]
	for _, d := range derBeginnings {
		if bytes.HasPrefix(contents, []byte(d.begins)) {
			return errors.New(d.says)
		}
	}
	return nil
}

// noBlock says why a text holds no PEM block at all.
func noBlock(data []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, utf8BOM))
	if bytes.HasPrefix(text, []byte("MI")) {
		if _, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
			return errors.New("this is base64 without the lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE----- around it")
		}
	}
	return errors.New("no PEM block found: expected a line -----BEGIN CERTIFICATE-----")
}
