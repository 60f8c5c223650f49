package inspect

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sallyport/internal/identity"
)

// Write shows the report to people, under a title such as the file's name. Everything that is not printable is escaped,
// so that no certificate and no name of a file moves the cursor, changes colours or turns a line around. The error is
// the writer's.
func (r *Report) Write(w io.Writer, title string) error {
	t := &text{}
	t.line("", "%s: %s, %s, %s", title, r.Format, counted(len(r.Certificates), "certificate"), counted(len(r.Keys), "private key"))
	for i := range r.Certificates {
		t.certificate(&r.Certificates[i], len(r.Certificates))
	}
	for i, key := range r.Keys {
		t.line("", "")
		t.line("", "private key %d of %d", i+1, len(r.Keys))
		t.pair("key", key.Type)
		t.pair("spki sha256", key.SPKISHA256)
		t.pair("belongs to", ownersText(key.Certificates))
	}
	if len(r.Problems) > 0 {
		t.line("", "")
		t.line("", "about the file")
		for _, f := range r.Problems {
			t.finding(f)
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// text collects lines; every one goes through line, which escapes.
type text struct{ strings.Builder }

func (t *text) line(indent, format string, args ...any) {
	t.WriteString(indent)
	t.WriteString(Printable(fmt.Sprintf(format, args...)))
	t.WriteByte('\n')
}

// pair writes a label with its value, and nothing where there is no value.
func (t *text) pair(label, value string) {
	if value != "" {
		t.line("  ", "%-20s %s", label, value)
	}
}

func (t *text) list(label string, values []string) {
	for _, value := range values {
		t.pair(label, value)
		label = ""
	}
}

func (t *text) finding(f Finding) { t.line("  ", "%-8s %s: %s", f.Severity, f.ID, f.Message) }

func (t *text) certificate(c *Certificate, of int) {
	t.line("", "")
	t.line("", "certificate %d of %d: %s", c.Number, of, orNone(c.Subject.Text()))
	t.list("alias", c.Aliases)
	t.name("subject", &c.Subject)
	if c.SelfIssued {
		t.pair("issuer", "the same name")
	} else {
		t.name("issuer", &c.Issuer)
	}
	switch {
	case c.SelfSigned:
		t.pair("issued by", "itself")
	case len(c.IssuedBy) > 0:
		t.pair("issued by", "certificate "+numbersText(c.IssuedBy))
	case c.SelfIssued:
		t.pair("issued by", "its own name, with another key")
	}
	t.validity(&c.Validity)
	t.thumbprints(&c.Thumbprints, c.SignatureAlgorithm)
	t.pair("serial", c.Serial.Hex)
	t.pair("  colons", c.Serial.Colon)
	t.pair("  decimal", c.Serial.Decimal)
	t.pair("version", fmt.Sprint(c.Version))
	t.pair("key", c.Key.Type)
	if c.Key.Exponent != 0 {
		t.pair("  exponent", fmt.Sprint(c.Key.Exponent))
	}
	t.pair("signature", c.SignatureAlgorithm)
	t.extensions(c)
	t.line("  ", "may be used as")
	for _, u := range c.Uses {
		t.use(u)
	}
	t.line("  ", "to name it in allow or deny, one of")
	for _, m := range c.Matchers {
		t.line("    ", "- %s", m)
	}
	for _, f := range c.Lints {
		t.finding(f)
	}
}

func (t *text) use(u Use) {
	answer := "yes"
	if !u.OK {
		answer = "no, " + u.Reason.String()
	}
	if u.Detail != "" {
		answer += ": " + u.Detail
	}
	t.line("    ", "%-18s %s", u.Name, answer)
}

func (t *text) name(label string, n *Name) {
	t.pair(label, orNone(n.Text()))
	if n.Error != "" {
		t.pair("  refused", n.Error)
	}
	for _, form := range identity.Forms()[1:] { // the first one is above
		t.pair("  "+form.String(), n.Renderings[form.String()])
	}
	for _, a := range n.Attributes {
		odd := ""
		if len(a.Odd) > 0 {
			odd = "  (" + strings.Join(a.Odd, ", ") + ")"
		}
		t.line("    ", "%d %s %s %s %s%s", a.RDN, a.Type, a.OID, a.String, a.Visible, odd)
	}
}

func (t *text) validity(v *Validity) {
	state := map[string]string{
		"valid":         fmt.Sprintf("valid, %s left", counted(v.DaysLeft, "day")),
		"expired":       fmt.Sprintf("expired, %s ago", counted(-v.DaysLeft, "day")),
		"not_yet_valid": "not yet valid",
	}[v.State]
	t.pair("valid from", v.NotBefore.Format(time.RFC3339))
	t.pair("valid through", v.NotAfter.Format(time.RFC3339)+" ("+state+")")
}

func (t *text) thumbprints(p *Thumbprints, signature string) {
	t.pair("sha256", p.SHA256)
	t.pair("  Tyk", "the organisation's id, then the same")
	t.pair("  colons", p.SHA256Colon)
	t.pair("  base64", p.SHA256Base64)
	t.pair("  x5t#S256", p.SHA256Base64URL)
	switch {
	case p.Twin != "":
		t.pair("  twin", p.Twin+" (the same with its other ECDSA signature; deny compares both)")
	case strings.HasPrefix(signature, "ECDSA"):
		t.pair("  twin", "there is one, with its other ECDSA signature; deny compares both")
	}
	t.pair("sha1", p.SHA1)
	t.pair("  colons", p.SHA1Colon)
	t.pair("  Azure", p.SHA1Upper)
	t.pair("  x5t", p.SHA1Base64URL)
	t.pair("spki sha256", p.SPKI)
	t.pair("  pin-sha256", p.SPKIBase64)
}

func (t *text) extensions(c *Certificate) {
	t.pair("key usage", strings.Join(c.KeyUsage, ", "))
	t.pair("ext key usage", strings.Join(c.ExtKeyUsage, ", "))
	if b := c.BasicConstraints; b != nil {
		value := fmt.Sprintf("CA:%t", b.CA)
		if b.PathLen != nil {
			value += fmt.Sprintf(", path length %d", *b.PathLen)
		}
		t.pair("basic constraints", value)
	}
	var names []string
	for _, n := range c.SubjectAltNames {
		name := n.Kind + ":"
		if n.OID != "" {
			name += n.OID + ":"
		}
		names = append(names, name+n.Value)
	}
	t.list("alternative names", names)
	if n := c.NameConstraints; n != nil {
		t.list("names permitted", n.Permitted)
		t.list("names excluded", n.Excluded)
	}
	t.list("policies", c.Policies)
	t.qualified(c.QCStatements)
	t.list("ocsp", c.OCSP)
	t.list("ca issuers", c.IssuerURLs)
	t.list("crl", c.CRLs)
	t.pair("subject key id", c.SubjectKeyID)
	t.pair("authority key id", c.AuthorityKeyID)
	var extensions []string
	for _, e := range c.Extensions {
		extension := e.OID
		if e.Name != "" {
			extension += " " + e.Name
		}
		if e.Critical {
			extension += ", critical"
		}
		extensions = append(extensions, fmt.Sprintf("%s, %s", extension, counted(e.Bytes, "byte")))
	}
	t.list("extensions", extensions)
}

func ownersText(certificates []int) string {
	if len(certificates) == 0 {
		return "no certificate of the file"
	}
	return "certificate " + numbersText(certificates)
}

// qualified shows the statements of a qualified certificate.
func (t *text) qualified(q *identity.QCStatements) {
	switch {
	case q == nil:
		return
	case q.Malformed != "":
		t.pair("qc statements", "cannot be read, so they say nothing: "+q.Malformed)
		return
	}
	var statements []string
	for _, oid := range q.IDs {
		if name := statementNames()[oid]; name != "" {
			oid += " " + name
		}
		statements = append(statements, oid)
	}
	t.list("qc statements", statements)
	if p := q.PSD2; p != nil {
		t.pair("  PSD2 roles", strings.Join(p.Roles, ", "))
		t.pair("  PSD2 NCA", p.NCAName+", "+p.NCAID)
	}
}

// statementNames are the words of RFC 3739, ETSI EN 319 412-5 and TS 119 495.
func statementNames() map[string]string {
	return map[string]string{
		"1.3.6.1.5.5.7.11.1": "qcSyntaxV1", "1.3.6.1.5.5.7.11.2": "qcSyntaxV2", "0.4.0.1862.1.1": "QcCompliance", "0.4.0.1862.1.2": "QcLimitValue",
		"0.4.0.1862.1.3": "QcRetentionPeriod", "0.4.0.1862.1.4": "QcSSCD", "0.4.0.1862.1.5": "QcPDS", "0.4.0.1862.1.6": "QcType",
		"0.4.0.1862.1.7": "QcCClegislation", "0.4.0.19495.2": "PSD2",
	}
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
