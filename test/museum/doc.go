// Package museum owns the bugs of others as tests: every bypass that became known in a gateway, a proxy or a library of
// this kind, done to the program that users run. docs/museum.md is the catalogue; a test here compares the two.
//
// A test is named after what the bug is known as (an advisory, or the product with the number of an issue or a commit)
// and says behind the underscore what happened there. Its comment says it in a sentence. It starts the program with a
// document and a backend of its own, does over real TLS what the attacker did, and looks at three things: the answer, the
// reason in the log, and what the backend saw. The third is checked for all of them at once: at the end of each test the
// backend has seen exactly the requests that the test expected to be served.
//
// Beside the exhibits it owns the few tests of whole standards that no package has, and the comparison of docs/museum.md,
// docs/standards.md and docs/threat-model.md with the tests that they cite. It never reaches into the program, and never
// says how something is done: only what may not happen. Everything runs in parallel and nothing sleeps or skips. Standards: RFC 5280, 8446, 9110, 9113, 9440.
package museum
