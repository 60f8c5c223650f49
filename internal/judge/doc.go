// Package judge decides whether a request may call an API, says why not, and what a refused caller is told.
//
// It owns the walk from authority and path to a decision: which API a request is for, what the TLS profile of its host
// demands, what the trust in effect says about the evidence of the connection, and the allow and deny lists. Rules are
// compiled from a document and never change afterwards; Decide is called for every request, for streams while they last,
// and by Explain, with nothing of any HTTP library. It never opens a connection, never reads a file, and never asks for
// the time: whoever asks says when.
//
// An identity comes from the leaf of a path that the trust in effect validated, and from nothing else. Whatever is not
// known is refused.
package judge
