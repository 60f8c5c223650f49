package pressure_test

import "strings"

// vector is one request as an attacker would write it, and what must become of it. In raw, {} stands for a path of the
// vector's own, and line ends are readable: a new line is CRLF, ␊ is LF alone, ␍ is CR alone, ␀ is NUL, ␋ is VT.
type vector struct {
	name string
	raw  string

	// answer is the first answer: the status with the reason of a refusal, or "200" for that of the backend.
	answer string
	// body is what the backend gets as the body, of a request that reaches it.
	body string
	// method is what the backend gets, GET or POST as raw begins where it is empty.
	method string
	// path is what the backend gets where it is not the vector's own.
	path string
	// open says that the connection stays open after a refusal, because its end was never in doubt.
	open bool
	// closes says that the connection ends after an answer of the backend.
	closes bool
	// begun says that the backend may have got the beginning of the request, because the fault was behind it.
	begun bool
	// waits says that the gateway only knows when more comes.
	waits bool
	// next is the answer to the marked request that follows, where it is not its own.
	next string
}

const (
	malformed   = "400 request_malformed"
	unsupported = "501 request_malformed"
	passes      = "200"
)

// bytes writes the readable form as it goes over the wire.
func (v *vector) bytes(path string) string {
	return strings.NewReplacer("{}", path, "\n", "\r\n", "␊", "\n", "␍", "\r", "␀", "\x00", "␋", "\v").Replace(v.raw)
}

// post is the beginning of most requests.
const post, get = "POST {} HTTP/1.1\nHost: api.test\n", "GET {} HTTP/1.1\nHost: api.test\n"

// lengthVectors are about how long a body is (RFC 9112, section 6.3).
var lengthVectors = []vector{
	{name: "a length and a coding", raw: post + "Content-Length: 6\nTransfer-Encoding: chunked\n\n0\n\nG", answer: malformed},
	{name: "a coding and a length", raw: post + "Transfer-Encoding: chunked\nContent-Length: 4\n\n5c\nGPOST / HTTP/1.1\nContent-Length: 15\n\nx=1\n0\n\n", answer: malformed},
	{name: "a length of zero and a coding", raw: post + "Content-Length: 0\nTransfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding and an empty length", raw: post + "Transfer-Encoding: chunked\nContent-Length:\n\n0\n\n", answer: malformed},
	{name: "two lengths that differ", raw: post + "Content-Length: 5\nContent-Length: 0\n\nhello", answer: malformed},
	{name: "two lengths that are equal", raw: post + "Content-Length: 5\nContent-Length: 5\n\nhello", answer: malformed},
	{name: "two lengths in one field", raw: post + "Content-Length: 5, 5\n\nhello", answer: malformed},
	{name: "two lengths in one field that differ", raw: post + "Content-Length: 0, 5\n\nhello", answer: malformed},
	{name: "an empty length", raw: post + "Content-Length:\n\n", answer: malformed},
	{name: "a length with a plus", raw: post + "Content-Length: +5\n\nhello", answer: malformed},
	{name: "a negative length", raw: post + "Content-Length: -1\n\n", answer: malformed},
	{name: "a negative length of zero", raw: post + "Content-Length: -0\n\n", answer: malformed},
	{name: "a hexadecimal length", raw: post + "Content-Length: 0x5\n\nhello", answer: malformed},
	{name: "a length with a blank inside", raw: post + "Content-Length: 1 5\n\nhello", answer: malformed},
	{name: "a length with an exponent", raw: post + "Content-Length: 5e0\n\nhello", answer: malformed},
	{name: "a length with a fraction", raw: post + "Content-Length: 5.0\n\nhello", answer: malformed},
	{name: "a length with an underscore", raw: post + "Content-Length: 0_5\n\nhello", answer: malformed},
	{name: "a quoted length", raw: post + "Content-Length: \"5\"\n\nhello", answer: malformed},
	{name: "a length in other digits", raw: post + "Content-Length: ٥\n\nhello", answer: malformed},
	{name: "a length beyond 64 bits", raw: post + "Content-Length: 18446744073709551621\n\nhello", answer: malformed},
	{name: "a length with a semicolon", raw: post + "Content-Length: 5;\n\nhello", answer: malformed},
	{name: "a length with a vertical tab", raw: post + "Content-Length: ␋5\n\nhello", answer: malformed},
	{name: "a length with a NUL", raw: post + "Content-Length: 5␀\n\nhello", answer: malformed},
	{name: "a length whose name has a blank behind it", raw: post + "Content-Length : 5\n\nhello", answer: malformed},
	{name: "a length whose name has a tab behind it", raw: post + "Content-Length\t: 5\n\nhello", answer: malformed},
	{name: "a length whose name has a blank before it", raw: "POST {} HTTP/1.1\n Content-Length: 5\nHost: api.test\n\nhello", answer: malformed},
	{name: "a length and a look-alike", raw: post + "Content-Length: 5\nContent_Length: 0\n\nhello", answer: passes, body: "hello"},
	{name: "a look-alike of a length alone", raw: post + "Content_Length: 5\n\n", answer: passes},
	{name: "a length with zeros before it", raw: post + "Content-Length: 0005\n\nhello", answer: passes, body: "hello"},
	{name: "a length with blanks around it", raw: post + "Content-Length: \t 5 \t\n\nhello", answer: passes, body: "hello"},
	{name: "no length", raw: post + "\n", answer: passes},
	{name: "a GET with a body", raw: get + "Content-Length: 5\n\nhello", answer: passes, body: "hello"},
	{name: "a body that looks like a request", raw: get + "Content-Length: 37\n\nGET /m/0 HTTP/1.1\nHost: api.test\n\n", answer: passes, body: "GET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"},
	{name: "a byte behind a body", raw: post + "Content-Length: 5\n\nhello␀", answer: passes, body: "hello", next: malformed},
	{name: "a blank behind a body", raw: post + "Content-Length: 5\n\nhello ", answer: passes, body: "hello", next: malformed},
	{name: "an LF behind a body", raw: post + "Content-Length: 5\n\nhello␊", answer: passes, body: "hello", next: malformed},
	{name: "two empty lines behind a body", raw: post + "Content-Length: 5\n\nhello\n\n", answer: passes, body: "hello", next: malformed},
	{name: "an empty line behind a body", raw: post + "Content-Length: 5\n\nhello\n", answer: passes, body: "hello"},
	{name: "bytes behind a request without a body", raw: get + "\n␀␀", answer: passes, next: malformed},
}

// codingVectors are about Transfer-Encoding (RFC 9112, section 6.1).
var codingVectors = []vector{
	{name: "an unknown coding", raw: post + "Transfer-Encoding: xchunked\n\n0\n\n", answer: unsupported},
	{name: "an unknown coding that begins like chunked", raw: post + "Transfer-Encoding: chunke\n\n0\n\n", answer: unsupported},
	{name: "identity", raw: post + "Transfer-Encoding: identity\n\n", answer: unsupported},
	{name: "chunked before identity", raw: post + "Transfer-Encoding: chunked, identity\n\n0\n\n", answer: unsupported},
	{name: "identity before chunked", raw: post + "Transfer-Encoding: identity, chunked\n\n0\n\n", answer: unsupported},
	{name: "gzip before chunked", raw: post + "Transfer-Encoding: gzip, chunked\n\n0\n\n", answer: unsupported},
	{name: "chunked twice", raw: post + "Transfer-Encoding: chunked, chunked\n\n0\n\n", answer: malformed},
	{name: "chunked in two fields", raw: post + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "chunked and identity in two fields", raw: post + "Transfer-Encoding: chunked\nTransfer-encoding: identity\n\n0\n\n", answer: malformed},
	{name: "an empty coding", raw: post + "Transfer-Encoding:\n\n", answer: malformed},
	{name: "an empty element before chunked", raw: post + "Transfer-Encoding: ,chunked\n\n0\n\n", answer: malformed},
	{name: "an empty element behind chunked", raw: post + "Transfer-Encoding: chunked,\n\n0\n\n", answer: malformed},
	{name: "a quoted coding", raw: post + "Transfer-Encoding: \"chunked\"\n\n0\n\n", answer: malformed},
	{name: "a coding in single quotes", raw: post + "Transfer-Encoding: 'chunked'\n\n0\n\n", answer: unsupported},
	{name: "a coding with a parameter", raw: post + "Transfer-Encoding: chunked;q=1\n\n0\n\n", answer: malformed},
	{name: "a coding behind a vertical tab", raw: post + "Transfer-Encoding: ␋chunked\n\n0\n\n", answer: malformed},
	{name: "a coding before a vertical tab", raw: post + "Transfer-Encoding: chunked␋\n\n0\n\n", answer: malformed},
	{name: "a coding behind a NUL", raw: post + "Transfer-Encoding: ␀chunked\n\n0\n\n", answer: malformed},
	{name: "a coding behind a byte beyond ASCII", raw: post + "Transfer-Encoding: \u00a0chunked\n\n0\n\n", answer: malformed},
	{name: "a coding in a folded line", raw: post + "Transfer-Encoding:\n chunked\n\n0\n\n", answer: malformed},
	{name: "a coding in a line folded by a tab", raw: post + "Transfer-Encoding:\n\tchunked\n\n0\n\n", answer: malformed},
	{name: "a coding whose name has a blank behind it", raw: post + "Transfer-Encoding : chunked\n\n0\n\n", answer: malformed},
	{name: "a coding whose name has a blank before it", raw: post + " Transfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding whose name has a NUL", raw: post + "Transfer␀-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding whose name has a byte beyond ASCII", raw: post + "Transfer-Encodin\u0261: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding whose name ends in a line of its own", raw: post + "Transfer-Encoding\n: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding behind a bare LF", raw: post + "X: y␊Transfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding behind a bare CR", raw: post + "X: y␍Transfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding before a bare CR", raw: post + "Transfer-Encoding: chunked␍X: y\n\n0\n\n", answer: malformed},
	{name: "a coding with HTTP/1.0", raw: "POST {} HTTP/1.0\nHost: api.test\nTransfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a coding that Connection lists", raw: post + "Connection: Transfer-Encoding\nTransfer-Encoding: chunked\n\n0\n\n", answer: malformed},
	{name: "a length that Connection lists", raw: post + "Connection: close, content-length\nContent-Length: 5\n\nhello", answer: malformed},
	{name: "a host that Connection lists", raw: post + "Connection: Host\n\n", answer: malformed},
	{name: "a coding in capitals", raw: post + "Transfer-Encoding: CHUNKED\n\n0\n\n", answer: passes},
	{name: "a coding with blanks around it", raw: post + "Transfer-Encoding: \t chunked \t\n\n1\nx\n0\n\n", answer: passes, body: "x"},
	{name: "a look-alike of a coding", raw: post + "Transfer_Encoding: chunked\nContent-Length: 5\n\nhello", answer: passes, body: "hello"},
	{name: "a look-alike of a coding with a dot", raw: post + "Transfer.Encoding: chunked\nContent-Length: 5\n\nhello", answer: passes, body: "hello"},
	{name: "a coding and a look-alike of a length", raw: post + "Transfer-Encoding: chunked\nContent_Length: 5\n\n5\nhello\n0\n\n", answer: passes, body: "hello"},
	{name: "look-alikes of other fields", raw: post + "X_Forwarded_For: 10.0.0.1\nClient_Cert: :AA==:\nX-Forwarded-For: 10.0.0.1\nContent-Length: 2\n\nhi", answer: passes, body: "hi"},
	{name: "TE is no coding", raw: post + "TE: chunked\nContent-Length: 5\n\nhello", answer: passes, body: "hello"},
}

// chunkVectors are about chunked bodies (RFC 9112, section 7.1). The head was in order and has passed.
var chunkVectors = []vector{
	{name: "a hexadecimal mark before a size", raw: chunked + "0x5\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a plus before a size", raw: chunked + "+5\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a minus before a size", raw: chunked + "-5\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a blank before a size", raw: chunked + " 5\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a blank behind a size", raw: chunked + "5 \nhello\n0\n\n", answer: malformed, begun: true},
	{name: "an underscore in a size", raw: chunked + "0_5\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "no size", raw: chunked + "\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a size that is no number", raw: chunked + "g\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a size beyond 64 bits", raw: chunked + "10000000000000005\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a size beyond 32 bits", raw: chunked + "100000000000000000000005\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a size line that ends in LF", raw: chunked + "5␊hello\n0\n\n", answer: malformed, begun: true},
	{name: "a size line that ends in CR", raw: chunked + "5␍hello\n0\n\n", answer: malformed, begun: true},
	{name: "data that ends in LF", raw: chunked + "5\nhello␊0\n\n", answer: malformed, begun: true},
	{name: "data that ends in CR and something", raw: chunked + "5\nhello␍X0\n\n", answer: malformed, begun: true},
	{name: "data without an end", raw: chunked + "5\nhello0\n\n", answer: malformed, begun: true},
	{name: "data that is longer than its size", raw: chunked + "4\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "an extension with an LF", raw: chunked + "5;a␊b\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "an extension with a CR", raw: chunked + "5;a␍b\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "an extension whose quotes hold a line end", raw: chunked + "5;a=\"\nhello\n0\n\nGET /m/0 HTTP/1.1\n\"\n", answer: passes, body: "hello", next: malformed},
	{name: "an extension behind a blank", raw: chunked + "5 ;a\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "an extension that is too long", raw: chunked + "5;" + strings.Repeat("a", 300) + "\nhello\n0\n\n", answer: malformed, begun: true},
	{name: "a last chunk that ends in LF", raw: chunked + "5\nhello\n0␊␊", answer: malformed, begun: true},
	{name: "no empty line behind the last chunk", raw: chunked + "5\nhello\n0\n", answer: malformed, begun: true, waits: true},
	{name: "an LF as the empty line", raw: chunked + "5\nhello\n0\n␊", answer: malformed, begun: true},
	{name: "a length as a trailer", raw: chunked + "5\nhello\n0\nContent-Length: 5\n\n", answer: malformed, begun: true},
	{name: "a coding as a trailer", raw: chunked + "5\nhello\n0\nTransfer-Encoding: chunked\n\n", answer: malformed, begun: true},
	{name: "a host as a trailer", raw: chunked + "5\nhello\n0\nHost: evil.test\n\n", answer: malformed, begun: true},
	{name: "a credential as a trailer", raw: chunked + "5\nhello\n0\nAuthorization: Basic eDp5\n\n", answer: malformed, begun: true},
	{name: "a trailer that is no field", raw: chunked + "5\nhello\n0\nno colon\n\n", answer: malformed, begun: true},
	{name: "a folded trailer", raw: chunked + "5\nhello\n0\nA: b\n c\n\n", answer: malformed, begun: true},
	{name: "a trailer that ends in LF", raw: chunked + "5\nhello\n0\nA: b␊\n", answer: malformed, begun: true},
	{name: "a trailer whose name has a blank behind it", raw: chunked + "5\nhello\n0\nA : b\n\n", answer: malformed, begun: true},
	{name: "a trailer with a NUL", raw: chunked + "5\nhello\n0\nA: ␀\n\n", answer: malformed, begun: true},
	{name: "trailers without end", raw: chunked + "5\nhello\n0\n" + strings.Repeat("A: b\n", 2000) + "\n", answer: "431 request_too_large", begun: true},
	{name: "an announced length as a trailer", raw: post + "Trailer: Content-Length\nTransfer-Encoding: chunked\n\n0\nContent-Length: 5\n\n", answer: malformed},
	{name: "an announced look-alike as a trailer", raw: post + "Trailer: Content_Length\nTransfer-Encoding: chunked\n\n5\nhello\n0\nContent_Length: 5\n\n", answer: passes, body: "hello"},
	{name: "a look-alike as a trailer", raw: chunked + "5\nhello\n0\nTransfer_Encoding: chunked\n\n", answer: passes, body: "hello"},
	{name: "an identity as a trailer", raw: post + "Trailer: Client-Cert\nTransfer-Encoding: chunked\n\n5\nhello\n0\nClient-Cert: :AA==:\n\n", answer: passes, body: "hello"},
	{name: "an extension", raw: chunked + "5;a=b;c\nhello\n0;d\n\n", answer: passes, body: "hello"},
	{name: "a size with zeros before it", raw: chunked + "00005\nhello\n000\n\n", answer: passes, body: "hello"},
	{name: "a size in capitals", raw: chunked + "A\nhellohello\n0\n\n", answer: passes, body: "hellohello"},
	{name: "a request inside a chunk", raw: chunked + "25\nGET /m/0 HTTP/1.1\nHost: api.test\n\n\n0\n\n", answer: passes, body: "GET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"},
	{name: "a request that begins inside a chunk", raw: chunked + "21\nGET /m/0 HTTP/1.1\nHost: api.test\n\n0\n\n", answer: malformed, begun: true},
	{name: "a byte behind the last chunk", raw: chunked + "5\nhello\n0\n\n␀", answer: passes, body: "hello", next: malformed},
}

const chunked = post + "Transfer-Encoding: chunked\n\n"

// lineVectors are about lines and fields (RFC 9112, sections 2 to 5).
var lineVectors = []vector{
	{name: "an LF behind the request line", raw: "GET {} HTTP/1.1␊Host: api.test\n\n", answer: malformed},
	{name: "an LF behind a field", raw: "GET {} HTTP/1.1\nHost: api.test␊\n", answer: malformed},
	{name: "an LF as the empty line", raw: get + "␊", answer: malformed},
	{name: "LFs alone", raw: "GET {} HTTP/1.1␊Host: api.test␊␊", answer: malformed},
	{name: "a CR before the empty line", raw: get + "␍\n", answer: malformed},
	{name: "a CR in a value", raw: get + "A: b␍c\n\n", answer: malformed},
	{name: "a NUL in a value", raw: get + "A: b␀c\n\n", answer: malformed},
	{name: "a control in a value", raw: get + "A: b\x01c\n\n", answer: malformed},
	{name: "DEL in a value", raw: get + "A: b\x7fc\n\n", answer: malformed},
	{name: "a folded line", raw: get + "A: b\n c\n\n", answer: malformed},
	{name: "a folded host", raw: "GET {} HTTP/1.1\nHost:\n api.test\n\n", answer: malformed},
	{name: "a line without a colon", raw: get + "no colon\n\n", answer: malformed},
	{name: "a field without a name", raw: get + ": b\n\n", answer: malformed},
	{name: "a blank before the first field", raw: "GET {} HTTP/1.1\n Host: api.test\n\n", answer: malformed},
	{name: "a byte beyond ASCII in a name", raw: get + "A\u00e9: b\n\n", answer: malformed},
	{name: "a slash in a name", raw: get + "A/B: c\n\n", answer: malformed},
	{name: "an LF before the request line", raw: "␊" + get + "\n", answer: malformed},
	{name: "a CR before the request line", raw: "␍" + get + "\n", answer: malformed},
	{name: "a blank before the request line", raw: " " + get + "\n", answer: malformed},
	{name: "two empty lines before the request line", raw: "\n\n" + get + "\n", answer: malformed},
	{name: "an empty line before the request line", raw: "\n" + get + "\n", answer: passes},
	{name: "two blanks in the request line", raw: "GET  {} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "two blanks before the version", raw: "GET {}  HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a tab in the request line", raw: "GET\t{} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a blank behind the version", raw: "GET {} HTTP/1.1 \nHost: api.test\n\n", answer: malformed},
	{name: "a blank in the target", raw: "GET {}?a b HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a second version in the target", raw: "GET {} HTTP/1.1 HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a control in the target", raw: "GET {}\x01 HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a NUL in the target", raw: "GET {}␀ HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a byte beyond ASCII in the target", raw: "GET {}\u00e9 HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a fragment in the target", raw: "GET {}#a HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "no version", raw: "GET {}\nHost: api.test\n\n", answer: malformed},
	{name: "no version and nothing else", raw: "GET {}\n", answer: malformed},
	{name: "a version in small letters", raw: "GET {} http/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a version that goes on", raw: "GET {} HTTP/1.10\nHost: api.test\n\n", answer: malformed},
	{name: "HTTP/1.2", raw: "GET {} HTTP/1.2\nHost: api.test\n\n", answer: "505 request_malformed"},
	{name: "HTTP/3.0", raw: "GET {} HTTP/3.0\nHost: api.test\n\n", answer: "505 request_malformed"},
	{name: "HTTP/0.9", raw: "GET {} HTTP/0.9\nHost: api.test\n\n", answer: "505 request_malformed"},
	{name: "no method", raw: " {} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a method with a byte that no token has", raw: "GE(T {} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a method that is long", raw: strings.Repeat("A", 65) + " {} HTTP/1.1\nHost: api.test\n\n", answer: malformed, open: true},
	{name: "CONNECT", raw: "CONNECT api.test:443 HTTP/1.1\nHost: api.test:443\n\n", answer: malformed},
	{name: "an asterisk", raw: "GET * HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "OPTIONS and an asterisk", raw: "OPTIONS * HTTP/1.1\nHost: api.test\n\n", answer: malformed, open: true},
	{name: "an expectation that is unknown", raw: post + "Expect: 200-ok\nContent-Length: 5\n\nhello", answer: "417 request_malformed"},
	{name: "an expectation that is there twice", raw: post + "Expect: 100-continue\nExpect: 100-continue\nContent-Length: 5\n\nhello", answer: "417 request_malformed"},
	{name: "an expectation", raw: post + "Expect: 100-continue\nContent-Length: 5\n\nhello", answer: passes, body: "hello"},
	{name: "a target that is too long", raw: "GET {}" + strings.Repeat("a", 5000) + " HTTP/1.1\nHost: api.test\n\n", answer: "414 request_too_large"},
	{name: "a field that is too long", raw: get + "A: " + strings.Repeat("a", 9000) + "\n\n", answer: "431 request_too_large"},
	{name: "too many fields", raw: get + strings.Repeat("A: b\n", 200) + "\n", answer: "431 request_too_large"},
	{name: "a TLS hello", raw: "\x16\x03\x01\x00\xa5\x01\n\n", answer: malformed},
	{name: "the preface of HTTP/2 behind a request", raw: get + "\nPRI * HTTP/2.0\n\nSM\n\n", answer: passes, next: "505 request_malformed"},
	{name: "HTTP/1.0", raw: "GET {} HTTP/1.0\nHost: api.test\n\n", answer: passes, closes: true},
	{name: "HTTP/1.0 that stays", raw: "GET {} HTTP/1.0\nHost: api.test\nConnection: keep-alive\n\n", answer: passes},
	{name: "a request that closes", raw: get + "Connection: close\n\n", answer: passes, closes: true},
	{name: "a wish for HTTP/2", raw: get + "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\n\n", answer: passes, closes: true},
	{name: "a wish for a WebSocket that is not granted", raw: get + "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n", answer: passes, closes: true},
	{name: "a Connection that lists what says who is calling", raw: get + "Connection: keep-alive, X-Forwarded-For, X-Request-ID\n\n", answer: passes},
}

// hostVectors are about whom a request is for (RFC 9112, section 3.2).
var hostVectors = []vector{
	{name: "no host", raw: "GET {} HTTP/1.1\n\n", answer: malformed},
	{name: "two hosts", raw: get + "Host: evil.test\n\n", answer: malformed},
	{name: "a host twice", raw: get + "Host: api.test\n\n", answer: malformed},
	{name: "a host twice, once in capitals", raw: get + "HOST: api.test\n\n", answer: malformed},
	{name: "two hosts with HTTP/1.0", raw: "GET {} HTTP/1.0\nHost: api.test\nHost: evil.test\n\n", answer: malformed},
	{name: "a host with a blank", raw: "GET {} HTTP/1.1\nHost: api.test evil.test\n\n", answer: malformed},
	{name: "a host with a comma", raw: "GET {} HTTP/1.1\nHost: api.test, evil.test\n\n", answer: malformed},
	{name: "a host with a tab", raw: "GET {} HTTP/1.1\nHost: api\ttest\n\n", answer: malformed},
	{name: "a host with a slash", raw: "GET {} HTTP/1.1\nHost: api.test/evil\n\n", answer: malformed},
	{name: "a host whose name has a blank behind it", raw: "GET {} HTTP/1.1\nHost : api.test\n\n", answer: malformed},
	{name: "an empty host", raw: "GET {} HTTP/1.1\nHost:\n\n", answer: "404 no_route", open: true},
	{name: "a host with a user", raw: "GET {} HTTP/1.1\nHost: evil@api.test\n\n", answer: malformed},
	{name: "a host with two ports", raw: "GET {} HTTP/1.1\nHost: api.test:80:80\n\n", answer: malformed, open: true},
	{name: "a host with a NUL", raw: "GET {} HTTP/1.1\nHost: api.test␀\n\n", answer: malformed},
	{name: "a look-alike of a host", raw: "GET {} HTTP/1.1\n_Host: evil.test\nHost: api.test\n\n", answer: passes},
	{name: "an absolute target", raw: "GET http://api.test{} HTTP/1.1\nHost: api.test\n\n", answer: passes},
	{name: "an absolute target and another host", raw: "GET http://api.test{} HTTP/1.1\nHost: evil.test\n\n", answer: passes},
	{name: "an absolute target with a user", raw: "GET http://evil@api.test{} HTTP/1.1\nHost: api.test\n\n", answer: malformed, open: true},
	{name: "an absolute target of another scheme", raw: "GET ftp://api.test{} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "an absolute target without a host", raw: "GET http://{} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "an absolute target with one slash", raw: "GET http:/api.test{} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "an absolute target with two hosts", raw: "GET http://api.test{} HTTP/1.1\nHost: api.test\nHost: evil.test\n\n", answer: malformed},
	{name: "a target that begins like a host", raw: "GET //api.test{} HTTP/1.1\nHost: api.test\n\n", answer: passes, path: "/api.test{}"},
	{name: "a target without a slash", raw: "GET api.test{} HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a target of dots", raw: "GET /a/../b/.{} HTTP/1.1\nHost: api.test\n\n", answer: passes, path: "/b{}"},
	{name: "a target of encoded dots", raw: "GET /%2e%2e{} HTTP/1.1\nHost: api.test\n\n", answer: passes},
	{name: "a target with a cut escape", raw: "GET {}%2 HTTP/1.1\nHost: api.test\n\n", answer: malformed},
	{name: "a target with an encoded line end", raw: "GET {}%0d%0aX:%20y HTTP/1.1\nHost: api.test\n\n", answer: passes, path: "{}%0D%0AX:%20y"},
}
