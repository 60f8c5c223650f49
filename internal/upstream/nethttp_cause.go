package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// causeOf says what an error of RoundTrip means, and in which words. Wherever it can, it asks those who know, our own
// connection above all, and not the text.
func (a *attempt) causeOf(err error) (Cause, error) {
	why := a.stopped.Load()
	if why != nil && why.cause != CauseReset {
		return why.cause, why.err
	}
	if a.request.Context().Err() != nil {
		return CauseCanceled, err
	}
	if a.body.failed() {
		return CauseRequestBody, err
	}
	if a.stream != nil {
		switch a.stream.fate() {
		case unseen:
			return CauseReset, errUnseen
		case refused, crowded:
			return CauseReset, errRefused
		case malformed:
			return CauseReset, errMalformed
		case undecided:
		}
		if ended := a.stream.fault(); ended != nil && why == nil {
			return ended.cause, ended.err
		}
	}
	if why != nil {
		return why.cause, why.err
	}
	if c := a.conn.Load(); c != nil && a.reused.Load() {
		if s := c.look(); !s.wrote && !s.began {
			return CauseReset, errNotKept // whatever it came to, the connection was not in order
		}
	}
	return a.causeOfOther(err), err
}

// causeOfOther says what an error means that is net/http's or the connection's.
func (a *attempt) causeOfOther(err error) Cause {
	if open, ok := errors.AsType[*openError](err); ok {
		return open.cause
	}
	if headerTimeout(err) {
		return CauseTimeout
	}
	if a.stream != nil {
		return a.streamCause(err)
	}
	c := a.conn.Load()
	if c == nil {
		return CauseRequest // net/http refused it before it looked for a connection
	}
	s := c.look()
	switch {
	case s.fault != "":
		return CauseProtocol
	case s.broken != nil:
		return CauseReset
	case s.began:
		return CauseProtocol
	}
	return CauseRequest // it was refused while it was written; nothing happened to the connection
}

// headerTimeout recognizes net/http's timeout of a response's header: a timeout that is not the network's.
func headerTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	if !ok || !timeout.Timeout() {
		return false
	}
	_, network := errors.AsType[*net.OpError](err)
	return !network
}

// streamError has the fields of net/http's error for one HTTP/2 stream, which finds it by them in errors.As.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

// fromPeer is the text of the Cause of a stream error that the other end sent.
const fromPeer = "received from peer"

// streamCause says what an error of an HTTP/2 stream or connection means.
func (a *attempt) streamCause(err error) Cause {
	c := a.stream.conn.Load()
	if c == nil {
		return CauseRequest // net/http refused it before it looked for a connection
	}
	if !a.stream.headed.Load() && strings.HasPrefix(err.Error(), "http2: ") && errors.Unwrap(err) != nil {
		return CauseRequest // net/http would not encode it; a header longer than the target takes, above all
	}
	return brokenStream(err)
}

// brokenStream tells a target that speaks HTTP/2 wrongly from one that ends a stream or a connection.
func brokenStream(err error) Cause {
	if s, ok := errors.AsType[streamError](err); ok {
		if s.Cause != nil && s.Cause.Error() == fromPeer {
			return CauseReset
		}
		return CauseProtocol
	}
	// net/http's error for a connection whose frames made no sense is a number, and the only error that is one.
	if reflect.TypeOf(err).Kind() == reflect.Uint32 {
		return CauseProtocol
	}
	return CauseReset
}

// distrusts says why an answer that net/http accepts does not go on.
func (a *attempt) distrusts(r *http.Response) error {
	if c := a.conn.Load(); c != nil {
		if s := c.look(); s.fault != "" && !s.late {
			return errors.New(s.fault)
		}
	}
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols:
		if _, ok := r.Body.(io.ReadWriteCloser); !a.upgrade || !ok {
			return errors.New("the target changes the protocol and nobody asked")
		}
	case r.StatusCode < 200 || r.StatusCode > 599:
		return fmt.Errorf("the status %d is none", r.StatusCode)
	}
	if a.stream != nil {
		if fault := lengthFault(r.Header["Content-Length"]); fault != nil {
			return fault
		}
	}
	for name, values := range r.Header {
		if !isToken(name) {
			return fmt.Errorf("the field name %q is none", name)
		}
		for _, value := range values {
			if !isFieldValue(value) {
				return fmt.Errorf("the field %s holds a control character", name)
			}
		}
	}
	return nil
}

// lengthFault says what is wrong with the Content-Length of an HTTP/2 answer. net/http takes one that it does not understand
// for none and leaves it in the header (RFC 9113 section 8.1.1 calls the answer malformed).
func lengthFault(fields []string) error {
	switch {
	case len(fields) == 0:
		return nil
	case len(fields) > 1:
		return fmt.Errorf("there are %d lengths", len(fields))
	}
	if _, err := strconv.ParseUint(fields[0], 10, 63); err != nil {
		return errors.New("the Content-Length is no number")
	}
	return nil
}

// isToken reports whether a text is a field name (RFC 9110, section 5.1). net/http takes one with a blank for a name, too.
func isToken(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return text != ""
}

// isFieldValue reports whether a text is a field value (RFC 9110, section 5.5).
func isFieldValue(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// causeOfBody says what an error of a response's body means.
func (a *attempt) causeOfBody(err error) Cause {
	switch {
	case a.request.Context().Err() != nil:
		return CauseCanceled
	case a.body.failed(): // the connection ended with it
		return CauseRequestBody
	case a.stream != nil:
		if ended := a.stream.fault(); ended != nil {
			return ended.cause
		}
		if strings.Contains(err.Error(), "declared Content-Length") || errors.Is(err, io.ErrUnexpectedEOF) && a.stream.ended() {
			return CauseProtocol // more than its length, or less
		}
		return brokenStream(err)
	}
	if c := a.conn.Load(); c != nil {
		if s := c.look(); s.fault == "" && s.broken != nil {
			return CauseReset
		}
	}
	return CauseProtocol
}
