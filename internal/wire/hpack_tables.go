package wire

// staticTable are the fields that every client may mean by a number (RFC 7541, appendix A), from 1 on.
var staticTable = func() (t [61]struct{ name, value []byte }) {
	for i, f := range [len(t)][2]string{
		{":authority", ""},
		{":method", "GET"},
		{":method", "POST"},
		{":path", "/"},
		{":path", "/index.html"},
		{":scheme", "http"},
		{":scheme", "https"},
		{":status", "200"},
		{":status", "204"},
		{":status", "206"},
		{":status", "304"},
		{":status", "400"},
		{":status", "404"},
		{":status", "500"},
		{"accept-charset", ""},
		{"accept-encoding", "gzip, deflate"},
		{"accept-language", ""},
		{"accept-ranges", ""},
		{"accept", ""},
		{"access-control-allow-origin", ""},
		{"age", ""},
		{"allow", ""},
		{"authorization", ""},
		{"cache-control", ""},
		{"content-disposition", ""},
		{"content-encoding", ""},
		{"content-language", ""},
		{"content-length", ""},
		{"content-location", ""},
		{"content-range", ""},
		{"content-type", ""},
		{"cookie", ""},
		{"date", ""},
		{"etag", ""},
		{"expect", ""},
		{"expires", ""},
		{"from", ""},
		{"host", ""},
		{"if-match", ""},
		{"if-modified-since", ""},
		{"if-none-match", ""},
		{"if-range", ""},
		{"if-unmodified-since", ""},
		{"last-modified", ""},
		{"link", ""},
		{"location", ""},
		{"max-forwards", ""},
		{"proxy-authenticate", ""},
		{"proxy-authorization", ""},
		{"range", ""},
		{"referer", ""},
		{"refresh", ""},
		{"retry-after", ""},
		{"server", ""},
		{"set-cookie", ""},
		{"strict-transport-security", ""},
		{"transfer-encoding", ""},
		{"user-agent", ""},
		{"vary", ""},
		{"via", ""},
		{"www-authenticate", ""},
	} {
		t[i].name, t[i].value = []byte(f[0]), []byte(f[1])
	}
	return t
}()

// huffmanLengths are how many bits stand for each octet (RFC 7541, appendix B). The code is canonical, so they are all of it:
// shorter codes come before longer ones, and those of one length in the order of their octets.
var huffmanLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	shortCode   = 10 // bits, of what is looked up at once
	longestCode = 30
)

// huffman is what decoding needs, made of the lengths.
var huffman = func() (h struct {
	short  [1 << shortCode]struct{ octet, length uint8 } // by the first bits; a length of 0 where the code is longer
	octets [256]uint8                                    // in the order of their codes
	codes  [longestCode + 1]struct {                     // by length
		first uint32 // the first code
		count uint32
		at    uint32 // of the first code's octet among octets
	}
},
) {
	code, at := uint32(0), uint32(0)
	for length := uint8(1); length <= longestCode; length++ {
		code <<= 1
		c := &h.codes[length]
		c.first, c.at = code, at
		for octet, l := range huffmanLengths {
			if l != length {
				continue
			}
			h.octets[at] = uint8(octet)
			if length <= shortCode {
				for rest := range uint32(1) << (shortCode - length) {
					s := &h.short[code<<(shortCode-length)|rest]
					s.octet, s.length = uint8(octet), length
				}
			}
			code, at, c.count = code+1, at+1, c.count+1
		}
	}
	return h
}()

// unhuffman appends what a string stands for (RFC 7541 §5.2). It is not ok where the code ends inside of a symbol, in other
// padding than up to seven bits of the end-of-string symbol, or has that symbol.
func unhuffman(text, b []byte) (_ []byte, ok bool) {
	var bits uint64 // the lowest have of them are yet to be read
	have := uint(0)
	for {
		for have <= 56 && len(b) > 0 {
			bits = bits<<8 | uint64(b[0])
			b = b[1:]
			have += 8
		}
		if have >= shortCode {
			if s := h10(bits, have); s.length > 0 {
				text = append(text, s.octet)
				have -= uint(s.length)
				continue
			}
		}
		octet, length := longCode(bits, have)
		if length == 0 {
			return text, have < 8 && bits&(1<<have-1) == 1<<have-1
		}
		text = append(text, octet)
		have -= length
	}
}

// h10 looks up what the next bits begin with.
func h10(bits uint64, have uint) struct{ octet, length uint8 } {
	return huffman.short[bits>>(have-shortCode)&(1<<shortCode-1)]
}

// longCode reads the code that the next bits begin with, of any length. The length is 0 where there is none.
func longCode(bits uint64, have uint) (octet uint8, length uint) {
	for length = 1; length <= min(have, longestCode); length++ {
		code := uint32(bits >> (have - length) & (1<<length - 1)) //nolint:gosec // G115: of 30 bits at most
		if c := &huffman.codes[length]; code >= c.first && code-c.first < c.count {
			return huffman.octets[c.at+code-c.first], length
		}
	}
	return 0, 0
}
