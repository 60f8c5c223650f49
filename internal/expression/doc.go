// Package expression owns the conditions that a document writes in CEL: which names they may use, what is wrong with one,
// and what it says about a caller and a request. It never reads a file or the network, never asks for the time and never
// decides: whoever asks says what an expression that cannot be evaluated means, and it must never mean yes.
//
// certificate, presented and request are objects with fixed fields, so a misspelt one is an error when the document is
// loaded. certificate is null unless a certification path was validated, and a field of null is an error, never a value.
// Every expression is bounded: in its length, in what its regular expressions may be, and in what an evaluation may cost,
// whatever a caller sends.
//
// Compiled expressions and certificates do not change and are safe for concurrent use. The standards are CEL
// (https://cel.dev) as far as the package implements it, RE2 for regular expressions, and RFC 9110 for field names.
package expression
