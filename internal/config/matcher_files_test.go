package config_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/identity"
)

// listed is a document of n APIs with lists out of these entries.
func listed(n int, entries string) string {
	var d strings.Builder
	d.WriteString(`listeners: [{name: public, address: ":8443", tls: {credentials: [server], client_auth: optional}}]
credentials: [{name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}]
trust_stores: [{name: partners, anchors: [{file: pki/ca.pem}]}]
upstreams: [{name: echo, targets: ["http://127.0.0.1:18080"]}]
apis:
`)
	for i := range n {
		fmt.Fprintf(&d, "  - {name: a%d, path: /a%d/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [%s], deny: [%s]}}\n", i, i, entries, entries)
	}
	return d.String()
}

// thumbprintLines is a file of n thumbprints.
func thumbprintLines(n int) []byte {
	var out []byte
	for i := range n {
		out = fmt.Appendf(out, "%x\n", sha256.Sum256(fmt.Append(nil, i)))
	}
	return out
}

func put(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// loadLists loads a document and returns the lists of its matchers.
func loadLists(tb testing.TB, path string, options config.Options) (*config.Document, []*identity.SHA256List) {
	tb.Helper()
	doc, err := config.Load(path, options)
	if err != nil {
		tb.Fatal(err)
	}
	var lists []*identity.SHA256List
	for i := range doc.APIs {
		c := doc.APIs[i].ClientCertificate
		for _, m := range slices.Concat(c.Allow, c.Deny) {
			lists = append(lists, m.Parsed.SHA256File)
		}
	}
	return doc, lists
}

func TestAListIsSharedByItsContent(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	path, one, same, other := filepath.Join(dir, "x.yaml"), filepath.Join(dir, "one.txt"), filepath.Join(dir, "same.txt"), filepath.Join(dir, "other.txt")
	put(t, one, thumbprintLines(100))
	put(t, same, thumbprintLines(100))
	put(t, other, thumbprintLines(99))
	put(t, path, []byte(listed(20, "{sha256_file: one.txt}, {sha256_file: same.txt}, {sha256_file: ./one.txt}, {sha256_file: other.txt}")))
	shared := &config.Lists{}
	doc, first := loadLists(t, path, config.Options{Lists: shared})
	for i, l := range first {
		want := first[0]
		if i%4 == 3 {
			want = first[3]
		}
		if l != want || l.Len() != 100-i%4/3 {
			t.Fatalf("entry %d has a list of its own, of %d", i, l.Len())
		}
	}
	for _, file := range []string{one, same, other} {
		if !slices.Contains(doc.Files(), file) {
			t.Errorf("%s is not watched", file)
		}
	}
	// A reload shares what did not change, wherever it is named.
	put(t, other, thumbprintLines(98))
	_, second := loadLists(t, path, config.Options{Lists: shared})
	if second[0] != first[0] || second[3] == first[3] || second[3].Len() != 98 {
		t.Error("what did not change was read anew, or what changed was not")
	}
	_, alone := loadLists(t, path, config.Options{})
	if alone[0] == first[0] {
		t.Error("lists are shared without being asked for")
	}
	runtime.KeepAlive(first)
	runtime.KeepAlive(doc)
}

func TestAListThatNobodyUsesIsForgotten(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	path, file := filepath.Join(dir, "x.yaml"), filepath.Join(dir, "list.txt")
	put(t, path, []byte(listed(1, "{sha256_file: list.txt}")))
	shared := &config.Lists{}
	gone := make(chan struct{})
	func() {
		put(t, file, thumbprintLines(1000))
		_, lists := loadLists(t, path, config.Options{Lists: shared})
		runtime.AddCleanup(lists[0], func(done chan struct{}) { close(done) }, gone)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			put(t, file, thumbprintLines(1001))
			if _, lists := loadLists(t, path, config.Options{Lists: shared}); lists[0].Len() != 1001 {
				t.Errorf("%d thumbprints", lists[0].Len())
			}
			put(t, file, thumbprintLines(1000))
			if _, lists := loadLists(t, path, config.Options{Lists: shared}); lists[0].Len() != 1000 {
				t.Errorf("%d thumbprints", lists[0].Len())
			}
			return
		default:
		}
	}
	t.Error("a list that nobody has stays in memory")
}

func TestABrokenMatcherFileIsNeverTolerated(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	path := filepath.Join(dir, "x.yaml")
	put(t, filepath.Join(dir, "bad.txt"), []byte("Acme\n"))
	for _, entry := range []string{
		"{sha256_file: gone.txt}", "{sha256_file: bad.txt}", "{sha256_file: .}", "{sha256_file: /dev/zero}",
		"{certificate: gone.pem}", "{certificate: ./bad.txt}",
	} {
		put(t, path, []byte(listed(2, entry)))
		var seen []string
		_, err := config.Load(path, config.Options{ServePartial: true, Seen: func(path string) { seen = append(seen, path) }})
		if err == nil {
			t.Errorf("%s is tolerated", entry)
		}
		if strings.Contains(entry, "gone") && !slices.ContainsFunc(seen, func(path string) bool { return strings.Contains(path, "gone.") }) {
			t.Errorf("%s: it is not watched for: %q", entry, seen)
		}
	}
}

func TestAFileOfThumbprintsIsBounded(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	path, file := filepath.Join(dir, "x.yaml"), filepath.Join(dir, "list.txt")
	put(t, path, []byte(listed(1, "{sha256_file: list.txt}")))
	put(t, file, thumbprintLines(1))
	if err := os.Truncate(file, 1<<30+1); err != nil { // a hole: it takes no room on the disk
		t.Fatal(err)
	}
	if _, err := config.Load(path, config.Options{}); err == nil || !strings.Contains(err.Error(), "larger than 1024 MiB") {
		t.Errorf("got %v", err)
	}
	// Lines without a thumbprint take no memory.
	put(t, file, append(make([]byte, 0, 1<<20), slices.Concat(thumbprintLines(1), []byte(strings.Repeat("\n", 1<<20)))...))
	if _, lists := loadLists(t, path, config.Options{}); lists[0].Len() != 1 {
		t.Errorf("%d thumbprints", lists[0].Len())
	}
}

// TestManyThumbprintsForManyAPIsTakeLittleMemory counts everything that loading allocates, kept or not.
func TestManyThumbprintsForManyAPIsTakeLittleMemory(t *testing.T) { // not parallel: it counts the process's
	const n, apis, most = 200_000, 50, 64
	dir := contractDir(t)
	path, file := filepath.Join(dir, "x.yaml"), filepath.Join(dir, "list.txt")
	measure := func(lines []byte) uint64 {
		put(t, file, lines)
		put(t, path, []byte(listed(apis, "{sha256_file: list.txt}")))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		loadLists(t, path, config.Options{})
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := measure(thumbprintLines(1)), measure(thumbprintLines(n))
	each := (float64(large) - float64(small)) / n
	t.Logf("%.1f bytes an entry", each)
	if each > most {
		t.Errorf("%.1f bytes an entry, at most %d", each, most)
	}
}

func BenchmarkLoadAMillionThumbprints(b *testing.B) {
	dir := contractDir(b)
	path := filepath.Join(dir, "x.yaml")
	put(b, filepath.Join(dir, "list.txt"), thumbprintLines(1_000_000))
	put(b, path, []byte(listed(10, "{sha256_file: list.txt}")))
	shared := &config.Lists{}
	var keep []*identity.SHA256List
	for name, options := range map[string]func() config.Options{
		"first": func() config.Options { return config.Options{} },
		"again": func() config.Options { return config.Options{Lists: shared} },
	} {
		_, keep = loadLists(b, path, config.Options{Lists: shared})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				loadLists(b, path, options())
			}
		})
	}
	runtime.KeepAlive(keep)
}
