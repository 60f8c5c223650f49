package wire_test

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vector is a stream that reads as one thing to some and as another to others.
type vector struct {
	name, stream string
	status       int    // with which it is refused; 0 when it is a request
	body         string // of the request
}

// post is a request with the field lines and the body that are at stake.
func post(rest string) string { return "POST / HTTP/1.1\r\nHost: a.test\r\n" + rest }

// chunks is a request with a chunked body.
func chunks(body string) string { return post("Transfer-Encoding: chunked\r\n\r\n" + body) }

const lastChunk = "0\r\n\r\n"

var requestLines = []vector{
	{"a plain request", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"an empty line before it", "\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"two empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a bare LF before it", "\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a bare CR before it", "\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a blank before it", " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a NUL before it", "\x00GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
	{"a bare LF behind the request line", "GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400, ""},
	{"a CR and CRLF behind the request line", "GET / HTTP/1.1\r\r\nHost: a.test\r\n\r\n", 400, ""},
	{"two blanks before the target", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"two blanks before the version", "GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a blank behind the version", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n", 400, ""},
	{"a tab before the target", "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a tab before the version", "GET /\tHTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a blank in the target", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"another request in the target", "GET /\r\nX: y HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"HTTP/0.9", "GET /\r\n", 400, ""},
	{"HTTP/0.9 with a blank", "GET / \r\n", 400, ""},
	{"a method alone", "GET\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a method that is no token", "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a method that nobody knows", "BREW /pot HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 505, ""},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505, ""},
	{"HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", 505, ""},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", 400, ""},
	{"HTTP/01.1", "GET / HTTP/01.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"HTTP/1", "GET / HTTP/1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"http in lower case", "GET / http/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a version without its dot", "GET / HTTP/1,1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"no target", "GET  HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a relative target", "GET a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a fragment", "GET /#a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an octet above ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"half an escape in the path", "GET /%4 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"no escape in the path", "GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"no escape in the query", "GET /?%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"a target of two slashes", "GET //b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"an absolute target", "GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n", 0, ""},
	{"an absolute target in capitals", "GET HTTPS://a.test HTTP/1.1\r\nHost: b.test\r\n\r\n", 0, ""},
	{"an absolute target with userinfo", "GET http://u@a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", 0, ""},
	{"an absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an absolute target with a port alone", "GET http://:80/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an absolute target without slashes", "GET http:a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an absolute target with one slash", "GET http:/a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an absolute target with a port that is none", "GET http://a.test:x/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"another scheme", "GET ftp://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"the asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"the asterisk with GET", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
	{"CONNECT without a port", "CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with host and path", "CONNECT a.test:443/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with a query of something", "CONNECT a.test:443?x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with a query", "CONNECT a.test:443? HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with userinfo", "CONNECT u@a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"CONNECT with a URI", "CONNECT http://a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a target that is too long", "GET /" + strings.Repeat("x", 1<<10) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 414, ""},
	{"a target of the longest length", "GET /" + strings.Repeat("x", 1<<10-1) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 0, ""},
}

var fieldLines = []vector{
	{"a bare LF behind a field", post("A: b\n\r\n"), 400, ""},
	{"a bare LF before the empty line", post("A: b\r\n\n"), 400, ""},
	{"two bare LFs", post("A: b\n\n"), 400, ""},
	{"a bare LF in the place of the empty line, then CRLF", post("\n\r\n"), 400, ""},
	{"a bare CR between fields", post("A: b\rContent-Length: 5\r\n\r\n"), 400, ""},
	{"a CR too many", post("A: b\r\r\n\r\n"), 400, ""},
	{"a NUL in a value", post("A: b\x00c\r\n\r\n"), 400, ""},
	{"a NUL in a name", post("A\x00: b\r\n\r\n"), 400, ""},
	{"a control octet in a value", post("A: \x01\r\n\r\n"), 400, ""},
	{"DEL in a value", post("A: \x7f\r\n\r\n"), 400, ""},
	{"a tab in a value", post("A: b\tc\r\n\r\n"), 0, ""},
	{"an octet above ASCII in a value", post("A: \xa0\r\n\r\n"), 0, ""},
	{"a no-break space in a name", post("Content-Length\xc2\xa0: 5\r\n\r\n"), 400, ""},
	{"an octet above ASCII in a name", post("Transfer\xadEncoding: chunked\r\n\r\n"), 400, ""},
	{"a folded value", post("A: b\r\n c\r\n\r\n"), 400, ""},
	{"a value folded with a tab", post("A: b\r\n\tc\r\n\r\n"), 400, ""},
	{"a folded coding", post("Transfer-Encoding:\r\n chunked\r\n\r\n" + lastChunk), 400, ""},
	{"a coding behind a bare LF", post("Transfer-Encoding:\n chunked\r\n\r\n" + lastChunk), 400, ""},
	{"a line of blanks", post(" \r\n\r\n"), 400, ""},
	{"a first line that begins with a blank", "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", 400, ""},
	{"a first line that begins with a tab", "GET / HTTP/1.1\r\n\tX: y\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a blank before the colon", post("Content-Length : 5\r\n\r\n"), 400, ""},
	{"a tab before the colon", post("Transfer-Encoding\t: chunked\r\n\r\n"), 400, ""},
	{"no colon", post("Content-Length 5\r\n\r\n"), 400, ""},
	{"no name", post(": 5\r\n\r\n"), 400, ""},
	{"a look-alike of a length", post("Content_Length: 5\r\n\r\n"), 0, ""},
	{"a look-alike of a coding", post("Transfer_Encoding: chunked\r\n\r\n"), 0, ""},
	{"too many fields", post(strings.Repeat("A: b\r\n", 20) + "\r\n"), 431, ""},
	{"as many fields as may be", post(strings.Repeat("A: b\r\n", 19) + "\r\n"), 0, ""},
	{"a header section that is too large", post("A: " + strings.Repeat("b", 8<<10) + "\r\n\r\n"), 431, ""},
	{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
	{"no host in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, ""},
	{"no host with an absolute target", "GET http://a.test/ HTTP/1.1\r\n\r\n", 400, ""},
	{"two hosts", post("Host: b.test\r\n\r\n"), 400, ""},
	{"the same host twice", post("host: a.test\r\n\r\n"), 400, ""},
	{"two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, ""},
	{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, ""},
	{"an empty host and another", "GET / HTTP/1.1\r\nHost:\r\nHost: a.test\r\n\r\n", 400, ""},
	{"a host with a blank inside", "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n", 400, ""},
	{"a host with blanks around", "GET / HTTP/1.1\r\nHost: \t a.test \t\r\n\r\n", 0, ""},
	{"a host with a path", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400, ""},
	{"a host with userinfo", "GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", 400, ""},
	{"an octet above ASCII in a host", "GET / HTTP/1.1\r\nHost: \xe4.test\r\n\r\n", 400, ""},
	{"Connection that lists the coding", post("Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + lastChunk), 400, ""},
	{"Connection that lists the length", post("Connection: content-length\r\nContent-Length: 5\r\n\r\nhello"), 400, ""},
	{"Connection that lists the host", post("Connection: ,\tHOST\r\n\r\n"), 400, ""},
	{"the second Connection that lists the length", post("Connection: keep-alive\r\nConnection: content-length\r\n\r\n"), 400, ""},
	{"Trailer that lists the length", post("Transfer-Encoding: chunked\r\nTrailer: A, Content-Length\r\n\r\n" + lastChunk), 400, ""},
	{"an expectation", post("Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello"), 0, "hello"},
	{"an unknown expectation", post("Expect: 200-ok\r\n\r\n"), 417, ""},
	{"an empty expectation", post("Expect:\r\n\r\n"), 417, ""},
	{"an expectation twice", post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"), 417, ""},
	{"an expectation and more", post("Expect: 100-continue, x\r\n\r\n"), 417, ""},
}

var lengths = []vector{
	{"a length", post("Content-Length: 5\r\n\r\nhello"), 0, "hello"},
	{"a length of nothing with GET", "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", 0, ""},
	{"a body with GET", "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", 0, "hello"},
	{"a length with leading zeros", post("Content-Length: 0005\r\n\r\nhello"), 0, "hello"},
	{"a length with blanks around", post("Content-Length: \t5 \r\n\r\nhello"), 0, "hello"},
	{"a request in a body", post("Content-Length: 45\r\n\r\nGET /inner HTTP/1.1\r\nHost: inner.test\r\nA: b\r\n"), 0, "GET /inner HTTP/1.1\r\nHost: inner.test\r\nA: b\r\n"},
	{"an empty length", post("Content-Length:\r\n\r\n"), 400, ""},
	{"a length with a plus", post("Content-Length: +5\r\n\r\nhello"), 400, ""},
	{"a length with a minus", post("Content-Length: -5\r\n\r\nhello"), 400, ""},
	{"a length of minus nothing", post("Content-Length: -0\r\n\r\n"), 400, ""},
	{"a length with a blank inside", post("Content-Length: 1 0\r\n\r\nhello"), 400, ""},
	{"a length with a vertical tab", post("Content-Length: \v5\r\n\r\nhello"), 400, ""},
	{"a list of equal lengths", post("Content-Length: 5, 5\r\n\r\nhello"), 400, ""},
	{"a list of lengths", post("Content-Length: 5,6\r\n\r\nhello"), 400, ""},
	{"a length with a comma", post("Content-Length: 5,\r\n\r\nhello"), 400, ""},
	{"a hexadecimal length", post("Content-Length: 0x5\r\n\r\nhello"), 400, ""},
	{"a length with an exponent", post("Content-Length: 5e0\r\n\r\nhello"), 400, ""},
	{"a length with an underscore", post("Content-Length: 0_5\r\n\r\nhello"), 400, ""},
	{"a length with a point", post("Content-Length: 5.0\r\n\r\nhello"), 400, ""},
	{"a length in other digits", post("Content-Length: \xd9\xa5\r\n\r\nhello"), 400, ""},
	{"a length beyond every integer", post("Content-Length: 18446744073709551621\r\n\r\nhello"), 400, ""},
	{"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400, ""},
	{"two lengths", post("Content-Length: 0\r\ncontent-length: 5\r\n\r\nhello"), 400, ""},
	{"CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + lastChunk + "G"), 400, ""},
	{"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n" + lastChunk), 400, ""},
	{"CL.0", post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + lastChunk), 400, ""},
	{"a body that is cut", post("Content-Length: 500\r\n\r\nhello"), clientGone, "hello" + secondRequest},
}

var codings = []vector{
	{"chunks", chunks("5\r\nhello\r\n" + lastChunk), 0, "hello"},
	{"chunks in capitals", post("TRANSFER-ENCODING: Chunked\r\n\r\n5\r\nhello\r\n" + lastChunk), 0, "hello"},
	{"blanks around the coding", post("Transfer-Encoding: \t chunked \r\n\r\n5\r\nhello\r\n" + lastChunk), 0, "hello"},
	{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + lastChunk, 400, ""},
	{"xchunked", post("Transfer-Encoding: xchunked\r\n\r\n" + lastChunk), 501, ""},
	{"identity", post("Transfer-Encoding: identity\r\n\r\n"), 501, ""},
	{"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n\r\n" + lastChunk), 501, ""},
	{"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n\r\n" + lastChunk), 501, ""},
	{"chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n\r\n" + lastChunk), 400, ""},
	{"chunked with a comma", post("Transfer-Encoding: ,chunked\r\n\r\n" + lastChunk), 400, ""},
	{"an empty coding", post("Transfer-Encoding:\r\n\r\n"), 400, ""},
	{"chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n\r\n" + lastChunk), 400, ""},
	{"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n\r\n" + lastChunk), 400, ""},
	{"chunked and a word", post("Transfer-Encoding: chunked x\r\n\r\n" + lastChunk), 400, ""},
	{"a vertical tab before chunked", post("Transfer-Encoding: \vchunked\r\n\r\n" + lastChunk), 400, ""},
	{"a vertical tab behind chunked", post("Transfer-Encoding: chunked\v\r\n\r\n" + lastChunk), 400, ""},
	{"a NUL behind chunked", post("Transfer-Encoding: chunked\x00\r\n\r\n" + lastChunk), 400, ""},
	{"a no-break space before chunked", post("Transfer-Encoding: \xa0chunked\r\n\r\n" + lastChunk), 400, ""},
	{"a K that folds to k", post("Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n" + lastChunk), 400, ""},
	{"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + lastChunk), 400, ""},
	{"chunked and identity in two fields", post("Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n\r\n" + lastChunk), 400, ""},
	{"a colon and a coding in a value", post("X: Y\rTransfer-Encoding: chunked\r\n\r\n" + lastChunk), 400, ""},
}

var chunkLines = []vector{
	{"one chunk of many digits", chunks("000000000000005\r\nhello\r\n" + lastChunk), 0, "hello"},
	{"a last chunk of many zeros", chunks("5\r\nhello\r\n000\r\n\r\n"), 0, "hello"},
	{"an extension", chunks("5;a=b; c=\"d\"\r\nhello\r\n0;x\r\n\r\n"), 0, "hello"},
	{"a trailer section", chunks("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), 0, "hello|A=b"},
	{"sixteen digits", chunks("0000000000000005\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size beyond every integer", chunks("10000000000000005\r\nhello\r\n" + lastChunk), 400, ""},
	{"no size and nothing else", chunks("\r\n\r\n"), 400, ""},
	{"an extension and nothing else", chunks(";a\r\n\r\n"), 400, ""},
	{"something in the place of the LF behind a size", chunks("5\rXhello\r\n" + lastChunk), 400, ""},
	{"something in the place of the CR behind a chunk", chunks("5\r\nhelloX\n" + lastChunk), 400, "hello"},
	{"no size", chunks("\r\nhello\r\n" + lastChunk), 400, ""},
	{"an extension without a size", chunks(";a\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size with 0x", chunks("0x5\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size with a plus", chunks("+5\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size with a minus", chunks("-5\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size with an underscore", chunks("0_5\r\nhello\r\n" + lastChunk), 400, ""},
	{"a blank before a size", chunks(" 5\r\nhello\r\n" + lastChunk), 400, ""},
	{"a blank behind a size", chunks("5 \r\nhello\r\n" + lastChunk), 400, ""},
	{"a tab behind a size", chunks("5\t\r\nhello\r\n" + lastChunk), 400, ""},
	{"a blank before an extension", chunks("5 ;a\r\nhello\r\n" + lastChunk), 400, ""},
	{"a bare LF behind a size", chunks("5\nhello\r\n" + lastChunk), 400, ""},
	{"a bare CR behind a size", chunks("5\rhello\r\n" + lastChunk), 400, ""},
	{"two CRs behind a size", chunks("5\r\r\nhello\r\n" + lastChunk), 400, ""},
	{"a bare LF in an extension", chunks("5;a\nhello\r\n" + lastChunk), 400, ""},
	{"a bare LF in an extension's quotes", chunks("5;a=\"\nx\"\r\nhello\r\n" + lastChunk), 400, ""},
	{"a bare CR in an extension", chunks("5;a\rb\r\nhello\r\n" + lastChunk), 400, ""},
	{"a NUL in an extension", chunks("5;\x00\r\nhello\r\n" + lastChunk), 400, ""},
	{"an octet above ASCII in an extension", chunks("5;\xff\r\nhello\r\n" + lastChunk), 400, ""},
	{"a size line that is too long", chunks("5;" + strings.Repeat("x", 255) + "\r\nhello\r\n" + lastChunk), 400, ""},
	{"no CRLF behind a chunk", chunks("5\r\nhello" + lastChunk), 400, "hello"},
	{"a bare LF behind a chunk", chunks("5\r\nhello\n" + lastChunk), 400, "hello"},
	{"a CR and something else behind a chunk", chunks("5\r\nhello\rX" + lastChunk), 400, "hello"},
	{"a chunk longer than its size", chunks("5\r\nhello, you\r\n" + lastChunk), 400, "hello"},
	{"a last chunk with bare LFs", chunks("5\r\nhello\r\n0\n\n"), 400, "hello"},
	{"an empty line of a bare LF", chunks("5\r\nhello\r\n0\r\n\n"), 400, "hello"},
	{"data in the place of the trailer section", chunks("5\r\nhello\r\n0\r\nxx\r\n\r\n"), 400, "hello"},
	{"a length in the trailer section", chunks("0\r\nContent-Length: 5\r\n\r\n"), 400, ""},
	{"a coding in the trailer section", chunks("0\r\ntransfer-encoding: chunked\r\n\r\n"), 400, ""},
	{"a host in the trailer section", chunks("0\r\nA: b\r\nHost: b.test\r\n\r\n"), 400, ""},
	{"credentials in the trailer section", chunks("0\r\nAuthorization: b\r\n\r\n"), 400, ""},
	{"a blank before the colon in the trailer section", chunks("0\r\nA : b\r\n\r\n"), 400, ""},
	{"a folded value in the trailer section", chunks("0\r\nA: b\r\n c\r\n\r\n"), 400, ""},
	{"a bare LF in the trailer section", chunks("0\r\nA: b\nC: d\r\n\r\n"), 400, ""},
	{"a bare CR in the trailer section", chunks("0\r\nA: b\rC: d\r\n\r\n"), 400, ""},
	{"a NUL in the trailer section", chunks("0\r\nA: \x00\r\n\r\n"), 400, ""},
	{"too many trailer fields", chunks("0\r\n" + strings.Repeat("A: b\r\n", 21) + "\r\n"), 431, ""},
	{"a trailer section that is too large", chunks("0\r\nA: " + strings.Repeat("b", 4<<10) + "\r\n\r\n"), 431, ""},
	{"chunks that are cut", chunks("fff\r\nhello"), clientGone, "hello" + secondRequest},
}

// Nothing follows these: what is wrong shows before the end, or is the end.
var cutStreams = []vector{
	{"a trailer section that is too large and not complete", chunks("0\r\nA: " + strings.Repeat("b", 4<<10)), 431, ""},
	{"a trailer section that is cut", chunks("0\r\nA: b\r\n"), clientGone, ""},
	{"a TLS record", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, ""},
	{"a target that is too long and not complete", "GET /" + strings.Repeat("x", 1<<10), 414, ""},
	{"a method that is too long", strings.Repeat("X", 9<<10), 431, ""},
	{"half a head", "GET / HTTP/1.1\r\nHost: a.test\r\n", 400, ""},
	{"a header section that is too large and not complete", post("A: " + strings.Repeat("b", 8<<10)), 431, ""},
}

const secondRequest = "GET /second HTTP/1.1\r\nHost: second.test\r\nConnection: close\r\n\r\n"

// The second request on a connection is seen exactly when the first was one, and never a part of the first.
func TestSmugglingVectorsHaveOneReading(t *testing.T) {
	t.Parallel()
	for name, vectors := range map[string][]vector{
		"request lines": requestLines, "field lines": fieldLines, "lengths": lengths, "codings": codings, "chunks": chunkLines,
		"streams that are cut": cutStreams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, limits(), nil, nil)
			for _, v := range vectors {
				t.Run(v.name, func(t *testing.T) { attack(t, s, v) })
			}
		})
	}
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] \d{3} `)

func attack(t *testing.T, s *service, v vector) {
	c := s.dial(t)
	stream := v.stream
	if !slices.Contains(cutStreams, v) {
		stream += secondRequest
	}
	write(t, c, stream)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answers, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%q, then %v", answers, err)
	}
	var got []request
	for len(s.seen) > 0 {
		got = append(got, <-s.seen)
	}
	if len(got) == 0 {
		t.Fatalf("nobody saw anything; the answer was %q", answers)
	}
	if first := got[0]; first.Status != v.status || first.Body != v.body || (first.Detail != "") != (v.status != 0) {
		t.Errorf("the first request was %+v, want status %d and body %q", first, v.status, v.body)
	}
	want := []request{}
	if v.status == 0 {
		want = []request{{Method: "GET", Target: "/second", Host: "second.test"}}
	}
	if diff := cmp.Diff(want, got[1:]); diff != "" {
		t.Errorf("after the first request:\n%s", diff)
	}
	if n := len(statusLine.FindAll(answers, -1)); n != len(got)+strings.Count(v.stream, "100-Continue") {
		t.Errorf("%d answers to %d requests: %q", n, len(got), answers)
	}
}
