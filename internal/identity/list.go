package identity

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

const (
	maxListLine  = 4 << 10 // bytes, with its comment
	mostBadLines = 10      // that an error names
)

// SHA256List is a long list of thumbprints, with the line of a file that each one stands in. It takes 37 bytes an entry, and
// a look-up a few steps whatever its length. It is immutable and safe for concurrent use; a nil list and the zero list are
// empty.
type SHA256List struct {
	entries []listed // in the order of their sums, each once
	// starts says, by the first bits of a sum, where its entries begin, and at last where the last ones end. Should somebody
	// have chosen sums that share these bits, each step leaves out half of them all the same.
	starts []uint32
	shift  int // how many of the first 32 bits do not count
}

type listed struct {
	sum  SHA256
	line uint32
}

// BadLine is a line of a list that is no thumbprint.
type BadLine struct {
	Line int // from 1
	Err  error
}

// ListError is what is wrong with a list: its first ten bad lines, and how many there are.
type ListError struct {
	Bad   []BadLine
	Total int
}

// Error names the first bad line.
func (e *ListError) Error() string {
	if len(e.Bad) == 0 {
		return "no bad line"
	}
	return fmt.Sprintf("line %d: %v", e.Bad[0].Line, e.Bad[0].Err)
}

// ReadSHA256List reads thumbprints, one a line, each as ParseSHA256 takes it. Empty lines, and what follows a "#", count for
// nothing; of thumbprints that are there twice the first line counts. The capacity is how many there may be, to take that
// memory at once; lines are counted in 32 bits, which bounds on a file have to see to. The error is the reader's, or a
// *ListError; a list without a thumbprint is empty and no error.
func ReadSHA256List(r io.Reader, capacity int) (*SHA256List, error) {
	entries := make([]listed, 0, max(capacity, 0))
	bad := &ListError{}
	lines := bufio.NewReaderSize(r, 64<<10)
	for number, end := 1, false; !end; number++ {
		line, err := readLine(lines)
		end = errors.Is(err, io.EOF)
		if err != nil && !end && !errors.Is(err, errLongLine) {
			return nil, err
		}
		if err == nil || end {
			var sum SHA256
			var found bool
			if sum, found, err = parseListLine(line, number == 1); found {
				entries = append(entries, listed{sum, uint32(number)})
			}
		}
		if err != nil {
			if bad.Total++; len(bad.Bad) < mostBadLines {
				bad.Bad = append(bad.Bad, BadLine{number, err})
			}
		}
	}
	if bad.Total > 0 {
		return nil, bad
	}
	return newSHA256List(entries), nil
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxListLine)

// readLine returns a line without its end; the last one may have none, and comes with io.EOF. Of a line that is too long it
// returns errLongLine.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if len(line) <= maxListLine {
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errLongLine // the end of the file, if it was that, comes again
}

// parseListLine returns the thumbprint of a line, if it has one.
func parseListLine(line []byte, first bool) (sum SHA256, found bool, err error) {
	if first {
		if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
			return sum, false, errors.New("the file is UTF-16: write it as UTF-8")
		}
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if i := bytes.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	if decodeHexLine(&sum, line) {
		return sum, true, nil
	}
	text, err := compact(string(line))
	if err != nil || text == "" {
		return SHA256{}, false, err
	}
	sum, err = ParseSHA256(text)
	return sum, err == nil, err
}

// decodeHexLine reads what nearly every line is: 64 hex digits with blanks and colons. It does not allocate, and takes
// nothing that ParseSHA256 does not.
func decodeHexLine(sum *SHA256, line []byte) bool {
	var digits [2 * len(sum)]byte
	n := 0
	for _, c := range line {
		switch {
		case isHexDigit(rune(c)) && n < len(digits):
			digits[n] = c
			n++
		case c == ':', c == ' ', c == '\t', c == '\r':
		default:
			return false
		}
	}
	if n < len(digits) {
		return false
	}
	_, err := hex.Decode(sum[:], digits[:])
	return err == nil
}

// newSHA256List takes over the entries, which are in the order of their lines.
func newSHA256List(entries []listed) *SHA256List {
	slices.SortFunc(entries, func(a, b listed) int {
		return cmp.Or(cmp.Compare(head(&a.sum), head(&b.sum)), bytes.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.line, b.line))
	})
	entries = slices.CompactFunc(entries, func(a, b listed) bool { return a.sum == b.sum })
	if cap(entries)-len(entries) > len(entries)/8 { // comments and repetitions, or a guess that was wrong
		entries = append(make([]listed, 0, len(entries)), entries...)
	}
	l := &SHA256List{entries: entries}
	prefixes := max(bits.Len(uint(len(entries)))-3, 0) // bits, for four to eight entries each
	l.shift = 32 - prefixes
	l.starts = make([]uint32, 1<<prefixes+1)
	for i := range entries {
		l.starts[l.prefix(&entries[i].sum)+1] = uint32(i + 1)
	}
	for i := range l.starts[1:] {
		l.starts[i+1] = max(l.starts[i+1], l.starts[i])
	}
	return l
}

// head is the beginning of a sum as a number: it orders nearly all of them.
func head(sum *SHA256) uint64 { return binary.BigEndian.Uint64(sum[:8]) }

func (l *SHA256List) prefix(sum *SHA256) uint64 {
	return uint64(binary.BigEndian.Uint32(sum[:4])) >> l.shift
}

// Len returns how many thumbprints the list has.
func (l *SHA256List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.entries)
}

// Line returns the line, from 1, in which a thumbprint stands; false when it is not on the list.
func (l *SHA256List) Line(sum SHA256) (line int, ok bool) {
	if l == nil || len(l.entries) == 0 {
		return 0, false
	}
	prefix := l.prefix(&sum)
	some := l.entries[l.starts[prefix]:l.starts[prefix+1]]
	low, high, want := 0, len(some), head(&sum)
	for low < high {
		middle := int(uint(low+high) / 2)
		if e := &some[middle]; head(&e.sum) < want || head(&e.sum) == want && bytes.Compare(e.sum[:], sum[:]) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(some) || some[low].sum != sum {
		return 0, false
	}
	return int(some[low].line), true
}
