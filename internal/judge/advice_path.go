package judge

import (
	"crypto/x509"
	"fmt"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// adviseChain is for certificate_chain, which has a remedy for each of its causes.
func (w *witness) adviseChain() {
	switch w.flaw {
	case trust.FlawExcess:
		w.change("The caller has to send less: its own certificate and the intermediates up to the CA are enough. At most %d certificates are looked at, of %d KiB together.",
			trust.MaxChainCertificates, trust.MaxChainBytes>>10)
	case trust.FlawSlow:
		w.change("The certificate that the detail names has to be issued anew for an ordinary key, such as RSA of 2,048 to 4,096 bits with the exponent 65,537; if the caller need not send it, that is enough.")
	case trust.FlawStrays:
		w.change("The caller has to send its own certificate and the intermediates that really issued it: too many of those sent were signed by other keys than those of the issuers that they name.")
	case trust.FlawDepth:
		w.change("Raise max_depth of the trust store %q to the number of intermediates in the detail, or have the caller's certificate issued below fewer of them.", w.out.Store)
	case trust.FlawPathLen:
		w.change("The CA %q limits how many intermediates may stand below it, and max_depth does not change that: it has to be reissued with a larger pathLenConstraint or none, or the caller's certificate be issued below fewer intermediates.",
			w.broken.Subject)
	case trust.FlawNoIssuer:
		w.change("%q is not allowed to issue certificates. If it is a CA, have it reissued with basicConstraints CA:TRUE and, where it states key usages, keyCertSign among them; otherwise the caller needs a certificate that a CA issued.",
			w.broken.Subject)
	case trust.FlawNames:
		w.change("A CA on the path may not certify all names of %q (its name constraints): have that certificate issued anew with permitted names, or by another CA.", w.broken.Subject)
	case trust.FlawExtension:
		w.change("Have %q issued anew without the critical extension that the detail names, or with the extension not critical.", w.broken.Subject)
	case trust.FlawOther, trust.FlawKeyUsage:
		w.change("See the detail for the element that broke the path.")
	}
	w.change("sallyport cert verify tries a chain without the gateway.")
}

// adviseNamesakes is for a path that ends below the name of an anchor but not below its key.
func (w *witness) adviseNamesakes(last *Certificate) {
	w.change("An anchor of the name %q is trusted with another key (sha256 %s).%s Either the CA changed its key: ask the partner, compare the thumbprint of the new CA certificate with what the partner told you, and add it as an anchor. "+
		"Or somebody made this certificate himself: then nothing is to be changed.", last.Issuer, thumbprints(w.namesakes), w.sentAlong(last))
}

// sentAlong says which CA certificate was sent that is not trusted; "" for none.
func (w *witness) sentAlong(last *Certificate) string {
	if last.Issuer != last.Subject || w.brokeAtTheLeaf() {
		return ""
	}
	return fmt.Sprintf(" What was sent along by that name is another certificate (sha256 %s).", last.SHA256)
}

// thumbprints names certificates for a sentence.
func thumbprints(certs []*x509.Certificate) string {
	const most = 3
	var texts []string
	for _, cert := range certs[:min(len(certs), most)] {
		texts = append(texts, identity.Thumbprint(cert).String())
	}
	if len(certs) > most {
		texts = append(texts, fmt.Sprintf("%d more", len(certs)-most))
	}
	return strings.Join(texts, ", ")
}
