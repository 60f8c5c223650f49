package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	reference "golang.org/x/net/http2/hpack"
)

func TestTheTablesAreThoseOfRFC7541(t *testing.T) {
	t.Parallel()
	d := reference.NewDecoder(tableSize, nil)
	for i, f := range staticTable {
		want, err := d.DecodeFull([]byte{indexedField | byte(i+1)})
		if err != nil || string(f.name) != want[0].Name || string(f.value) != want[0].Value {
			t.Errorf("%d: %s: %s, want %v, %v", i+1, f.name, f.value, want, err)
		}
	}
	for octet := range 256 {
		text := strings.Repeat(string([]byte{byte(octet)}), 9)
		got, ok := unhuffman(nil, reference.AppendHuffmanString(nil, text))
		if !ok || string(got) != text {
			t.Errorf("%#x: %q, %v", octet, got, ok)
		}
	}
}

type pair struct{ Name, Value string }

// readBlock reads a block in pieces of a size. It reports false for what is no field section.
func readBlock(h *hpack, block []byte, size int) (fields []pair, ok bool) {
	var rest []byte
	for len(block) > 0 {
		k := min(size, len(block))
		rest = append(rest, block[:k]...)
		block = block[k:]
		for len(rest) > 0 {
			n, name, value, err := h.next(rest)
			if err != nil {
				return nil, false
			}
			if n == 0 {
				break
			}
			if name != nil {
				fields = append(fields, pair{string(name), string(value)})
			}
			rest = rest[n:]
		}
	}
	h.end()
	return fields, len(rest) == 0
}

func FuzzHPACK(f *testing.F) {
	var text bytes.Buffer
	e := reference.NewEncoder(&text)
	for i := range 40 {
		_ = e.WriteField(reference.HeaderField{Name: "x-a", Value: strings.Repeat("b", i)})
		_ = e.WriteField(reference.HeaderField{Name: ":path", Value: "/" + strings.Repeat("\x00\xff", i)})
	}
	for _, seed := range [][]byte{
		text.Bytes(),
		{0x82, 0x86, 0x84},
		{0x20, 0x82},
		{0x82, 0x20},
		{0x3f, 0xe1, 0x1f},
		{0x3f, 0xe2, 0x1f},
		{0x40, 1, 'a', 1, 'b', 0xbe, 0x20, 0xbe},
		{0x40, 0x81, 0xff, 1, 'b'},
		{0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		{0x00, 0x00, 0x00},
		{0x10, 0x7f, 0xff, 0xff, 3},
	} {
		f.Add(seed, []byte{0xbe, 0xbf, 0xc0}, uint8(2))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, size uint8) {
		const longest = 1 << 20
		want := reference.NewDecoder(tableSize, nil)
		whole, pieces := hpack{longest: longest}, hpack{longest: longest}
		for _, block := range [][]byte{first, second, second} {
			fields, err := want.DecodeFull(slices.Clone(block))
			got, ok := readBlock(&whole, block, max(1, len(block)))
			if ok != (err == nil) {
				t.Fatalf("%x: ok is %v, want %v", block, ok, err)
			}
			again, okAgain := readBlock(&pieces, block, 1+int(size))
			if ok != okAgain {
				t.Fatalf("%x: in pieces ok is %v, want %v", block, okAgain, ok)
			}
			if !ok {
				return
			}
			var wanted []pair
			for _, f := range fields {
				wanted = append(wanted, pair{f.Name, f.Value})
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Fatalf("%x: %s", block, diff)
			}
			if diff := cmp.Diff(wanted, again); diff != "" {
				t.Fatalf("%x in pieces: %s", block, diff)
			}
			var anew []byte
			for _, f := range got {
				anew = appendLiteral(anew, []byte(f.Name), []byte(f.Value))
			}
			if same, err := reference.NewDecoder(tableSize, nil).DecodeFull(anew); err != nil || !slices.Equal(same, unmarked(fields)) {
				t.Fatalf("written anew %v is %v, %v", fields, same, err)
			}
			if n := len(whole.table.octets); n > 4*tableSize || whole.table.size > tableSize {
				t.Fatalf("the table holds %d octets and counts %d", n, whole.table.size)
			}
		}
	})
}

// unmarked are fields of which nobody says that they are never to be kept.
func unmarked(fields []reference.HeaderField) []reference.HeaderField {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Sensitive = false
	}
	return out
}
