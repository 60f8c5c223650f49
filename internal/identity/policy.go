package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

const (
	maxOIDText  = 1024
	maxPolicies = 256 // of a certificate
)

// PolicyOID is the object identifier of a certificate policy, with numbers of any size: the contents of its DER. Two are
// the same policy exactly when they are equal. The zero value is no policy.
type PolicyOID string

// ParsePolicyOID reads dotted numbers such as 2.23.140.1.2.1, in the one way to write them.
func ParsePolicyOID(text string) (PolicyOID, error) {
	if len(text) > maxOIDText {
		return "", fmt.Errorf("%d bytes are too long", len(text))
	}
	oid, err := x509.ParseOID(text)
	if err != nil || oid.String() != text {
		return "", fmt.Errorf("want dotted numbers such as 2.23.140.1.2.1, not %s", quote(text))
	}
	der, err := oid.MarshalBinary()
	return PolicyOID(der), err
}

// String returns the dotted numbers, "" for no policy.
func (p PolicyOID) String() string {
	if p == "" {
		return ""
	}
	var oid x509.OID
	if err := oid.UnmarshalBinary([]byte(p)); err != nil {
		return "" // of what this package did not make
	}
	return oid.String()
}

// HasPolicy reports whether the leaf's certificate policies extension (RFC 5280 §4.2.1.4) names a policy. It is the leaf's
// own word, compared literally: anyPolicy (2.5.29.32.0) is a policy like any other and stands for none but itself, and
// what the certificates above the leaf say about policies is the path's validation, not the identity's.
func (id *Identity) HasPolicy(p PolicyOID) bool {
	return id != nil && p != "" && slices.Contains(id.policies, p)
}

// Policies returns the policies of the leaf in the order of its extension.
func (id *Identity) Policies() []PolicyOID {
	if id == nil {
		return nil
	}
	return slices.Clone(id.policies)
}

// parsePolicies reads the value of a certificate policies extension to the last byte. Qualifiers are looked at no further
// than their form: they are texts for people.
func parsePolicies(der []byte) ([]PolicyOID, error) {
	rest, err := readSequence(der)
	if err != nil || len(rest) == 0 {
		return nil, errors.New("certificate policies: not a sequence of policies")
	}
	var policies []PolicyOID
	for len(rest) > 0 {
		var information []byte
		if information, rest, err = cutConstructed(rest, asn1.TagSequence); err != nil {
			return nil, errors.New("certificate policies: not a policy")
		}
		policy, qualifiers, err := cutOID(information)
		if err != nil {
			return nil, fmt.Errorf("certificate policies: %w", err)
		}
		if err := checkQualifiers(qualifiers); err != nil {
			return nil, err
		}
		switch {
		case slices.Contains(policies, policy):
			return nil, fmt.Errorf("certificate policies: %s stands there twice", policy)
		case len(policies) == maxPolicies:
			return nil, fmt.Errorf("certificate policies: more than %d", maxPolicies)
		}
		policies = append(policies, policy)
	}
	return policies, nil
}

// checkQualifiers checks the form of what follows a policy: nothing, or a sequence of pairs of an OID and anything.
func checkQualifiers(der []byte) error {
	if len(der) == 0 {
		return nil
	}
	rest, err := readSequence(der)
	for err == nil && len(rest) > 0 {
		var pair, qualifier []byte
		if pair, rest, err = cutConstructed(rest, asn1.TagSequence); err != nil {
			break
		}
		if _, qualifier, err = cutOID(pair); err == nil {
			_, err = readValue(qualifier)
		}
	}
	if err != nil {
		return errors.New("certificate policies: not a policy qualifier")
	}
	return nil
}

// cutOID returns the OBJECT IDENTIFIER at the beginning of der, which may have numbers of any size, and what follows it.
func cutOID(der []byte) (oid PolicyOID, rest []byte, err error) {
	var raw asn1.RawValue
	rest, err = asn1.Unmarshal(der, &raw)
	if err != nil || raw.Class != asn1.ClassUniversal || raw.Tag != asn1.TagOID || raw.IsCompound {
		return "", nil, errors.New("not an object identifier")
	}
	var checked x509.OID
	if err := checked.UnmarshalBinary(raw.Bytes); err != nil || len(raw.Bytes) > maxOIDText {
		return "", nil, errors.New("an object identifier that is not DER")
	}
	return PolicyOID(raw.Bytes), rest, nil
}
