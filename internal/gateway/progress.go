package gateway

import (
	"net"
	"time"

	"sallyport/internal/tcp"
)

// A client that takes an answer slowly is served for as long as it takes something. Whether it does is asked of the connection:
// a write may wait for long although the client reads all the time, because the system wakes it late or because HTTP/2 sends
// other answers first.
const (
	leastTaken   = 4 << 10 // octets that a client takes within send_timeout, or it takes nothing
	longestPiece = 10      // times send_timeout that one write may last, whatever the client takes of other answers
	looks        = 8       // times within send_timeout that the connection is asked
)

// progress is how far a client has got while a write waits for it. It belongs to one write.
type progress struct {
	began time.Time
	since time.Time // when it had taken something last, as far as is known
	taken uint64    // octets, at that time
	known bool      // a look was taken
}

// stuck reports whether the client has taken nothing for limit. It is to be called looks times within limit; taken is how
// many octets the client has ever taken.
func (p *progress) stuck(now time.Time, limit time.Duration, taken uint64) bool {
	switch {
	case !p.known: // what it took before is not known, and the look may come late
		p.known, p.taken, p.since = true, taken, now.Add(-limit/looks)
	case taken-p.taken >= leastTaken:
		p.taken, p.since = taken, now
	}
	return now.Sub(p.since) >= limit || now.Sub(p.began) >= longestPiece*limit
}

// taken is how many octets the client has taken: acknowledged, or, where the system does not say, accepted for sending.
func (c *conn) taken() uint64 {
	if socket, ok := c.Conn.(*net.TCPConn); ok {
		if octets, err := tcp.Acknowledged(socket); err == nil {
			return octets
		}
	}
	return c.writes.accepted.Load()
}
