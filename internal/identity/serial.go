package identity

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// maxSerialDigits bounds a serial number: RFC 5280 §4.1.2.2 allows 20 octets, some issuers use more.
const maxSerialDigits = 64

// Serial is a certificate's serial number. The zero value is no number and equals nothing, itself included.
type Serial struct {
	hex string // upper case, without leading zeros; "0" is the number zero
}

// ParseSerial reads a serial number in hex as people paste it: any case, with colons, blanks and invisible characters,
// with or without "0x" or "serial=" in front. Leading zeros mean nothing. A number is always read as hex, never as
// decimal. Negative numbers, which RFC 5280 forbids, are refused.
func ParseSerial(text string) (Serial, error) {
	text, err := compact(text)
	if err != nil {
		return Serial{}, err
	}
	text, _ = cutPrefixFold(text, "serial=")
	if strings.HasPrefix(text, "-") {
		return Serial{}, errors.New("negative serial number")
	}
	text, _ = cutPrefixFold(text, "0x")
	digits := strings.ReplaceAll(text, ":", "")
	if digits == "" {
		return Serial{}, errors.New("empty serial number")
	}
	for _, r := range digits {
		if !isHexDigit(r) {
			return Serial{}, fmt.Errorf("%+q is not a hex digit", r)
		}
	}
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > maxSerialDigits {
		return Serial{}, fmt.Errorf("%d hex digits are too long for a serial number", len(digits))
	}
	if digits == "" {
		digits = "0"
	}
	return Serial{hex: strings.ToUpper(digits)}, nil
}

// serialOf takes the serial number out of a certificate.
func serialOf(n *big.Int) (Serial, error) {
	if n == nil {
		return Serial{}, errors.New("no serial number")
	}
	if n.Sign() < 0 {
		return Serial{}, errors.New("negative serial number")
	}
	return Serial{hex: strings.ToUpper(n.Text(16))}, nil
}

// String returns the number in upper-case hex without leading zeros, "" for the zero value.
func (s Serial) String() string { return s.hex }

// Equal reports whether both are the same number. The zero value equals nothing.
func (s Serial) Equal(other Serial) bool { return s.hex != "" && s.hex == other.hex }
