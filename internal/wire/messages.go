package wire

import (
	"io"
	"time"
)

// This file is how HTTP1 goes through its messages. All of it but busy and wait is called by Read alone.

// busy reports whether a head was returned and not handled. It is called with mu held.
func (c *HTTP1) busy() bool { return c.delivered > c.done }

// wait sets our deadline for where we are. It is called with mu held.
func (c *HTTP1) wait() {
	c.ours = time.Time{}
	if c.busy() {
		return
	}
	now := time.Now()
	switch c.place {
	case between:
		c.ours = now.Add(c.limits.IdleTimeout)
		if c.retired {
			c.ours = now.Add(retireGrace)
		}
	case inHead, inBody, inTrailer:
		if !c.begun.IsZero() {
			now, c.begun = c.begun, time.Time{}
		}
		c.ours = now.Add(c.limits.HeaderTimeout)
	case onHold, refused, tunneled:
	}
}

// move goes on to another place. It is called with mu held.
func (c *HTTP1) move(to place) {
	if c.place != to && c.place != tunneled {
		c.place = to
		c.wait()
	}
}

// refuse replaces what is there by a request of our own. It is called with mu held.
func (c *HTTP1) refuse(p *Problem) {
	if c.place == tunneled {
		return
	}
	c.delivered++
	c.problem, c.ordinal = p, c.delivered
	c.place, c.ours = refused, time.Time{}
	c.ahead.clear()
	c.ahead.add([]byte(substitute))
	c.ready = len(substitute)
}

// readHead reads until a head is complete. A head that came with one read into p is returned from there; only what comes
// in pieces is copied.
func (c *HTTP1) readHead(p []byte) (int, error) {
	b := c.ahead.bytes()
	if len(b) == c.head.seen { // all that is there was looked at
		if len(b) > 0 {
			return 0, c.more()
		}
		n, err := c.fetch(p)
		if n == 0 {
			return 0, err
		}
		return c.firstPiece(p, n), nil
	}
	dropped := c.head.skip(b)
	if c.ahead.skip(dropped); dropped == len(b) {
		return 0, nil
	}
	length, problem := c.head.parse(b[dropped:], &c.limits)
	if length > 0 {
		c.ready = length
		c.body.start(&c.head)
	}
	c.settle(length, problem)
	return 0, nil
}

// firstPiece looks at the n octets in p with which a head begins. It returns what can be returned of them.
func (c *HTTP1) firstPiece(p []byte, n int) int {
	if dropped := c.head.skip(p[:n]); dropped > 0 {
		n = copy(p, p[dropped:n])
		if n == 0 {
			return 0
		}
	}
	length, problem := c.head.parse(p[:n], &c.limits)
	if length == 0 {
		c.ahead.add(p[:n])
		c.settle(0, problem)
		return 0
	}
	c.body.start(&c.head)
	rest, violation := c.body.scan(p[length:n])
	length += rest
	c.ahead.add(p[length:n])
	c.settle(length, nil)
	c.violate(violation)
	return length
}

// settle ends a look at a head: it is complete where length is not zero, or it is refused, or more of it has to come.
func (c *HTTP1) settle(length int, problem *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case problem != nil:
		c.refuse(problem)
	case length == 0:
		c.move(inHead)
	default:
		c.delivered++
		c.ours, c.begun = time.Time{}, time.Time{}
		c.switching = c.head.upgrade && c.head.upgradeListed
		c.head = head{}
		c.follow()
	}
}

// follow goes where the body says that we are. It is called with mu held.
func (c *HTTP1) follow() {
	to := inBody
	switch c.body.part {
	case trailer:
		to = inTrailer
	case ended:
		to = between
		if c.switching && c.busy() {
			to = onHold
		}
		c.switching = false
	}
	c.move(to)
}

// more reads on behind what is there. The end of the client makes an incomplete head one that is refused, so that
// somebody records it; but while a handler runs it only wants to know that the client is gone.
func (c *HTTP1) more() error {
	n, err := c.fetch(c.ahead.room(1))
	if n > 0 {
		c.ahead.fill(n)
		return nil
	}
	if err != io.EOF { //nolint:errorlint // connections return it as it is
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != inHead || c.busy() {
		return err
	}
	c.refuse(malformed("the client ended before the head did"))
	return nil
}

// readBody returns what comes of a body.
func (c *HTTP1) readBody(p []byte) (int, error) {
	p = p[:min(len(p), maxBodyRead)]
	if c.body.part == content {
		p = p[:min(int64(len(p)), c.body.left)]
	}
	n := copy(p, c.ahead.bytes())
	fetched := n == 0
	if fetched {
		var err error
		if n, err = c.fetch(p); n == 0 {
			return 0, err
		}
	}
	length, violation := c.body.scan(p[:n])
	if fetched {
		c.ahead.add(p[length:n])
	} else {
		c.ahead.skip(length)
	}
	c.violate(violation)
	c.mu.Lock()
	c.follow()
	c.mu.Unlock()
	return length, nil
}

// readTrailer reads until a trailer section is complete, so that no field of one that is refused is seen.
func (c *HTTP1) readTrailer() error {
	b := c.ahead.bytes()
	if len(b) == c.body.lines.seen {
		return c.more()
	}
	length, violation := c.body.parseTrailer(b, &c.limits)
	c.ready = length
	c.violate(violation)
	c.mu.Lock()
	c.follow()
	c.mu.Unlock()
	return nil
}

// violate makes every Read from now on return what is wrong with a body, if something is.
func (c *HTTP1) violate(p *Problem) {
	if p == nil {
		return
	}
	violation := &BodyError{*p}
	c.failed = violation
	c.mu.Lock()
	c.violation = violation
	c.mu.Unlock()
}

// hold keeps what comes after a request for another protocol, until a handler has agreed to it or not.
func (c *HTTP1) hold(p []byte) error {
	held := len(c.ahead.bytes())
	if held >= maxHold {
		return c.pause(func() bool { return c.place == onHold })
	}
	if held > 0 {
		n, err := c.fetch(c.ahead.room(1))
		c.ahead.fill(n)
		return err
	}
	n, err := c.fetch(p)
	c.ahead.add(p[:n])
	return err
}

// rest waits until what stands in for a refused request was handled. The end is kept from net/http until then: it would
// tell the handler that the client is gone.
func (c *HTTP1) rest() error {
	if err := c.pause(c.busy); err != nil {
		return err
	}
	return io.EOF
}
