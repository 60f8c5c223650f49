// Package route is the one normal form of a request's authority and path, and the table from (host, path) to what is
// registered there. Configuration, routing, profile selection and explain all use it, so that two parts of the gateway
// never read one request in two ways: the root of most bypasses between a proxy's rule and its backend's route.
//
// It owns the normal form of hosts (RFC 9110 section 4.2.3, RFC 3986 section 3.2.2) and of paths (RFC 3986 sections 5.2.4
// and 6.2.2), host patterns, path prefixes and their order of precedence. It never looks at methods, listeners,
// certificates or queries, never resolves a name and does no I/O.
//
// Every value is immutable once made and safe for concurrent use; zero values match nothing. Host, ParsePath and the
// lookups are on the path of every request: given input that is already in normal form they allocate nothing, and a
// lookup costs what the deepest registered pattern costs, however many entries there are and however long the request's
// host and path are.
package route
