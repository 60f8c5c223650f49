package wire

import (
	"fmt"
	"net"
	"time"
)

// preface is what a client that knows beforehand that a server speaks HTTP/2 begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Preface reads the beginning of a connection without TLS until it is HTTP/2's preface or cannot become that, and returns
// a connection that reads it again. It waits for the first octet until IdleTimeout has passed, and from then on for
// HeaderTimeout; of the limits nothing else counts. Afterwards the connection has no read deadline.
//
// A client that has sent nothing until then or until its end is an error, and the connection still the caller's to
// close. One that has sent a part of the preface does not speak HTTP/2; HTTP1 will say what it makes of that, and counts
// the time since the first octet.
func Preface(c net.Conn, l Limits) (http2 bool, conn net.Conn, err error) {
	r := &replay{Conn: c}
	if err := r.begin(l); err != nil && r.have == 0 {
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
	begun       time.Time // when the first octet came
}

// begin reads as much as is, or may become, the preface.
func (r *replay) begin(l Limits) error {
	if err := r.SetReadDeadline(time.Now().Add(l.IdleTimeout)); err != nil {
		return err
	}
	for r.have < len(preface) && string(r.octets[:r.have]) == preface[:r.have] {
		n, err := r.Conn.Read(r.octets[r.have:])
		if r.have == 0 && n > 0 {
			r.begun = time.Now()
			_ = r.SetReadDeadline(r.begun.Add(l.HeaderTimeout)) // as above
		}
		r.have += n
		if err != nil {
			return err
		}
	}
	return nil
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
