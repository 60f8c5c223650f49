// Package metrics is what the gateway counts about itself, for Prometheus: connections, handshakes, decisions, requests,
// attempts at upstreams and reloads.
//
// It owns the names and labels of every family, and how long a series lives. It never decides or logs anything, never
// speaks HTTP, and never takes a label from what a caller of the gateway sent: methods outside the nine of RFC 9110
// §9.3 and RFC 5789 are "other", and the names of listeners, APIs, upstreams and targets come from the document alone.
//
// Whoever counts does it with a handle: a Listener, an API, a Target. Looking one up by name and counting with it take
// no lock, and allocate nothing once the series exists. Handles are small and have no series before their first use, so
// that a hundred thousand APIs that nobody calls cost nothing to scrape. What is not in the running snapshot has no
// handle, so a request that ends late cannot bring back a name that is gone.
//
// Everything here is safe for concurrent use, and a nil Set or handle counts nothing, so that explain and tests need
// none.
package metrics
