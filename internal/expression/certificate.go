package expression

import (
	"fmt"
	"reflect"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Facts are what expressions can read of a certificate. Thumbprints are lower-case hex, the serial number is upper-case hex
// without leading zeros, names are as the certificate says them, and what it does not say is empty.
type Facts struct {
	SHA256, SHA1, SPKISHA256 string
	// IssuerSHA256 is the thumbprint of the certificate that issued it; empty where that is unknown, as with pins.
	IssuerSHA256 string
	// Subject and Issuer are by RFC 4514.
	Subject, Issuer string
	// CommonNames are those of the subject. With more than one, common_name is an error: who wrote it means the only one.
	CommonNames         []string
	Serial              string
	DNS, URIs, Mail, IP []string
	NotBefore, NotAfter time.Time
	// EKU are the extended key usages: client_auth, server_auth and so on, and dotted numbers for those without a word.
	EKU []string
	// KeyType is rsa, ecdsa or ed25519, KeyBits the length of the modulus or of the curve's field.
	KeyType string
	KeyBits int
	// Policies are the certificate's own policies, as dotted numbers.
	Policies []string
	// OrganizationIdentifiers are those of the subject. With more than one, organization_identifier is an error.
	OrganizationIdentifiers []string
	// PSD2Roles and PSD2Authority are what a qualified certificate says about a payment service provider. Where its statements
	// cannot be read, Unreadable says why, and both are errors.
	PSD2Roles                 []string
	PSD2Authority, Unreadable string
	// TrustStore names the store that accepted the certificate.
	TrustStore string
}

// Certificate is a certificate as expressions see it: a value of CEL, so that reading it allocates nothing. A nil
// *Certificate is null in CEL.
type Certificate struct {
	fields [certificateFields]ref.Val
	sha256 string
}

// NewCertificate returns the certificate that the facts describe. It does not keep their slices.
func NewCertificate(f *Facts) *Certificate {
	c := &Certificate{sha256: f.SHA256}
	for i := range certificateTable {
		c.fields[i] = certificateTable[i].of(f)
	}
	return c
}

// certificateFields is how many fields there are.
const certificateFields = 23

// certificateTable is what a certificate has, in the order of the reference.
var certificateTable = [certificateFields]struct {
	field
	of func(*Facts) ref.Val
}{
	{text("sha256", "SHA-256 of the certificate, in hex with small letters"), func(f *Facts) ref.Val { return textValue(f.SHA256) }},
	{text("sha1", "SHA-1 of the certificate, in hex with small letters"), func(f *Facts) ref.Val { return textValue(f.SHA1) }},
	{text("spki_sha256", "SHA-256 of the public key, in hex with small letters"), func(f *Facts) ref.Val { return textValue(f.SPKISHA256) }},
	{text("issuer_sha256", "SHA-256 of the certificate that issued it; empty for a pin"), func(f *Facts) ref.Val { return textValue(f.IssuerSHA256) }},
	{text("subject", "the subject by RFC 4514"), func(f *Facts) ref.Val { return textValue(f.Subject) }},
	{text("issuer", "the issuer by RFC 4514"), func(f *Facts) ref.Val { return textValue(f.Issuer) }},
	{text("common_name", "the only common name of the subject; empty for none, an error for several"), onlyCommonName},
	{list("common_names", "every common name of the subject"), func(f *Facts) ref.Val { return texts(f.CommonNames) }},
	{text("serial", "the serial number in hex with capital letters, without leading zeros"), func(f *Facts) ref.Val { return textValue(f.Serial) }},
	{list("san_dns", "its DNS names"), func(f *Facts) ref.Val { return texts(f.DNS) }},
	{list("san_uri", "its URIs"), func(f *Facts) ref.Val { return texts(f.URIs) }},
	{list("san_email", "its email addresses"), func(f *Facts) ref.Val { return texts(f.Mail) }},
	{list("san_ip", "its IP addresses"), func(f *Facts) ref.Val { return texts(f.IP) }},
	{moment("not_before", "when it begins to be valid"), func(f *Facts) ref.Val { return types.Timestamp{Time: f.NotBefore} }},
	{moment("not_after", "when it ceases to be valid"), func(f *Facts) ref.Val { return types.Timestamp{Time: f.NotAfter} }},
	{list("eku", "its extended key usages: client_auth, server_auth and so on, or dotted numbers"), func(f *Facts) ref.Val { return texts(f.EKU) }},
	{text("key_type", "rsa, ecdsa or ed25519"), func(f *Facts) ref.Val { return textValue(f.KeyType) }},
	{number("key_bits", "the length of its key"), func(f *Facts) ref.Val { return types.Int(f.KeyBits) }},
	{list("policy_oids", "the policies that it names itself, as dotted numbers"), func(f *Facts) ref.Val { return texts(f.Policies) }},
	{text("organization_identifier", "the only organizationIdentifier of the subject; empty for none, an error for several"), onlyOrganization},
	{list("psd2_roles", "its roles by PSD2, such as PSP_AI; an error where its statements cannot be read"), func(f *Facts) ref.Val { return f.readable(texts(f.PSD2Roles)) }},
	{text("psd2_authority", "the authority that registered its holder, such as DE-BAFIN; likewise"), func(f *Facts) ref.Val { return f.readable(textValue(f.PSD2Authority)) }},
	{text("trust_store", "the trust store that accepted it"), func(f *Facts) ref.Val { return textValue(f.TrustStore) }},
}

func onlyCommonName(f *Facts) ref.Val { return only(f.CommonNames, "common names") }

func onlyOrganization(f *Facts) ref.Val {
	return only(f.OrganizationIdentifiers, "organization identifiers")
}

// only is the only value of a subject; who asks for it means that there is one.
func only(values []string, called string) ref.Val {
	switch len(values) {
	case 0:
		return types.String("")
	case 1:
		return textValue(values[0])
	}
	return types.NewErr("the subject has %d %s", len(values), called)
}

// readable is a value out of the statements of a qualified certificate, where these can be read.
func (f *Facts) readable(v ref.Val) ref.Val {
	if f.Unreadable != "" {
		return types.NewErr("the statements of the qualified certificate cannot be read")
	}
	return v
}

// textValue is a text of CEL. One that is too long is an error.
func textValue(s string) ref.Val {
	if len(s) > MaxText {
		return types.NewErr("a text is longer than %d bytes", MaxText)
	}
	return types.String(s)
}

// texts is a list of CEL that holds copies. One that is too long is an error, and so is one with a text that is.
func texts(list []string) ref.Val {
	if len(list) > maxTexts {
		return types.NewErr("a list has more than %d entries", maxTexts)
	}
	boxed := make([]ref.Val, len(list))
	for i, s := range list {
		if boxed[i] = textValue(s); types.IsError(boxed[i]) {
			return boxed[i]
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, boxed)
}

// value is the certificate in CEL.
func (c *Certificate) value() ref.Val {
	if c == nil {
		return types.NullValue
	}
	return c
}

// ConvertToNative implements ref.Val: there is nothing to convert to.
func (*Certificate) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a certificate cannot be converted to %s", to)
}

// ConvertToType implements ref.Val: there is nothing to convert to.
func (*Certificate) ConvertToType(to ref.Type) ref.Val {
	return types.NewErr("a certificate cannot be converted to %s", to.TypeName())
}

// Equal implements ref.Val: certificates are equal when their bytes are.
func (c *Certificate) Equal(other ref.Val) ref.Val {
	o, ok := other.(*Certificate)
	return types.Bool(ok && o.sha256 == c.sha256)
}

// Type implements ref.Val.
func (*Certificate) Type() ref.Type { return certificateType }

// Value implements ref.Val.
func (c *Certificate) Value() any { return c }
