package wire

import (
	"fmt"
	"net"
	"time"
)

// preface is what a client that knows beforehand that a server speaks HTTP/2 begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Preface reads the beginning of a connection without TLS until it is HTTP/2's preface or cannot become that, and returns
// a connection that reads it again. It waits until the deadline; the zero time is none. Afterwards the connection has no
// read deadline.
//
// A client that has sent nothing until then or until its end is an error, and the connection still the caller's to
// close. One that has sent a part of the preface does not speak HTTP/2; HTTP1 will say what it makes of that.
func Preface(c net.Conn, deadline time.Time) (http2 bool, conn net.Conn, err error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return false, nil, fmt.Errorf("read the preface: %w", err)
	}
	r := &replay{Conn: c}
	if err := r.begin(); err != nil && r.have == 0 {
		return false, nil, fmt.Errorf("read the preface: %w", err)
	}
	_ = c.SetReadDeadline(time.Time{}) // a connection that takes none is gone, which its reader will see
	return string(r.octets[:r.have]) == preface, r, nil
}

// replay is a connection of which the first octets were read. One Read at a time.
type replay struct {
	net.Conn
	octets      [len(preface)]byte
	taken, have int
}

// begin reads as much as is, or may become, the preface.
func (r *replay) begin() (err error) {
	for err == nil && r.have < len(preface) && string(r.octets[:r.have]) == preface[:r.have] {
		var n int
		n, err = r.Conn.Read(r.octets[r.have:])
		r.have += n
	}
	return err
}

func (r *replay) Read(p []byte) (int, error) {
	if r.taken == r.have {
		return r.Conn.Read(p)
	}
	n := copy(p, r.octets[r.taken:r.have])
	r.taken += n
	return n, nil
}

// NetConn returns the connection that is replayed.
func (r *replay) NetConn() net.Conn { return r.Conn }

func (r *replay) CloseWrite() error { return closeWrite(r.Conn) }
