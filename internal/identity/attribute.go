package identity

import (
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
)

// attributeType is one type of attribute that a DN can name by a word. Its values are text.
type attributeType struct {
	oid     string   // dotted
	name    string   // the word that String writes
	aliases []string // the other words that are understood; case never matters
}

const (
	oidCommonName   = "2.5.4.3"
	oidEmailAddress = "1.2.840.113549.1.9.1"
	oidState        = "2.5.4.8"

	oidOrganizationIdentifier = "2.5.4.97"
)

// attributeTypes are the names of RFC 4514 §3, RFC 4519, RFC 2985 and the CA/Browser Forum, with the spellings of
// OpenSSL, Java, Microsoft and Boomi. SN is the surname (RFC 4519), not the serial number.
var attributeTypes = []attributeType{
	{oidCommonName, "CN", []string{"commonName"}},
	{"2.5.4.4", "surname", []string{"SN"}},
	{"2.5.4.5", "serialNumber", []string{"serial"}},
	{"2.5.4.6", "C", []string{"countryName", "country"}},
	{"2.5.4.7", "L", []string{"localityName", "locality"}},
	{oidState, "ST", []string{"S", "SP", "stateOrProvinceName"}},
	{"2.5.4.9", "STREET", []string{"streetAddress"}},
	{"2.5.4.10", "O", []string{"organizationName", "organization"}},
	{"2.5.4.11", "OU", []string{"organizationalUnitName", "organizationalUnit"}},
	{"2.5.4.12", "title", []string{"T"}},
	{"2.5.4.13", "description", nil},
	{"2.5.4.15", "businessCategory", nil},
	{"2.5.4.17", "postalCode", nil},
	{"2.5.4.18", "postOfficeBox", nil},
	{"2.5.4.20", "telephoneNumber", nil},
	{"2.5.4.41", "name", nil},
	{"2.5.4.42", "givenName", []string{"GN", "G"}},
	{"2.5.4.43", "initials", nil},
	{"2.5.4.44", "generationQualifier", []string{"generation"}},
	{"2.5.4.46", "dnQualifier", []string{"DNQ"}},
	{"2.5.4.65", "pseudonym", nil},
	{oidOrganizationIdentifier, "organizationIdentifier", []string{"orgID"}},
	{"0.9.2342.19200300.100.1.25", "DC", []string{"domainComponent"}},
	{"0.9.2342.19200300.100.1.1", "UID", []string{"userID"}},
	{"0.9.2342.19200300.100.1.3", "mail", []string{"rfc822Mailbox"}},
	{oidEmailAddress, "emailAddress", []string{"E", "Email"}},
	{"1.2.840.113549.1.9.2", "unstructuredName", nil},
	{"1.2.840.113549.1.9.8", "unstructuredAddress", nil},
	{"1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL", []string{"jurisdictionLocalityName"}},
	{"1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST", []string{"jurisdictionStateOrProvinceName"}},
	{"1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC", []string{"jurisdictionCountryName"}},
}

// oidByName and nameByOID are the two ways through attributeTypes; names are in lower case.
var oidByName, nameByOID = indexAttributeTypes()

func indexAttributeTypes() (byName, byOID map[string]string) {
	byName, byOID = map[string]string{}, map[string]string{}
	for _, t := range attributeTypes {
		byOID[t.oid] = t.name
		byName[strings.ToLower(t.name)] = t.oid
		for _, alias := range t.aliases {
			byName[strings.ToLower(alias)] = t.oid
		}
	}
	return byName, byOID
}

// lookUpType returns the dotted OID of an attribute type written as a word, as an OID, or as OID.x.y (RFC 1779).
func lookUpType(name string) (string, error) {
	if oid, ok := oidByName[strings.ToLower(name)]; ok {
		return oid, nil
	}
	dotted, prefixed := cutPrefixFold(name, "oid.")
	if prefixed || name != "" && '0' <= name[0] && name[0] <= '9' {
		oid, err := parseOID(dotted)
		if err != nil {
			return "", fmt.Errorf("attribute type: %w", err)
		}
		return oid, nil
	}
	if near := nearestTypeName(name); near != "" {
		return "", fmt.Errorf("unknown attribute type %s, did you mean %s?", quote(name), near)
	}
	return "", fmt.Errorf("unknown attribute type %s: use a name such as CN, or an OID", quote(name))
}

// parseOID checks a dotted OID by encoding it, so that two spellings of one OID cannot exist.
func parseOID(dotted string) (string, error) {
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || arc != strconv.FormatUint(n, 10) {
			return "", fmt.Errorf("%s is not a number of an OID", quote(arc))
		}
		oid = append(oid, int(n))
	}
	der, err := asn1.Marshal(oid)
	if err != nil {
		return "", fmt.Errorf("%s is not an OID", quote(dotted))
	}
	if rest, err := asn1.Unmarshal(der, &oid); err != nil || len(rest) > 0 || oid.String() != dotted {
		return "", fmt.Errorf("%s is not an OID that certificates can carry", quote(dotted))
	}
	return dotted, nil
}

// nearestTypeName returns the known name with the smallest edit distance, or "" when none is near.
func nearestTypeName(name string) string {
	best, bestDistance := "", 3
	if len(name) <= 4 {
		bestDistance = 2
	}
	if len(name) > 40 {
		return ""
	}
	for _, t := range attributeTypes {
		for _, known := range append([]string{t.name}, t.aliases...) {
			if len(known) < 3 {
				continue // one edit turns any short word into any other
			}
			if d := editDistance(strings.ToLower(name), strings.ToLower(known)); d < bestDistance {
				best, bestDistance = known, d
			}
		}
	}
	return best
}

// editDistance is Levenshtein's, by bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
