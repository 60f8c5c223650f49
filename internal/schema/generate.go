package schema

// The files that Generate makes, relative to the folder of go.mod.
const (
	schemaFile    = "internal/schema/document.schema.json"
	referenceFile = "docs/configuration.md"
	exampleFile   = "internal/schema/example.yaml"
)

// Generate makes the JSON Schema and the reference of the document from the source below root, the folder of go.mod, and
// returns the files by their names relative to it. The error names the type or field whose comment or tag is wrong.
func Generate(root string) (map[string][]byte, error) {
	m, err := newModel(root)
	if err != nil {
		return nil, err
	}
	schema, err := m.jsonSchema()
	if err != nil {
		return nil, err
	}
	reference, err := m.reference(root)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{schemaFile: schema, referenceFile: reference}, nil
}
