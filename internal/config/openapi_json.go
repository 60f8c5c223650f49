package config

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// jsonTree reads a JSON object into the nodes that YAML would have, positions and duplicate keys included; nil for whatever is
// no JSON object. The text is UTF-8.
func jsonTree(text string) *yaml.Node {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") || !json.Valid([]byte(text)) {
		return nil
	}
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber()
	at := cursor{text: text, line: 1, column: 1}
	var open []*yaml.Node // from the outermost to the innermost that has not ended
	for {
		at.token(int(in.InputOffset()))
		token, err := in.Token()
		if err != nil { // cannot be: the text is valid
			return nil
		}
		n := &yaml.Node{Kind: yaml.ScalarNode, Line: at.line, Column: at.column}
		switch value := token.(type) {
		case json.Delim:
			if value == '}' || value == ']' {
				ended := open[len(open)-1]
				if open = open[:len(open)-1]; len(open) == 0 {
					return ended
				}
				continue
			}
			n.Kind, n.Tag, n.Style = yaml.MappingNode, "!!map", yaml.FlowStyle
			if value == '[' {
				n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
			}
		case string:
			n.Tag, n.Style, n.Value = "!!str", yaml.DoubleQuotedStyle, value
		case json.Number:
			n.Tag, n.Value = "!!float", value.String()
		case bool:
			n.Tag, n.Value = "!!bool", map[bool]string{false: "false", true: "true"}[value]
		case nil:
			n.Tag, n.Value = "!!null", "null"
		}
		if len(open) > 0 {
			above := open[len(open)-1]
			above.Content = append(above.Content, n)
		}
		if n.Kind != yaml.ScalarNode {
			open = append(open, n)
		}
	}
}

// cursor counts lines and columns of a text.
type cursor struct {
	text         string
	offset       int
	line, column int // of offset
}

// token moves to the first token at or after an offset.
func (c *cursor) token(offset int) {
	for c.offset < len(c.text) && (c.offset < offset || strings.IndexByte(" \t\r\n,:", c.text[c.offset]) >= 0) {
		r, size := utf8.DecodeRuneInString(c.text[c.offset:])
		c.offset += size
		if c.column++; r == '\n' {
			c.line, c.column = c.line+1, 1
		}
	}
}
