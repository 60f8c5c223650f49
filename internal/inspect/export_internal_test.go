package inspect

import "slices"

// LintIDs returns the identifiers of all rules about one certificate.
func LintIDs() (ids []string) {
	for _, l := range slices.Concat(validityLints(), strengthLints(), formLints(), nameLints(), purposeLints()) {
		ids = append(ids, l.id)
	}
	return ids
}
