// Package pressure is the proof that the program holds under load, under attack and while it is changed. It starts the
// program that users run and does to it what production does: a hundred reloads while a process of its own keeps opening
// connections, ten thousand idle callers, a thousand slow ones, floods of HTTP/2 frames, every shape of a request that
// two readers read in two ways, and h2spec, the conformance test of HTTP/2.
//
// It owns the callers and backends that all this takes: a client that never sends anything twice, a client and a backend
// of raw bytes with a strict reader between them, and a client that writes HTTP/2 frames one by one. It never reaches
// into the program, except for one test of what is left in memory when it has ended, and it never waits for time to pass
// where there is something to wait for.
//
// What needs scale runs without the race detector even when the tests run with it: the tests build themselves once more
// and hand these parts over. Standards: RFC 9110, RFC 9112 and RFC 9113.
package pressure
