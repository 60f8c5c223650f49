package main

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/judge"
)

// questionFields are header fields as a command line has them. What no client could send, or the gateway would refuse before
// anybody judges, is an error: nothing decided about it would be true of a live request. Errors name the field, but not
// its value, which may be a secret.
func questionFields(lines []string) ([]judge.QuestionField, error) {
	var fields []judge.QuestionField
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, errors.New("--field: want a name, a colon and a value")
		}
		if !token(name) {
			return nil, fmt.Errorf("--field %q: the name is no token: letters, digits and hyphens, and no blank before the colon (RFC 9110, section 5.6.2)", name)
		}
		switch strings.ToLower(name) {
		case "host":
			return nil, fmt.Errorf("--field %q: say --host", name)
		case "content-length", "transfer-encoding", "expect", "connection", "upgrade":
			return nil, fmt.Errorf("--field %q: the field belongs to the connection and to the framing of a message, which explain knows nothing of", name)
		}
		value = strings.Trim(value, " \t") // and no other blank (RFC 9110, section 5.5)
		if i := strings.IndexFunc(value, control); i >= 0 {
			return nil, fmt.Errorf("--field %q: the value has the control character %q (RFC 9110, section 5.5)", name, value[i])
		}
		fields = append(fields, judge.QuestionField{Name: name, Value: value})
	}
	return fields, nil
}

// token reports whether a text is a token (RFC 9110, section 5.6.2).
func token(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(marks, r)
	}) < 0
}

// control reports whether no field value holds the character. Octets above ASCII are allowed there, whatever they mean.
func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
