// Package traffic is the proof that real traffic of every kind passes: each kind of body, stream and upgrade, and each way
// in which a client or a backend can be slow or break, over HTTP/1.1 and HTTP/2 alike.
//
// It owns the end-to-end tests of traffic and the peers that they need: clients that speak HTTP/1.1 and HTTP/2 byte by
// byte, and backends that answer, stall and die as they are told. nginx is the backend wherever nginx can originate the
// answer, a Go server or a raw socket where it cannot. It never reaches into the program: what a test knows comes from a
// socket, an exit code, a file of the operating system or a line of the log. It never sleeps and it never skips: a slow peer
// is paced by a ticker, and everything else waits for what it waits for.
//
// Every test runs a gateway of its own with the race detector, and what races there fails the test. Only the test of
// memory runs it as users do.
package traffic
