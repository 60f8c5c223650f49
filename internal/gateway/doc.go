// Package gateway is the data plane: it accepts connections, ends TLS, asks package judge about every request, tells the
// backend who is calling, and passes on what may pass. It compiles documents to snapshots and swaps them while requests
// run.
//
// It owns everything from the socket to the access log, and nothing of where documents come from or of what is decided
// about a caller. A connection remembers what its client presented (judge.Evidence) and under which TLS profile; a request
// reads one snapshot and is judged by that alone, and streams are judged again. The choice of a TLS configuration is never
// the only guard: every request is judged. Headers that carry identity are removed in one function and set in one other
// (headers.go). It never reads a file and never reaches for the control plane.
//
// net/http stands behind the files nethttp*.go. Everything exported is safe for concurrent use unless it says otherwise.
package gateway
