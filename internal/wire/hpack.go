package wire

import "errors"

// The kinds of representations of a field (RFC 7541 §6), by their first octet.
const (
	indexedField = 0x80
	keptLiteral  = 0x40 // with incremental indexing
	resizedTable = 0x20
	plainLiteral = 0x00 // without indexing; with the next bit, never indexed
)

// tableSize is what net/http allows the client's table to hold: the default, of which its SETTINGS say nothing else.
const tableSize = 4096

// fieldOverhead is what HTTP/2 counts for each field besides its text (RFC 7541 §4.1, RFC 9113 §6.5.2).
const fieldOverhead = 32

var (
	errSection = errors.New("it is no field section (RFC 7541)")
	errString  = errors.New("a name or a value is larger than any head may be")
)

// hpack reads the fields that a client has compressed (RFC 7541), and accepts what net/http's reader does. It keeps the
// client's table in step as long as it reads every block. The zero value stands before the first block; longest has to be
// set.
type hpack struct {
	longest int // of the strings of a field, in octets as they come; what they stand for is less than twice that
	table   table
	inside  bool   // a representation of the block was read
	text    []byte // the room for what is decoded; what was returned of it is valid until the next call
}

// next reads the representation that b begins with. It returns its length, 0 where b does not hold all of it; name is nil
// where it is none of a field.
func (h *hpack) next(b []byte) (n int, name, value []byte, err error) {
	first := b[0]
	switch {
	case first&indexedField != 0:
		index, n, err := readInteger(b, 7)
		if n == 0 || err != nil {
			return 0, nil, nil, err
		}
		h.inside = true
		if name, value = h.table.at(index); name == nil {
			return 0, nil, nil, errSection
		}
		return n, name, value, nil
	case first&keptLiteral != 0:
		n, name, value, err = h.literal(b, 6)
		if n > 0 && err == nil {
			h.table.add(name, value)
		}
		return n, name, value, err
	case first&resizedTable != 0:
		return h.resize(b)
	}
	return h.literal(b, 4)
}

// resize reads a change of the table's size (RFC 7541 §6.3).
func (h *hpack) resize(b []byte) (n int, name, value []byte, err error) {
	size, n, err := readInteger(b, 5)
	switch {
	case n == 0 || err != nil:
		return 0, nil, nil, err
	case size > tableSize, h.inside && h.table.size > 0:
		return 0, nil, nil, errSection
	}
	h.inside = true
	h.table.resize(int(size))
	return n, nil, nil, nil
}

// literal reads a field of which at least the value is written out (RFC 7541 §6.2). bits is the prefix of the name's index.
// Nothing is decoded before all of it is there, so that small pieces cost no more than large ones.
func (h *hpack) literal(b []byte, bits uint) (n int, name, value []byte, err error) {
	index, n, err := readInteger(b, bits)
	if n == 0 || err != nil {
		return 0, nil, nil, err
	}
	var coded [2][]byte // name and value, behind the integers that begin them
	var huffman [2]bool
	for i := range coded {
		if i == 0 && index > 0 {
			continue
		}
		text, k, err := h.str(b[n:], h.longest-len(coded[0]))
		if k == 0 || err != nil {
			return 0, nil, nil, err
		}
		coded[i], huffman[i] = text, b[n]&0x80 != 0
		n += k
	}
	if h.text = h.text[:0]; h.text == nil {
		h.text = make([]byte, 0, leastText) // an empty name is no nil
	}
	h.inside = true
	if index > 0 {
		if name, _ = h.table.at(index); name == nil {
			return 0, nil, nil, errSection
		}
		h.text = append(h.text, name...) // the table moves what it holds
	}
	end := len(h.text)
	for i := range coded {
		if !huffman[i] {
			h.text = append(h.text, coded[i]...)
		} else {
			text, ok := unhuffman(h.text, coded[i])
			if h.text = text; !ok {
				return 0, nil, nil, errSection
			}
		}
		if i == 0 {
			end = len(h.text)
		}
	}
	return n, h.text[:end:end], h.text[end:], nil
}

// str finds a string (RFC 7541 §5.2), of which coded is what is compressed, or not. It returns the string's length in b, 0 where b
// does not hold all of it. longest is how long it may be.
func (h *hpack) str(b []byte, longest int) (coded []byte, n int, err error) {
	if len(b) == 0 {
		return nil, 0, nil
	}
	length, n, err := readInteger(b, 7)
	switch {
	case n == 0 || err != nil:
		return nil, 0, err
	case length > uint64(max(longest, 0)):
		return nil, 0, errString
	case uint64(len(b)-n) < length: //nolint:gosec // G115: b holds the integer
		return nil, 0, nil
	}
	coded = b[n : n+int(length)] //nolint:gosec // G115: it is no larger than b
	return coded, n + len(coded), nil
}

// end says that the block is over.
func (h *hpack) end() {
	h.inside = false
	if cap(h.text) > maxKeptText {
		h.text = nil
	}
}

// maxKeptText is how much room stays with a connection for the text of its next fields.
const maxKeptText = 1 << 10

// leastText is the room that text and tables begin with.
const leastText = 256

// readInteger reads an integer with a prefix of so many bits (RFC 7541 §5.1). n is 0 where b does not hold all of it.
func readInteger(b []byte, bits uint) (i uint64, n int, err error) {
	most := uint64(1)<<bits - 1
	if i = uint64(b[0]) & most; i < most {
		return i, 1, nil
	}
	for shift := uint(0); ; shift += 7 {
		n++
		switch {
		case n == len(b):
			if shift >= 63 {
				return 0, 0, errSection
			}
			return 0, 0, nil
		case shift >= 63:
			return 0, 0, errSection
		}
		i += uint64(b[n]&0x7f) << shift
		if b[n]&0x80 == 0 {
			return i, n + 1, nil
		}
	}
}

// appendLiteral appends a field that no table keeps, written out as it is.
func appendLiteral(b, name, value []byte) []byte {
	b = append(b, plainLiteral)
	b = append(appendLength(b, len(name)), name...)
	return append(appendLength(b, len(value)), value...)
}

// appendLength appends the length of a string that is not compressed.
func appendLength(b []byte, n int) []byte {
	const most = 0x7f
	if n < most {
		return append(b, byte(n)) //nolint:gosec // G115: it is below most
	}
	b = append(b, most)
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// table is the static table and the client's dynamic one behind it (RFC 7541 §2.3). The zero value has no dynamic entries
// and the size that both sides begin with.
type table struct {
	octets []byte  // names and values of the entries, the oldest first
	fields []entry // the oldest first, from first on
	first  int
	size   int // as RFC 7541 §4.1 counts
	less   int // by how much it may hold less than tableSize
}

// entry is where in the octets a field is.
type entry struct{ name, value, end int32 }

func (e entry) size() int { return int(e.end-e.name) + fieldOverhead }

// at returns what an index stands for; name is nil for nothing. It is valid until the next change.
func (t *table) at(index uint64) (name, value []byte) {
	if index == 0 {
		return nil, nil
	}
	if index <= uint64(len(staticTable)) {
		f := &staticTable[index-1]
		return f.name, f.value
	}
	behind := index - uint64(len(staticTable))
	if behind > uint64(len(t.fields)-t.first) { //nolint:gosec // G115: first is no larger
		return nil, nil
	}
	e := t.fields[len(t.fields)-int(behind)] //nolint:gosec // G115: it is no larger than the number of entries
	return t.octets[e.name:e.value:e.value], t.octets[e.value:e.end:e.end]
}

// add puts a field in front of the others; what has no room goes, the field itself where it is larger than the table. name and
// value are not the table's own.
func (t *table) add(name, value []byte) {
	length := len(name) + len(value)
	t.shrink(tableSize - t.less - length - fieldOverhead)
	if length+fieldOverhead > tableSize-t.less {
		return
	}
	if t.octets == nil {
		t.octets = make([]byte, 0, leastText) // as with hpack.text
	}
	if len(t.octets)+length > cap(t.octets) || len(t.fields) == cap(t.fields) {
		t.tidy()
	}
	at := int32(len(t.octets)) //nolint:gosec // G115: a table holds little
	t.octets = append(append(t.octets, name...), value...)
	e := entry{name: at, value: at + int32(len(name)), end: at + int32(length)} //nolint:gosec // G115: as above
	t.fields = append(t.fields, e)
	t.size += e.size()
}

// resize says how much the table may hold.
func (t *table) resize(size int) {
	t.less = tableSize - size
	t.shrink(size)
}

// shrink drops the oldest entries until the others are no larger than that.
func (t *table) shrink(most int) {
	for t.size > 0 && t.size > most {
		t.size -= t.fields[t.first].size()
		t.first++
	}
	if t.first == len(t.fields) {
		t.octets, t.fields, t.first = t.octets[:0], t.fields[:0], 0
	}
}

// tidy takes back the room of entries that were dropped.
func (t *table) tidy() {
	if t.first == 0 {
		return
	}
	gone := t.fields[t.first].name
	t.octets = t.octets[:copy(t.octets, t.octets[gone:])]
	t.fields = t.fields[:copy(t.fields, t.fields[t.first:])]
	t.first = 0
	for i := range t.fields {
		e := &t.fields[i]
		e.name, e.value, e.end = e.name-gone, e.value-gone, e.end-gone
	}
}
