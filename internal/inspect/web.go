package inspect

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// Limits on the work for one file. An honest chain needs one signature for each certificate.
const (
	maxNamesakes  = 8    // candidates of one name that are tried on a certificate
	maxSignatures = 4096 // signatures that are checked for a file
)

// web is who issued whom among the certificates of a file.
type web struct {
	certs      []*x509.Certificate
	at         time.Time
	facts      []trust.Facts
	parents    [][]int // by certificate: those whose key made its signature, without itself
	children   [][]int
	selfSigned []bool
	impostors  [][]int // by certificate: those that have its issuer's name and did not sign it
	untried    []bool  // by certificate: not everything that may have issued it was tried on it
	cut        bool    // that is so of some
}

func newWeb(certs []*x509.Certificate, at time.Time) *web {
	n := len(certs)
	w := &web{
		certs: certs, at: at, facts: make([]trust.Facts, n), parents: make([][]int, n), children: make([][]int, n),
		selfSigned: make([]bool, n), impostors: make([][]int, n), untried: make([]bool, n),
	}
	bySubject := map[string][]int{}
	for i, cert := range certs {
		w.facts[i] = trust.FactsOf(cert)
		bySubject[string(cert.RawSubject)] = append(bySubject[string(cert.RawSubject)], i)
	}
	w.compare(bySubject)
	return w
}

// compare tries certificates on each other. What says that it issued itself is tried on itself first: what matters most
// about it is known then, also where there are too many for the rest.
func (w *web) compare(bySubject map[string][]int) {
	budget := maxSignatures
	try := func(parent, child int) {
		if budget == 0 {
			w.untried[child], w.cut = true, true
			return
		}
		budget--
		w.relate(parent, child)
	}
	for i, cert := range w.certs {
		if string(cert.RawIssuer) == string(cert.RawSubject) {
			try(i, i)
		}
	}
	for child, cert := range w.certs {
		candidates := bySubject[string(cert.RawIssuer)]
		if len(candidates) > maxNamesakes {
			w.untried[child], w.cut = true, true
			candidates = candidates[:maxNamesakes]
		}
		for _, parent := range candidates {
			if parent != child {
				try(parent, child)
			}
		}
	}
}

// relate finds out whether the certificate at parent issued the one at child, which has its name as the issuer.
func (w *web) relate(parent, child int) {
	_, signed := trust.Issued(w.certs[parent], w.certs[child])
	switch {
	case signed && parent == child:
		w.selfSigned[child] = true
	case signed:
		w.parents[child] = append(w.parents[child], parent)
		w.children[parent] = append(w.children[parent], child)
	case parent != child:
		w.impostors[child] = append(w.impostors[child], parent)
	}
}

// path returns the way from a certificate up, as far as the file has it: of several issuers one that may issue and is
// valid before others.
func (w *web) path(from int) []int {
	way := []int{from}
	for len(way) < trust.MaxChainCertificates {
		at := way[len(way)-1]
		if w.selfSigned[at] {
			return way
		}
		best, bestRank := -1, -1
		for _, parent := range w.parents[at] {
			if slices.Contains(way, parent) {
				continue
			}
			rank := 0
			if w.facts[parent].MayIssue {
				rank += 2
			}
			if !w.outsideValidity(parent) {
				rank++
			}
			if rank > bestRank {
				best, bestRank = parent, rank
			}
		}
		if best < 0 {
			return way
		}
		way = append(way, best)
	}
	return way
}

func (w *web) outsideValidity(i int) bool {
	return w.at.Before(w.certs[i].NotBefore) || w.at.After(w.certs[i].NotAfter)
}

// Use is something that a certificate may be used for, as the gateway would judge it.
type Use struct {
	// Name is client_certificate, server_certificate, anchor or pin.
	Name string `json:"use"`
	// OK says that nothing in the file speaks against it.
	OK bool `json:"ok"`
	// Reason is the gateway's.
	Reason decision.Reason `json:"reason"`
	// Detail says what broke, or what else it takes.
	Detail string `json:"detail,omitempty"`
}

// uses says what a certificate may be used for, and returns the twin of its thumbprint where an accepted path has one.
func (w *web) uses(at int) (uses []Use, twin string) {
	client, id := w.caller(at, trust.ClientAuth, "client_certificate")
	server, serverID := w.caller(at, trust.ServerAuth, "server_certificate")
	for _, id := range []*identity.Identity{id, serverID} {
		if sum, ok := id.TwinSHA256(); ok {
			twin = sum.String()
		}
	}
	return []Use{client, server, w.anchor(at), w.pinned(at, trust.PurposeDefault, "pin")}, twin
}

// caller judges a certificate below the CA at the top of its path in the file, or without a path if there is none.
func (w *web) caller(at int, purpose trust.Purpose, use string) (Use, *identity.Identity) {
	way := w.path(at)
	top := way[len(way)-1]
	if len(way) == 1 || !w.facts[top].CA {
		reason, detail := trust.Examine(w.certs[at], purpose, w.at)
		switch {
		case reason != decision.OK:
		case len(way) == 1 && w.selfSigned[at]:
			detail = "self-signed: it is accepted where it is anchored itself"
		case len(way) == 1 && w.untried[at]:
			detail = "its issuer was not found among too many certificates; it takes an anchor that issued it"
		case len(way) == 1:
			detail = "its issuer is not in the file; it takes an anchor that issued it"
		default:
			detail = "the file has no CA above it; it takes an anchor that issued it"
		}
		return Use{Name: use, OK: reason == decision.OK, Reason: reason, Detail: detail}, nil
	}
	var presented []*x509.Certificate
	for _, i := range way {
		presented = append(presented, w.certs[i])
	}
	v := judge(purpose, trust.StoreConfig{Anchors: []trust.Anchor{{Certificate: w.certs[top]}}, MaxDepth: -1}, presented, w.at)
	u := Use{Name: use, OK: v.Accepted(), Reason: v.Reason, Detail: v.Detail}
	if u.OK {
		u.Detail = fmt.Sprintf("where certificate %d is an anchor", top+1)
	}
	return u, v.Identity
}

// anchor says whether a trust store may have the certificate as a CA.
func (w *web) anchor(at int) Use {
	switch {
	case !w.facts[at].CA:
		return Use{Name: "anchor", Reason: decision.CertificateChain, Detail: "it is no CA: a trust store takes it for a pin, which issues nothing"}
	case !w.facts[at].MayIssue:
		return Use{Name: "anchor", Reason: decision.CertificateChain, Detail: "its key usage does not allow it to issue certificates"}
	}
	return w.pinned(at, trust.Any, "anchor") // strength, validity and form are looked at as those of a pin are
}

// pinned judges a certificate that stands for itself alone.
func (w *web) pinned(at int, purpose trust.Purpose, use string) Use {
	config := trust.StoreConfig{Anchors: []trust.Anchor{{Certificate: w.certs[at], Pin: true}}, MaxDepth: -1, Purpose: purpose}
	v := judge(trust.ClientAuth, config, w.certs[at:at+1], w.at)
	return Use{Name: use, OK: v.Accepted(), Reason: v.Reason, Detail: v.Detail}
}

func judge(use trust.Purpose, config trust.StoreConfig, presented []*x509.Certificate, at time.Time) *trust.Verdict {
	config.Name = "this file"
	store, err := trust.NewStore(config)
	if err != nil {
		return &trust.Verdict{Reason: decision.TrustUnavailable, Detail: Printable(err.Error())}
	}
	set, err := trust.NewSet(use, store)
	if err != nil {
		return &trust.Verdict{Reason: decision.TrustUnavailable, Detail: Printable(err.Error())}
	}
	return set.Explain(trust.NewChain(presented), at, nil)
}

// problems are what is odd about the file as a whole, in the order of the certificates.
func (w *web) problems(keys []Key) []Finding {
	var found []Finding
	add := func(id string, severity Severity, numbers []int, format string, args ...any) {
		found = append(found, Finding{ID: id, Severity: severity, Message: fmt.Sprintf(format, args...), Certificates: numbers})
	}
	if w.cut {
		add("not_all_compared", Warning, nil, "Too many certificates of one name: not all of them were tried on each other, so issuers may be missing here.")
	}
	w.issuerProblems(add)
	w.orderProblems(add)
	w.duplicateProblems(add)
	w.relationProblems(add)
	for i, key := range keys {
		switch len(key.Certificates) {
		case 0:
			add("key_without_certificate", Error, nil, "Private key %d (%s) belongs to no certificate of the file: a credential made of the two is refused when it is loaded.",
				i+1, key.Type)
		default:
			add("private_key", Info, key.Certificates, "The file has the private key of certificate %s: whoever reads it can act as its holder.", numbersText(key.Certificates))
		}
	}
	return found
}

type addFinding func(id string, severity Severity, numbers []int, format string, args ...any)

// issuerProblems looks at each certificate and those above it.
func (w *web) issuerProblems(add addFinding) {
	idle := w.idleCAs()
	for i, cert := range w.certs {
		if len(w.parents[i]) == 0 && !w.selfSigned[i] && !w.untried[i] {
			w.missingIssuer(i, idle, add)
		}
		if len(w.children[i]) == 0 {
			continue
		}
		children := numbers(w.children[i])
		switch {
		case !w.facts[i].MayIssue:
			add("issuer_may_not_issue", Error, []int{i + 1},
				"Certificate %d made the signature of certificate %s and may not issue any: such a path is refused with certificate_chain.", i+1, numbersText(children))
		case w.at.After(cert.NotAfter):
			add("expired_issuer", Error, []int{i + 1},
				"Certificate %d has expired: a path through it to certificate %s is refused, also where it is the anchor.", i+1, numbersText(children))
		case w.at.Before(cert.NotBefore):
			add("issuer_not_yet_valid", Error, []int{i + 1},
				"Certificate %d is not yet valid: a path through it to certificate %s is refused, also where it is the anchor.", i+1, numbersText(children))
		}
	}
}

func (w *web) missingIssuer(i int, idle []int, add addFinding) {
	switch {
	case len(w.impostors[i]) > 0:
		add("issuer_did_not_sign", Error, []int{i + 1},
			"Certificate %s has the name of the issuer of certificate %d and did not sign it: there is no path through it.", numbersText(numbers(w.impostors[i])), i+1)
	case string(w.certs[i].RawIssuer) == string(w.certs[i].RawSubject):
		add("self_issued_not_self_signed", Warning, []int{i + 1},
			"Certificate %d says that it issued itself, and another key signed it: it takes an anchor of the same name with that key.", i+1)
	case !w.facts[i].CA && len(idle) > 0:
		add("missing_intermediate", Warning, []int{i + 1},
			"The issuer of certificate %d is not in the file, and certificate %s issued nothing in it: an intermediate between them seems to be missing, "+
				"and whoever presents the leaf has to send it.", i+1, numbersText(numbers(idle)))
	default:
		add("issuer_not_in_file", Info, []int{i + 1},
			"The issuer of certificate %d is not in the file: the gateway needs it as an anchor, or from the peer.", i+1)
	}
}

// idleCAs returns the CAs that issued nothing else in the file; none where that is not known.
func (w *web) idleCAs() (idle []int) {
	if w.cut {
		return nil
	}
	for i := range w.certs {
		if w.facts[i].CA && len(w.children[i]) == 0 {
			idle = append(idle, i)
		}
	}
	return idle
}

// orderProblems compares the order with that of RFC 8446 §4.4.2: a leaf, then the issuer of what came before. Others may
// stand between: that they do not belong there is said elsewhere.
func (w *web) orderProblems(add addFinding) {
	if len(w.certs) < 2 {
		return
	}
	leaf := slices.IndexFunc(w.certs, func(c *x509.Certificate) bool { return !c.BasicConstraintsValid || !c.IsCA })
	if leaf < 0 {
		return // a list of CAs has no order
	}
	way := w.path(leaf)
	if len(way) < 2 || slices.ContainsFunc(way, func(i int) bool { return w.untried[i] }) {
		return
	}
	if !slices.IsSorted(way) {
		add("wrong_order", Warning, numbers(way), "The path of certificate %d is not in the order leaf, issuer, its issuer: the order is %s. "+
			"The gateway sorts its own credentials and any chain that it is shown; other programs may not.", leaf+1, strings.Join(texts(numbers(way)), ", "))
	}
	if depth := len(way) - 2; depth > trust.DefaultMaxDepth {
		add("deep_path", Warning, numbers(way), "There are %d intermediates above certificate %d, and a trust store allows %d unless max_depth says otherwise.",
			depth, leaf+1, trust.DefaultMaxDepth)
	}
}

// duplicateProblems looks for names and keys that several certificates share.
func (w *web) duplicateProblems(add addFinding) {
	for _, same := range w.groups(func(c *x509.Certificate) string { return string(c.RawSubjectPublicKeyInfo) }) {
		add("duplicate_key", Info, numbers(same), "Certificates %s have the same key: spki_sha256 means all of them, sha256 only one.", numbersText(numbers(same)))
	}
	for _, same := range w.groups(func(c *x509.Certificate) string { return string(c.RawSubject) + "\x00" }) {
		if string(w.certs[same[0]].RawSubject) == "0\x00" {
			continue // without a name
		}
		add("duplicate_subject", Info, numbers(same), "Certificates %s have the same subject: rules about names do not tell them apart.", numbersText(numbers(same)))
	}
}

// groups returns the places of the certificates that share a key, in the order of the file.
func (w *web) groups(key func(*x509.Certificate) string) (groups [][]int) {
	places := map[string][]int{}
	for i, cert := range w.certs {
		places[key(cert)] = append(places[key(cert)], i)
	}
	for i, cert := range w.certs {
		if same := places[key(cert)]; len(same) > 1 && same[0] == i {
			groups = append(groups, same)
		}
	}
	return groups
}

// relationProblems looks for certificates that have nothing to do with the path of the first leaf.
func (w *web) relationProblems(add addFinding) {
	leaf := slices.IndexFunc(w.facts, func(f trust.Facts) bool { return !f.CA })
	if leaf < 0 || len(w.certs) < 2 || w.cut {
		return // where not everything was compared, relations may be missing
	}
	related := make([]bool, len(w.certs))
	related[leaf] = true
	for queue := []int{leaf}; len(queue) > 0; queue = queue[1:] {
		for _, next := range slices.Concat(w.parents[queue[0]], w.children[queue[0]]) {
			if !related[next] {
				related[next] = true
				queue = append(queue, next)
			}
		}
	}
	var apart []int
	for i := range related {
		if !related[i] {
			apart = append(apart, i)
		}
	}
	if len(apart) > 0 {
		add("unrelated", Warning, numbers(apart), "Certificate %s has nothing to do with certificate %d: a credential leaves it out, a trust store takes it as an anchor or pin of its own.",
			numbersText(numbers(apart)), leaf+1)
	}
}

// numbers makes places numbers, which begin at 1.
func numbers(places []int) []int {
	list := make([]int, len(places))
	for i, place := range places {
		list[i] = place + 1
	}
	return list
}

func texts(list []int) []string {
	all := make([]string, len(list))
	for i, n := range list {
		all[i] = fmt.Sprint(n)
	}
	return all
}

// numbersText lists numbers for a sentence, the first ten of them.
func numbersText(list []int) string {
	const most = 10
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(texts(list[:most]), ", "), len(list)-most)
	}
	return strings.Join(texts(list), ", ")
}
