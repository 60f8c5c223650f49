package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	maxDefinitionSize  = 4 << 20 // of one OpenAPI description
	maxDefinitionDepth = 200     // of its nested lists and mappings: schemas are deep
	maxMisplaced       = 10      // keys in the wrong place that are reported
)

// The extensions of WSO2 that are read. Their values are the vendor's, whatever the case of their letters.
const (
	wso2MutualSSL  = "x-wso2-mutual-ssl"
	wso2Transports = "x-wso2-transports"
	wso2BasePath   = "x-wso2-basePath"
)

func wso2Keys() []string { return []string{wso2MutualSSL, wso2Transports, wso2BasePath} }

// said is what a definition says somewhere; at is nil where it says nothing.
type said struct {
	text string
	at   *yaml.Node
}

// definition is what an OpenAPI description says of an API that the document could say as well.
type definition struct {
	*file
	bad bool // it has mistakes, all of them reported: nothing in it counts

	title, version said
	path           said
	noPath         string // why path has no text; it is no mistake where the document has a path

	mutualSSL   said // of a text that is mandatory or optional
	http, https bool // which of them transports allows
	transports  *yaml.Node

	security *yaml.Node // asks for more than certificates
}

// mode is what x-wso2-mutual-ssl means.
func (d *definition) mode() Mode {
	switch d.mutualSSL.text {
	case "mandatory":
		return ModeRequired
	case "optional":
		return ModeOptional
	}
	return ""
}

// definitionReader reads one OpenAPI description, version 2 or 3. It knows the few keys that the document has, too, and never
// follows a reference or an alias: what it cannot read as a whole is a mistake.
type definitionReader struct {
	*loader
	*definition
}

// readDefinition reads the text of an OpenAPI description. Its mistakes are in the list.
func (l *loader) readDefinition(f *file, data []byte) *definition {
	r := &definitionReader{l, &definition{file: f}}
	before := len(l.errs)
	if root := r.parseDefinition(data); root != nil {
		r.top(root)
		r.misplaced(root)
	}
	r.bad = len(l.errs) > before
	return r.definition
}

// parseDefinition returns the mapping that the text is. JSON is read as JSON: not all of its escapes are YAML's.
func (r *definitionReader) parseDefinition(data []byte) *yaml.Node {
	text := strings.TrimPrefix(string(data), "\ufeff")
	if pos, message := unprintable(text); message != "" {
		pos.File = r.file.path
		r.add(Error{Position: pos, Message: message})
		return nil
	}
	if root := jsonTree(text); root != nil {
		return root
	}
	return r.parse(r.file, data, "keys, such as openapi: and info:")
}

func (r *definitionReader) fail(n *yaml.Node, format string, args ...any) {
	r.add(Error{Position: Position{r.file.path, n.Line, n.Column}, Message: fmt.Sprintf(format, args...)})
}

// keys are the values of a mapping by their keys, and the nodes of the keys.
type keys struct {
	of    *yaml.Node
	key   map[string]*yaml.Node
	value map[string]*yaml.Node
}

// mapping returns the keys of a mapping that is read; false with a mistake where it is none. Whatever would put other keys in
// their place is refused: duplicates, which readers resolve in different ways, merge keys, references.
func (r *definitionReader) mapping(n *yaml.Node, what string) (keys, bool) {
	k := keys{n, map[string]*yaml.Node{}, map[string]*yaml.Node{}}
	if n.Kind == yaml.AliasNode {
		r.fail(n, "aliases (*name) are not supported: repeat the value")
		return k, false
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must be a mapping, not %s", what, found(n, options{}))
		return k, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch first := k.key[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.fail(key, "a key must be a text")
		case key.Style == 0 && key.Value == "<<":
			r.fail(key, "merge keys (<<) are not supported: write the keys out")
		case key.Value == "$ref":
			r.fail(key, "$ref is not followed in %s: write out what it stands for", what)
		case first != nil:
			r.fail(key, "the key %s stands here twice, first at %s", quote(key.Value), Position{r.file.path, first.Line, first.Column})
		default:
			k.key[key.Value], k.value[key.Value] = key, n.Content[i+1]
		}
	}
	return k, true
}

// text returns what a key of a mapping says, as it is written; the zero value where the key is not there.
func (r *definitionReader) text(k keys, key, what string) said {
	n := k.value[key]
	switch {
	case n == nil:
		return said{}
	case n.Kind == yaml.AliasNode:
		r.fail(n, "aliases (*name) are not supported: repeat the value")
	case n.Kind != yaml.ScalarNode:
		r.fail(n, "%s must be a text, not %s", what, found(n, options{}))
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, "%s is a YAML tag here, and the value would lose it: quote the whole value", quote(n.Tag))
	case isNull(n):
		r.fail(n, "%s has no value: remove the key or give it a value", what)
	case n.Value == "":
		r.fail(n, "%s is empty: remove the key or give it a value", what)
	default:
		return said{n.Value, n}
	}
	return said{at: n}
}

// top reads the description itself.
func (r *definitionReader) top(root *yaml.Node) {
	k, ok := r.mapping(root, "a definition")
	if !ok {
		return
	}
	if n := k.value["info"]; n != nil {
		if info, ok := r.mapping(n, "info"); ok {
			r.title, r.version = r.text(info, "title", "info.title"), r.text(info, "version", "info.version")
		}
	}
	two := r.dialect(k)
	r.vendor(k)
	switch {
	case k.value[wso2BasePath] != nil:
		r.path = r.text(k, wso2BasePath, wso2BasePath)
		if r.version.text != "" {
			r.path.text = strings.ReplaceAll(r.path.text, "{version}", r.version.text)
		}
	case two:
		r.path = r.text(k, "basePath", "basePath")
	case k.value["servers"] != nil:
		r.server(k.value["servers"])
	}
	if strings.ContainsAny(r.path.text, "{}") {
		r.path.text, r.noPath = "", "the path "+quote(r.path.text)+" has templates that nothing fills in"
	}
	for _, key := range []string{"security", "x-wso2-application-security"} {
		if n := k.value[key]; n != nil && r.security == nil && (n.Kind != yaml.SequenceNode || len(n.Content) > 0) {
			r.security = k.key[key]
		}
	}
}

// dialect checks the version of OpenAPI and what belongs to the other one; two says that it is OpenAPI 2.
func (r *definitionReader) dialect(k keys) (two bool) {
	swagger, openapi := r.text(k, "swagger", "swagger"), r.text(k, "openapi", "openapi")
	switch {
	case swagger.at == nil && openapi.at == nil:
		r.fail(k.of, `this is no OpenAPI description: there is neither openapi: 3.0.0, or later, nor swagger: "2.0"`)
	case swagger.at != nil && openapi.at != nil:
		r.fail(openapi.at, "openapi and swagger exclude each other: a definition has one version")
	case swagger.text != "" && swagger.text != "2.0":
		r.fail(swagger.at, "swagger must be 2.0, not %s", quote(swagger.text))
	case openapi.text != "" && !isThree(openapi.text):
		r.fail(openapi.at, "openapi must be a version 3, such as 3.0.3, not %s", quote(openapi.text))
	}
	two = swagger.at != nil
	if two && k.key["servers"] != nil {
		r.fail(k.key["servers"], "servers belongs to OpenAPI 3: a definition of version 2 has basePath")
	}
	if !two && k.key["basePath"] != nil {
		r.fail(k.key["basePath"], "basePath belongs to OpenAPI 2: a definition of version 3 has servers")
	}
	return two
}

// isThree reports whether a text is a version 3 of OpenAPI.
func isThree(version string) bool {
	minor, ok := strings.CutPrefix(version, "3.")
	return ok && minor != "" && minor[0] >= '0' && minor[0] <= '9'
}

// server reads the path of the first server of OpenAPI 3, which is relative to nothing that is known here.
func (r *definitionReader) server(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "servers must be a list, not %s", found(n, options{}))
		return
	}
	if len(n.Content) == 0 {
		return
	}
	k, ok := r.mapping(n.Content[0], "servers[0]")
	if !ok {
		return
	}
	address := r.text(k, "url", "servers[0].url")
	if address.at == nil {
		r.fail(n.Content[0], "servers[0] needs url")
		return
	}
	text := address.text
	if v := k.value["variables"]; v != nil {
		text = r.fill(text, v)
	}
	r.path.at = address.at
	if strings.ContainsAny(text, "{}") {
		r.noPath = "the URL " + quote(address.text) + " has templates that no default fills in"
		return
	}
	u, err := url.Parse(text)
	switch {
	case address.text == "": // reported
	case err != nil:
		r.noPath = quote(text) + " is not a URL"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		r.noPath = "the URL " + quote(text) + " has more than a path"
	case u.Opaque != "" || u.Scheme != "" && u.Host == "" || u.Host == "" && !strings.HasPrefix(text, "/"):
		r.noPath = quote(text) + " is relative to the place where the definition is published, which nobody knows here"
	case u.Path == "":
		r.path.text = "/"
	default:
		r.path.text = u.EscapedPath()
	}
}

// fill puts the defaults of a server's variables into its URL, once each.
func (r *definitionReader) fill(text string, n *yaml.Node) string {
	variables, ok := r.mapping(n, "servers[0].variables")
	if !ok {
		return text
	}
	var pairs []string
	for name, v := range variables.value {
		what := "servers[0].variables." + bare(name)
		if variable, ok := r.mapping(v, what); ok {
			if value := r.text(variable, "default", what+".default"); value.text != "" {
				pairs = append(pairs, "{"+name+"}", value.text)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// vendor reads the extensions of WSO2. What the vendor's own tool refuses is refused in its words; a misspelt one would ask for
// nothing and is refused, too.
func (r *definitionReader) vendor(k keys) {
	if n := k.value[wso2MutualSSL]; n != nil {
		switch value := strings.ToLower(n.Value); {
		case !isText(n):
			r.wso2(n, wso2MutualSSL, "extension but failed to match to the required format.")
		case value != "mandatory" && value != "optional":
			r.wso2(n, wso2MutualSSL, "but only optional and mandatory are allowed for mutual SSL")
		default:
			r.mutualSSL = said{value, n}
		}
	}
	if n := k.value[wso2Transports]; n != nil {
		r.transports = k.key[wso2Transports]
		r.readTransports(n)
	}
	for i := 0; i+1 < len(k.of.Content); i += 2 {
		key := k.of.Content[i]
		if meant := misspelt(key); meant != "" {
			r.add(Error{Position: Position{r.file.path, key.Line, key.Column}, Message: "unknown key " + quote(key.Value), Suggestion: meant})
		}
	}
}

func (r *definitionReader) readTransports(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.wso2(n, wso2Transports, "extension but failed to match to the required format.")
		return
	}
	if len(n.Content) == 0 {
		r.fail(n, "%s is an empty list: remove the key or name http, https or both", wso2Transports)
	}
	for _, entry := range n.Content {
		switch value := strings.ToLower(entry.Value); {
		case !isText(entry):
			r.wso2(entry, wso2Transports, "extension but failed to match to the required format.")
		case value == "http":
			r.http = true
		case value == "https":
			r.https = true
		default:
			r.wso2(entry, wso2Transports, "extension but only http and https are allowed as transports")
		}
	}
	if r.mutualSSL.text == "mandatory" {
		r.https = true // as WSO2 has it: certificates come over TLS
	}
}

// wso2 records a mistake as the vendor's own tool puts it.
func (r *definitionReader) wso2(n *yaml.Node, key, text string) {
	single := func(s said) string { return "'" + oneLine(shorten(s.text)) + "'" }
	r.fail(n, "the API %s version %s contains %s %s", single(r.title), single(r.version), key, text)
}

// isText reports whether a node is a text for every reader of YAML and JSON: no number, no truth value, nothing else.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Style&yaml.TaggedStyle == 0
}

// misspelt returns which of WSO2's extensions a key was probably meant to be; "" where it is one, or none.
func misspelt(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode || len(key.Value) > maxWord || slices.Contains(wso2Keys(), key.Value) {
		return ""
	}
	const far = 4
	for _, known := range wso2Keys() {
		if distance(fold(key.Value), fold(known), far) < far {
			return known
		}
	}
	return ""
}

// misplaced looks for extensions of WSO2 where they would count for nothing: below the top.
func (r *definitionReader) misplaced(root *yaml.Node) {
	reported := 0
	var walk func(n *yaml.Node, depth int) bool
	walk = func(n *yaml.Node, depth int) bool {
		if depth > maxDefinitionDepth {
			r.fail(n, "lists and mappings are nested more than %d deep", maxDefinitionDepth)
			return false
		}
		for i, child := range n.Content {
			key := n.Kind == yaml.MappingNode && i%2 == 0 && depth > 0
			if key && slices.ContainsFunc(wso2Keys()[:2], func(known string) bool { return strings.EqualFold(known, child.Value) }) {
				r.fail(child, "%s counts at the top of a definition, for the whole API, and nowhere else", strings.ToLower(child.Value))
				if reported++; reported >= maxMisplaced {
					return false
				}
			}
			if !walk(child, depth+1) {
				return false
			}
		}
		return true
	}
	walk(root, 0)
}
