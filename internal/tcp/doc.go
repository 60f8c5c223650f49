// Package tcp is what the gateway asks of the system's sockets and package net does not. It owns the options that share an
// address for a moment, close a listener so that nobody notices, and keep little unsent, and the questions how much the other
// end has acknowledged, and whether it has reset the connection. It never reads, writes or closes a connection. What a system cannot do is an error, and a convenience lost.
//
// Everything may be called at the same time as anything else on the same socket.
package tcp
