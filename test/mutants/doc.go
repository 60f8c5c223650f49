// Command mutants removes each refusal of judging, trust and header hygiene in turn and runs the tests: one of them has to
// fail. It owns the search for refusals in the source, the builds without them, and the list of those whose removal changes
// nothing. It never changes a file of the tree: what it builds is an overlay of the go command.
//
// A refusal is found by what the source says, so that nobody registers a new one: a guard that returns a fault, an error, a
// decision that does not allow, false, or an index that was not found; a guard that skips a candidate; an operand of such a
// condition; the answer of a predicate; a flag; a value of a closed list. See finder.
//
// All mutants of a package are compiled into one test binary, each behind a comparison with a number, and a variable of the
// environment picks one of them. A mutant that does not compile therefore fails the build of all, and with it this program.
package main
