package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds of a QC statements extension.
const (
	maxStatementsBytes = 16 << 10
	maxStatements      = 64
	maxPSD2Roles       = 32
	maxPSD2Text        = 256 // characters, ETSI TS 119 495 §5.1
)

// QCStatements are the statements of a qualified certificate (RFC 3739 §3.2.6, ETSI EN 319 412-5), as far as this program
// reads them. They are the certificate's own word: whether its issuer is qualified to say so is for the trust store. The
// zero value is a certificate without the extension.
type QCStatements struct {
	// IDs are the statements, as dotted numbers in the order of the extension.
	IDs []string `json:"ids,omitempty"`
	// PSD2 is what the certificate says about a payment service provider; nil when it says nothing, or nothing that can
	// be read.
	PSD2 *PSD2 `json:"psd2,omitempty"`
	// Malformed says why the extension could not be read; "" when it could, or is not there. With it, everything else is
	// zero: half of a statement is none.
	Malformed string `json:"malformed,omitempty"`
}

// PSD2 is the statement about a payment service provider (ETSI TS 119 495 §5.1). Whose statement it is says the subject's
// organizationIdentifier.
type PSD2 struct {
	// Roles are PSP_AS, PSP_PI, PSP_AI, PSP_IC and unspecified, by their OID and in the order of the certificate; other
	// OIDs as dotted numbers.
	Roles []string `json:"roles"`
	// NCAName and NCAID are the competent authority that registered the provider, such as BaFin and DE-BAFIN. They are as
	// the certificate says them, without control characters.
	NCAName string `json:"nca_name"`
	NCAID   string `json:"nca_id"`
}

// The roles of ETSI TS 119 495 §5.1, by OID; their names have to be the same in the statement.
var psd2Roles = map[string]string{
	"0.4.0.19495.1.0": "unspecified",
	"0.4.0.19495.1.1": "PSP_AS",
	"0.4.0.19495.1.2": "PSP_PI",
	"0.4.0.19495.1.3": "PSP_AI",
	"0.4.0.19495.1.4": "PSP_IC",
}

const (
	oidPSD2Statement       = "0.4.0.19495.2"
	oidPSD2UnspecifiedRole = "0.4.0.19495.1.0"
)

// QCStatementsOf reads the statements off a certificate, whether it was validated or not. It never fails; see
// QCStatements.Malformed. A nil certificate has none.
func QCStatementsOf(cert *x509.Certificate) QCStatements {
	if cert == nil {
		return QCStatements{}
	}
	oid := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	var found QCStatements
	seen := false
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(oid) {
			continue
		}
		if seen {
			return QCStatements{Malformed: "the extension stands there twice"}
		}
		seen = true
		read, err := parseQCStatements(extension.Value)
		if err != nil {
			return QCStatements{Malformed: err.Error()}
		}
		found = read
	}
	return found
}

// QCStatements returns the qualified certificate statements of the leaf. What can be changed of them is a copy.
func (id *Identity) QCStatements() QCStatements {
	if id == nil {
		return QCStatements{}
	}
	out := id.statements
	out.IDs = slices.Clone(out.IDs)
	if out.PSD2 != nil {
		psd2 := *out.PSD2
		psd2.Roles = slices.Clone(psd2.Roles)
		out.PSD2 = &psd2
	}
	return out
}

// OrganizationIdentifiers returns the subject's organizationIdentifier attributes (2.5.4.97) in DER order, as the
// certificate says them.
func (id *Identity) OrganizationIdentifiers() []string {
	return id.Subject().values(oidOrganizationIdentifier)
}

// OrganizationIdentifier returns the subject's organizationIdentifier, such as PSDDE-BAFIN-123456, as the certificate says
// it and true, or "" and false when there is none or more than one.
func (id *Identity) OrganizationIdentifier() (string, bool) {
	if id == nil {
		return "", false
	}
	return id.organization, id.organization != ""
}

// OrganizationIdentifier is Identity.OrganizationIdentifier of a name.
func (d *DN) OrganizationIdentifier() (string, bool) {
	if all := d.values(oidOrganizationIdentifier); len(all) == 1 && all[0] != "" {
		return all[0], true
	}
	return "", false
}

func parseQCStatements(der []byte) (QCStatements, error) {
	var out QCStatements
	if len(der) > maxStatementsBytes {
		return out, fmt.Errorf("%d bytes are too long", len(der))
	}
	rest, err := readSequence(der)
	if err != nil || len(rest) == 0 {
		return out, errors.New("not a sequence of statements")
	}
	for len(rest) > 0 {
		var statement []byte
		if statement, rest, err = cutConstructed(rest, asn1.TagSequence); err != nil {
			return QCStatements{}, errors.New("not a statement")
		}
		oid, value, err := cutOID(statement)
		if err == nil && len(value) > 0 {
			_, err = readValue(value)
		}
		if err != nil {
			return QCStatements{}, fmt.Errorf("statement %d: %w", len(out.IDs)+1, err)
		}
		if len(out.IDs) == maxStatements {
			return QCStatements{}, fmt.Errorf("more than %d statements", maxStatements)
		}
		out.IDs = append(out.IDs, oid.String())
		if oid.String() != oidPSD2Statement {
			continue
		}
		if out.PSD2 != nil {
			return QCStatements{}, errors.New("two statements about PSD2")
		}
		if out.PSD2, err = parsePSD2(value); err != nil {
			return QCStatements{}, fmt.Errorf("PSD2: %w", err)
		}
	}
	return out, nil
}

// parsePSD2 reads a PSD2QcType: the roles, and the name and id of the competent authority.
func parsePSD2(der []byte) (*PSD2, error) {
	fields, err := readSequence(der)
	if err != nil {
		return nil, errors.New("not a sequence")
	}
	roles, rest, err := cutConstructed(fields, asn1.TagSequence)
	if err != nil {
		return nil, errors.New("no roles")
	}
	out := &PSD2{}
	if out.Roles, err = parsePSD2Roles(roles); err != nil {
		return nil, err
	}
	if out.NCAName, rest, err = cutPSD2Text(rest); err != nil {
		return nil, fmt.Errorf("NCA name: %w", err)
	}
	if out.NCAID, rest, err = cutPSD2Text(rest); err != nil {
		return nil, fmt.Errorf("NCA id: %w", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("data after the NCA id")
	}
	return out, nil
}

// parsePSD2Roles reads the roles. The OID is what counts; a name that says otherwise, a role twice and one beside
// "unspecified" are errors, so that no two readers see different roles.
func parsePSD2Roles(rest []byte) ([]string, error) {
	var roles []string
	for len(rest) > 0 {
		var role []byte
		var err error
		if role, rest, err = cutConstructed(rest, asn1.TagSequence); err != nil {
			return nil, errors.New("not a role")
		}
		oid, value, err := cutOID(role)
		if err != nil {
			return nil, fmt.Errorf("role: %w", err)
		}
		said, value, err := cutPSD2Text(value)
		if err != nil || len(value) > 0 {
			return nil, errors.New("a role without a name of its own")
		}
		name, known := psd2Roles[oid.String()]
		switch {
		case !known:
			name = oid.String()
		case oid.String() == oidPSD2UnspecifiedRole: // its name is free
		case said != name:
			return nil, fmt.Errorf("the role %s is called %s", name, quote(said))
		}
		if slices.Contains(roles, name) {
			return nil, fmt.Errorf("the role %s stands there twice", name)
		}
		if len(roles) == maxPSD2Roles {
			return nil, fmt.Errorf("more than %d roles", maxPSD2Roles)
		}
		roles = append(roles, name)
	}
	switch {
	case len(roles) == 0:
		return nil, errors.New("no roles")
	case len(roles) > 1 && slices.Contains(roles, psd2Roles[oidPSD2UnspecifiedRole]):
		return nil, errors.New("roles beside the one that is unspecified")
	}
	return roles, nil
}

// cutPSD2Text returns the UTF8String at the beginning of der, and what follows it. Control characters are refused, NUL
// above all, as in names.
func cutPSD2Text(der []byte) (text string, rest []byte, err error) {
	var raw asn1.RawValue
	rest, err = asn1.Unmarshal(der, &raw)
	if err != nil || raw.Class != asn1.ClassUniversal || raw.Tag != asn1.TagUTF8String || raw.IsCompound {
		return "", nil, errors.New("not a UTF8String")
	}
	if n := utf8.RuneCount(raw.Bytes); n == 0 || n > maxPSD2Text {
		return "", nil, fmt.Errorf("%d characters, want 1 to %d", n, maxPSD2Text)
	}
	text = string(raw.Bytes)
	if _, err := Prepare(text); err != nil {
		return "", nil, err
	}
	return text, rest, nil
}
