package expression

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
)

// Error is a mistake in an expression.
type Error struct {
	// Line and Column are where it is in the source; both begin at 1, and the column counts characters.
	Line, Column int
	// Message says what is wrong.
	Message string
	// Named says that it is about a named value.
	Named bool
	// Word is one that is unknown, and Known are those that would be; empty where it is about something else.
	Word  string
	Known []string
}

// Error returns the message alone.
func (e *Error) Error() string { return e.Message }

// ErrorList is every mistake that was found; it is never empty.
type ErrorList []Error //nolint:errname // a list of Error, as in go/scanner

// Error returns the messages, one a line.
func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i := range l {
		lines[i] = l[i].Error()
	}
	return strings.Join(lines, "\n")
}

// mostErrors is how many mistakes of one expression are told.
const mostErrors = 3

const tooLarge = "it is too large: write several entries, or a list"

// hints are for what CEL has elsewhere and this environment leaves out.
var hints = map[string]string{
	"has":   "has is not here: every field is there; compare with null, or with an empty text",
	"map":   "map is not here: exists, exists_one, all and filter are",
	"dyn":   "dyn is not here: everything has its type",
	"type":  "type is not here: everything has its type",
	"user":  "user is not built yet",
	"named": "named takes a name, such as named['x']",
}

// What the messages of CEL look like.
var (
	undefinedField = regexp.MustCompile(`^undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload     = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
)

// explain says what CEL found wrong.
func (c *Compiler) explain(source string, issues *cel.Issues) error {
	var out ErrorList
	for _, found := range issues.Errors() {
		e := Error{Line: max(found.Location.Line(), 1), Column: max(found.Location.Column(), 0) + 1}
		c.describe(&e, found.Message, source)
		out = append(out, e)
		if len(out) == mostErrors {
			break
		}
	}
	return out
}

func (c *Compiler) describe(e *Error, message, source string) {
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		object := c.provider.absent[m[1]]
		e.Message, e.Word, e.Known = fmt.Sprintf("%s has no field %s", object, quote(m[1])), m[1], c.provider.names[object]
		return
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if hint := hints[m[1]]; hint != "" {
			e.Message = hint
			return
		}
		e.Message, e.Word, e.Known = quote(m[1])+" is unknown", m[1], append(slices.Clone(variableNames), functionNames...)
		return
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		e.Message = fmt.Sprintf("%s does not take %s", functionName(m[1]), typeNames(m[2]))
		return
	}
	switch {
	case strings.Contains(message, "code point size"):
		e.Message = fmt.Sprintf("it has %d characters, more than %d", utf8.RuneCountInString(source), MaxLength)
	case strings.Contains(message, "recursion"), strings.Contains(message, "nesting"), strings.Contains(message, "node count"), strings.Contains(message, "lookahead limit"):
		e.Message = tooLarge
	case strings.HasPrefix(message, "regex program size"):
		e.Message = "the pattern is too large"
	default:
		e.Message = syntaxMessage(message, source)
	}
}

// syntaxMessage says what the parser does not understand.
func syntaxMessage(message, source string) string {
	message, _, _ = strings.Cut(strings.TrimPrefix(message, "Syntax error: "), " expecting ")
	message = oneLine(message)
	unread, isToken := strings.CutPrefix(message, "token recognition error at: ")
	extra, isExtra := strings.CutPrefix(message, "extraneous input ")
	if !isExtra {
		extra, isExtra = strings.CutPrefix(message, "mismatched input ")
	}
	switch {
	case strings.TrimSpace(source) == "":
		return "it is empty"
	case message == "mismatched input '<EOF>'":
		return "it ends before it is complete"
	case isToken && strings.HasPrefix(unread, "'= "):
		return "= is no operator: == compares"
	case isToken:
		return unread + " cannot be read; a text begins and ends with a quote"
	case isExtra:
		return extra + " does not fit here"
	}
	return message
}

// functionName is how people write a function that CEL calls this.
func functionName(name string) string {
	switch name {
	case "@in":
		return "in"
	case "_[_]":
		return "[]"
	case "_?_:_":
		return "? :"
	}
	if operator := strings.Trim(name, "_"); operator != "" && strings.Trim(operator, "!=<>&|+-*/%") == "" {
		return operator
	}
	return name
}

// typeNames is a signature of CEL for people, such as "(string, int)".
func typeNames(signature string) string {
	names := map[string]string{
		"string": "text", "int": "number", "bool": "truth value", "double": "fraction", "uint": "unsigned number", "bytes": "bytes",
		"timestamp": "time", "null_type": "null",
	}
	for _, from := range slices.Sorted(maps.Keys(names)) {
		signature = regexp.MustCompile(`\b`+regexp.QuoteMeta(from)+`\b`).ReplaceAllString(signature, names[from])
	}
	return signature
}

func typeName(name string) string { return typeNames(name) }

func quote(s string) string {
	const limit = 60
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit-1]) + "…"
	}
	return strconv.Quote(s)
}

// oneLine keeps a message on one line and free of what a terminal would act on.
func oneLine(s string) string {
	const limit = 300
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit-1]) + "…"
	}
	return s
}
