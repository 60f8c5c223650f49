package judge

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

// listSite is a list out of a document, and callers who are on it or are not.
type listSite struct {
	list          *matchList
	on, strangers []*identity.Identity
}

// newListSite makes a list that denies (and so looks for twins, too) of n thumbprints, in a file or as entries.
func newListSite(tb testing.TB, n int, inFile bool) *listSite {
	tb.Helper()
	dir := tb.TempDir()
	ca := testpki.NewCA(tb, testpki.Options{CommonName: "CA"})
	ca.Write(tb, dir, "ca")
	ca.Leaf(tb, testpki.Options{Hosts: []string{"localhost"}}).Write(tb, dir, "server")
	s := &listSite{}
	var lines, entries strings.Builder
	add := func(sum fmt.Stringer) {
		fmt.Fprintln(&lines, sum)
		fmt.Fprintf(&entries, "{sha256: %s},", sum)
	}
	for range min(n, 256) { // more of them than one place in a cache, as callers come
		id := identityBelow(tb, ca)
		s.on = append(s.on, id)
		s.strangers = append(s.strangers, identityBelow(tb, ca))
		add(id.SHA256())
	}
	for i := range n - len(s.on) {
		add(identity.SHA256(sha256.Sum256(fmt.Append(nil, i))))
	}
	list := entries.String()
	if inFile {
		list = "{sha256_file: list.txt}"
		if err := os.WriteFile(filepath.Join(dir, "list.txt"), []byte(lines.String()), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	path := filepath.Join(dir, "sallyport.yaml")
	text := `listeners: [{name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: optional}}]
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores: [{name: partners, anchors: [{file: ca.pem}]}]
client_certificate: {mode: required, trust: [partners], deny: [` + list + "]}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	s.list = newMatchList(doc, doc.Rules(nil, nil).Deny, true)
	return s
}

func identityBelow(tb testing.TB, ca *testpki.Entity) *identity.Identity {
	tb.Helper()
	id, err := identity.Of([]*x509.Certificate{ca.Leaf(tb, testpki.Options{CommonName: "partner"}).Cert, ca.Cert})
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// find looks for all of them, and returns how many it found.
func (s *listSite) find(who []*identity.Identity) int {
	found := 0
	for _, id := range who {
		if s.list.find(id, nil) >= 0 {
			found++
		}
	}
	return found
}

func TestAListOfThumbprintsAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	for _, inFile := range []bool{true, false} {
		s := newListSite(t, 1000, inFile)
		if on, off := s.find(s.on), s.find(s.strangers); on != len(s.on) || off != 0 {
			t.Fatalf("%d of %d are on the list, and %d strangers", on, len(s.on), off)
		}
		if n := testing.AllocsPerRun(10, func() { s.find(s.on); s.find(s.strangers) }); n != 0 {
			t.Errorf("in a file: %v: it allocates %v times", inFile, n)
		}
	}
}

func BenchmarkList(b *testing.B) {
	for _, c := range []struct {
		name   string
		n      int
		inFile bool
	}{{"entries=10", 10, false}, {"file=10", 10, true}, {"file=1000000", 1_000_000, true}} {
		s := newListSite(b, c.n, c.inFile)
		for name, who := range map[string][]*identity.Identity{"on": s.on, "off": s.strangers} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if (s.list.find(who[i%len(who)], nil) >= 0) != (name == "on") {
						b.Fatal("the list has somebody else on it")
					}
				}
			})
		}
	}
}
