// Package e2e is the proof from outside: the program that users run, driven by the tools that they have. Real curl and
// openssl s_client call a gateway process that has a real nginx behind it.
//
// It owns the end-to-end tests and the expected answers of the contract files; processes are package run's. It never
// reaches into the program: what a test knows comes from a socket, an exit code, a log line or a file. It never sleeps, and
// it never skips: a tool that is missing fails the test with the name of its Debian package.
//
// A file that is named after a product walks through the text that this product has about client certificates; see walk.
//
// Every test has folders and ports of its own, so all of them run in parallel. The contract's certificates are made once
// for all of them and never changed. Standards: RFC 8446 (TLS), RFC 9110 (421 and the rest of HTTP), RFC 9440
// (Client-Cert), RFC 9457 (answers).
package e2e
