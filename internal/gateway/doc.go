// Package gateway is the data plane: it accepts connections, speaks TLS by profile, judges every request, and sends
// what passes to an upstream. A request walks one way:
//
//	listener → handshake → evidence → route → judge → headers → upstream → log
//
// Compile turns a checked document into an immutable Snapshot, Swap puts it behind the one atomic pointer that every
// handshake and every request reads once. Asking for a certificate happens in the handshake, per listener and server
// name; deciding happens on every request, on the API that matched, against the snapshot and the clock of that moment
// (walk.go, judge.go). Explain runs the same functions as live traffic.
//
// The package never reads files, never reaches for the control plane, and never lets the choice of a TLS configuration
// be the only guard. Headers that carry identity are removed in one function and set in one other (headers.go).
// net/http is used in nethttp.go alone: judging, routing and headers work on the package's own view of a request.
// Everything exported is safe for concurrent use unless it says otherwise.
package gateway
