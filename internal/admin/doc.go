// Package admin is the control plane's face: the address at which operators and their tools ask the gateway about
// itself.
//
// It owns that address, what is answered there, and the client of it. Today these are /livez, /readyz and /metrics, which
// ask nobody who they are, and /api/v1/refusals, which wants a token; the address is a loopback one unless another is
// written out. It never touches a request of the data plane, and never answers under a name that a stranger's DNS could
// point at it.
package admin
