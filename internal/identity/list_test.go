package identity_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport/internal/identity"
)

// digest is a thumbprint of nobody.
func digest(n uint64) identity.SHA256 {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
}

// digestLines is a list of n thumbprints, as many a file holds them.
func digestLines(n int) []byte {
	out := make([]byte, 0, n*65)
	for i := range n {
		sum := digest(uint64(i))
		out = append(hex.AppendEncode(out, sum[:]), '\n')
	}
	return out
}

func readList(t testing.TB, text string) *identity.SHA256List {
	t.Helper()
	l, err := identity.ReadSHA256List(strings.NewReader(text), strings.Count(text, "\n"))
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	return l
}

func TestAListIsReadAsItWasPasted(t *testing.T) {
	t.Parallel()
	a, b, c := digest(1), digest(2), digest(3)
	colons := func(sum identity.SHA256) string { return strings.ToUpper(strings.Join(pairs(sum.String()), ":")) }
	for label, text := range map[string]string{
		"hex":                            a.String() + "\n" + b.String() + "\n" + c.String() + "\n",
		"without a last line break":      a.String() + "\n" + b.String() + "\n" + c.String(),
		"line breaks of Windows":         a.String() + "\r\n" + b.String() + "\r\n" + c.String() + "\r\n",
		"colons and upper case":          colons(a) + "\n" + colons(b) + "\n" + colons(c) + "\n",
		"blanks in groups":               strings.Join(pairs(a.String()), " ") + "\n\t" + b.String() + "  \n" + c.String(),
		"a byte order mark":              "\ufeff" + a.String() + "\n" + b.String() + "\n" + c.String(),
		"invisible characters":           "\u200e" + a.String() + "\n" + b.String() + "\u00a0\n\u200b" + colons(c),
		"labels":                         "sha256 Fingerprint=" + colons(a) + "\nsha256:" + b.String() + "\nSHA256 Fingerprint=" + colons(c),
		"base64":                         base64.StdEncoding.EncodeToString(a[:]) + "\n" + base64.RawURLEncoding.EncodeToString(b[:]) + "\nsha256//" + base64.StdEncoding.EncodeToString(c[:]),
		"hyphens":                        strings.Join(pairs(a.String()), "-") + "\n" + b.String() + "\n" + c.String(),
		"comments behind a thumbprint":   a.String() + "#one\n" + b.String() + " # two: " + a.String() + "\n" + c.String() + " ## three",
		"thumbprints that are not first": a.String() + "\n" + b.String() + "\n" + c.String() + "\n" + a.String() + "\n" + colons(b),
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			for _, l := range []*identity.SHA256List{readList(t, text), must(identity.ReadSHA256List(iotest.OneByteReader(strings.NewReader(text)), 0))} {
				if l.Len() != 3 {
					t.Errorf("%d thumbprints", l.Len())
				}
				for i, sum := range []identity.SHA256{a, b, c} {
					if line, ok := l.Line(sum); line != i+1 || !ok {
						t.Errorf("the thumbprint of line %d is in %d, %v", i+1, line, ok)
					}
				}
				if line, ok := l.Line(digest(4)); line != 0 || ok {
					t.Errorf("a stranger is in line %d", line)
				}
			}
		})
	}
	l := readList(t, "# partners\n\n  \t\n\u200b\n"+a.String()+"\n#"+b.String()+"\n"+strings.Repeat("# long ", 500)+"\n"+c.String()+"\n")
	for sum, want := range map[identity.SHA256]int{a: 5, b: 0, c: 8} {
		if line, _ := l.Line(sum); line != want {
			t.Errorf("%s is in line %d, want %d", sum, line, want)
		}
	}
}

func pairs(text string) []string {
	var out []string
	for i := 0; i < len(text); i += 2 {
		out = append(out, text[i:i+2])
	}
	return out
}

func TestAnEmptyListHasNobody(t *testing.T) {
	t.Parallel()
	var none *identity.SHA256List
	for label, l := range map[string]*identity.SHA256List{"nil": none, "zero": {}, "no line": readList(t, ""), "comments": readList(t, "# none\n\n#\n")} {
		for _, sum := range []identity.SHA256{{}, digest(1)} {
			if line, ok := l.Line(sum); line != 0 || ok || l.Len() != 0 {
				t.Errorf("%s: line %d of %d", label, line, l.Len())
			}
		}
	}
}

func TestABadLineIsNamed(t *testing.T) {
	t.Parallel()
	good := digest(1).String()
	for label, c := range map[string]struct {
		text string
		line int
		want string
	}{
		"SHA-1":                 {good + "\n" + strings.Repeat("ab", 20) + "\n", 2, "40 hex digits, want 64 (SHA-256); this looks like SHA-1"},
		"a digit too few":       {good + "\n\n# c\n" + good[1:] + "\n", 4, "63 hex digits"},
		"a digit too many":      {good + "0", 1, "65 hex digits"},
		"two in a line":         {good + " " + good, 1, "128 hex digits"},
		"a lone carriage":       {good + "\r" + good, 1, "128 hex digits"},
		"a name":                {"partner-a\n", 1, "is not a hex digit"},
		"a cell of a table":     {good + ",Acme\n", 1, "is not a hex digit"},
		"a PEM block":           {"-----BEGIN CERTIFICATE-----\n", 1, "a PEM block is not"},
		"a label of SHA-1":      {"sha1:" + good, 1, "labelled SHA-1"},
		"a NUL":                 {good[:10] + "\x00" + good[10:], 1, `'\x00' is not a hex digit`},
		"no UTF-8":              {good + "\xff", 1, "not valid UTF-8"},
		"UTF-16":                {"\xff\xfea\x00", 1, "UTF-16"},
		"a label without a sum": {good + "\nsha256:\n", 2, "empty SHA-256"},
		"a long line":           {good + "\n#" + strings.Repeat("x", 4096) + "\n" + good, 2, "longer than 4096"},
		"a longer line":         {good + "\n#" + strings.Repeat("x", 1<<20) + "\n" + good, 2, "longer than 4096"},
		"a long line at last":   {good + "\n#" + strings.Repeat("x", 5000), 2, "longer than 4096"},
		"a longer line at last": {good + "\n#" + strings.Repeat("x", 1<<20), 2, "longer than 4096"},
		"a long thumbprint":     {strings.Repeat("0 ", 1000), 1, "too long"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			l, err := identity.ReadSHA256List(strings.NewReader(c.text), 0)
			bad, ok := errors.AsType[*identity.ListError](err)
			if !ok || l != nil || bad.Total != 1 || len(bad.Bad) != 1 || bad.Bad[0].Line != c.line {
				t.Fatalf("got %v, %+v", l, err)
			}
			wantError(t, err, c.want)
		})
	}
	_, err := identity.ReadSHA256List(strings.NewReader(strings.Repeat("x\n"+good+"\n", 100)), 0)
	if bad, ok := errors.AsType[*identity.ListError](err); !ok || bad.Total != 100 || len(bad.Bad) != 10 || bad.Bad[9].Line != 19 {
		t.Errorf("a hundred bad lines: %+v", err)
	}
	if (&identity.ListError{}).Error() == "" {
		t.Error("no error has no text")
	}
}

func TestAReaderThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	for _, before := range []string{"", digest(1).String() + "\n", "#" + strings.Repeat("x", 1<<20)} {
		l, err := identity.ReadSHA256List(io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)), 1)
		if !errors.Is(err, broken) || l != nil {
			t.Errorf("behind %d bytes: %v, %v", len(before), l, err)
		}
	}
}

// TestAListFindsWhatAMapFinds compares with a map, for lists of every small length and for sums that share their first
// bits, which real ones do not.
func TestAListFindsWhatAMapFinds(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // a repeatable test
	for n := range 300 {
		want := map[identity.SHA256]int{}
		var text strings.Builder
		var sums []identity.SHA256
		for i := range n {
			sum := digest(random.Uint64N(uint64(n) * 2))
			switch n % 4 {
			case 1:
				copy(sum[:4], "same")
			case 2:
				copy(sum[:30], bytes.Repeat([]byte{0xff}, 30))
			case 3:
				copy(sum[:8], make([]byte, 8))
			}
			sums = append(sums, sum)
			if _, taken := want[sum]; !taken {
				want[sum] = i + 1
			}
			fmt.Fprintln(&text, sum)
		}
		l := readList(t, text.String())
		if l.Len() != len(want) {
			t.Fatalf("%d lines: %d thumbprints, want %d", n, l.Len(), len(want))
		}
		for _, sum := range append(sums, identity.SHA256{}, identity.SHA256(bytes.Repeat([]byte{0xff}, 32)), digest(1<<40)) {
			for _, near := range []identity.SHA256{sum, next(sum, 1), next(sum, 0xff)} {
				line, ok := l.Line(near)
				if wanted, on := want[near]; line != wanted || ok != on {
					t.Fatalf("%d lines: %s is in line %d, %v, want %d", n, near, line, ok, wanted)
				}
			}
		}
	}
}

// next is a sum beside another.
func next(sum identity.SHA256, by byte) identity.SHA256 {
	sum[31] += by
	return sum
}

// TestAListTakesLittleMemory counts all that is allocated while a list is read, whether it is kept or not.
func TestAListTakesLittleMemory(t *testing.T) { // not parallel: it counts the process's
	const n, most = 200_000, 64
	for label, text := range map[string][]byte{
		"hex":    digestLines(n),
		"twice":  slices.Concat(digestLines(n/2), digestLines(n/2)),
		"colons": bytes.ReplaceAll(digestLines(n), []byte("0"), []byte("0:")),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		l, err := identity.ReadSHA256List(bytes.NewReader(text), n)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		each := float64(after.TotalAlloc-before.TotalAlloc) / n
		t.Logf("%s: %.1f bytes an entry", label, each)
		if each > most {
			t.Errorf("%s: %.1f bytes an entry, at most %d", label, each, most)
		}
		if line, ok := l.Line(digest(77)); line != 78 || !ok {
			t.Errorf("line %d, %v", line, ok)
		}
		if allocations := testing.AllocsPerRun(100, func() { l.Line(digest(78)) }); allocations > 1 { // of the digest itself
			t.Errorf("a look-up allocates %v times", allocations)
		}
	}
}

func FuzzSHA256List(f *testing.F) {
	sum := digest(1)
	f.Add([]byte(sum.String() + "\n# a\n\n" + strings.Join(pairs(sum.String()), ":")))
	f.Add([]byte("sha256//" + base64.StdEncoding.EncodeToString(sum[:]) + " # b\r\n"))
	f.Add([]byte("\ufeff\u200b\n" + strings.Repeat("a", 63) + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := identity.ReadSHA256List(bytes.NewReader(text), 0)
		want, bad := map[identity.SHA256]int{}, 0
		if !bytes.HasPrefix(text, []byte("\xff\xfe")) && !bytes.HasPrefix(text, []byte("\xfe\xff")) {
			for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
				if len(line) > 4000 {
					return // about the limit
				}
				line, _, _ = strings.Cut(line, "#")
				sum, err := identity.ParseSHA256(line)
				if err != nil && strings.HasPrefix(err.Error(), "empty") && !strings.Contains(strings.ToLower(line), "sha") && !strings.ContainsAny(line, ":-") {
					continue
				}
				if err != nil {
					bad++
				} else if _, taken := want[sum]; !taken {
					want[sum] = i + 1
				}
			}
			if (bad > 0) != (err != nil) {
				t.Fatalf("%d bad lines, %v", bad, err)
			}
		}
		if err != nil {
			if l != nil || len(err.Error()) > 300 {
				t.Errorf("a list beside the error %v", err)
			}
			return
		}
		if l.Len() != len(want) {
			t.Errorf("%d thumbprints, want %d", l.Len(), len(want))
		}
		for sum, line := range want {
			if got, ok := l.Line(sum); got != line || !ok {
				t.Errorf("%s is in line %d, %v, want %d", sum, got, ok, line)
			}
		}
	})
}

func BenchmarkReadSHA256List(b *testing.B) {
	text := digestLines(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.ReadSHA256List(bytes.NewReader(text), 1_000_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSHA256ListLine(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		l := must(identity.ReadSHA256List(bytes.NewReader(digestLines(n)), n))
		var sums []identity.SHA256
		for i := range 4096 { // too many for the caches to know them all by heart
			sums = append(sums, digest(uint64(i*241)%uint64(n)))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := l.Line(sums[i%len(sums)]); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
