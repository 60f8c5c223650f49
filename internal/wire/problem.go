package wire

import "time"

// Limits bounds what a client may send and how long it may take. All of them have to be above zero: a limit of zero
// lets nothing pass, so the zero value refuses every request.
type Limits struct {
	// HeaderBytes bounds the request line and the header section together, with their line ends. A trailer section has
	// the same bound, or 4 KiB where that is less, because net/http reads no longer ones. HTTP2 lets sections of up to twice
	// as much pass, as RFC 9113 §6.5.2 counts: of those the handler knows everything.
	HeaderBytes int
	// HeaderFields bounds the field lines of a header section, and those of a trailer section. HTTP2 does not use it.
	HeaderFields int
	// TargetBytes bounds the request target. HTTP2 does not use it.
	TargetBytes int
	// HeaderTimeout bounds the time from the first byte of a head to its last, and the time that the rest of a body has
	// after its request was handled. With HTTP/2 it bounds the preface with the first frame, and each header block.
	HeaderTimeout time.Duration
	// IdleTimeout bounds the wait for the first byte of a request, the very first one as well. HTTP2 does not use it.
	IdleTimeout time.Duration
	// ControlFrames is how many HTTP/2 frames that cost their sender nothing a client may send per second; for a short
	// time it may send five times as many.
	ControlFrames int
}

// Kind is what is wrong with a request. The zero value is Malformed.
type Kind uint8

// The kinds of problems. The set is closed.
const (
	Malformed      Kind = iota // no HTTP/1 message, or one that can be read in two ways: 400
	TargetTooLong              // the request target is longer than TargetBytes: 414
	HeaderTooLarge             // more than HeaderBytes or HeaderFields: 431
	TooSlow                    // not complete within HeaderTimeout: 408
	Unsupported                // understood, but not served: 417, 501 or 505
)

// String returns the kind as it is written in logs; "" for a number that is none.
func (k Kind) String() string {
	switch k {
	case Malformed:
		return "malformed"
	case TargetTooLong:
		return "target_too_long"
	case HeaderTooLarge:
		return "header_too_large"
	case TooSlow:
		return "too_slow"
	case Unsupported:
		return "unsupported"
	}
	return ""
}

// Problem says why a request was refused. It is immutable.
type Problem struct {
	Kind   Kind
	Status int    // what HTTP answers: 400, 408, 414, 417, 431, 501 or 505
	Detail string // for the log: a clause that holds nothing of what the client sent
}

func malformed(detail string) *Problem { return &Problem{Malformed, 400, detail} }

func unsupported(status int, detail string) *Problem { return &Problem{Unsupported, status, detail} }

func targetTooLong() *Problem {
	return &Problem{TargetTooLong, 414, "the request target is longer than the limit"}
}

func headerTooLarge(detail string) *Problem { return &Problem{HeaderTooLarge, 431, detail} }

// BodyError says that a body broke the rules after its head had passed: its chunks or its trailer section. Every Read
// from then on returns it, and Err does too: net/http does not pass on the errors of trailer sections as they are.
type BodyError struct{ Problem Problem }

func (e *BodyError) Error() string { return "request body: " + e.Problem.Detail }
