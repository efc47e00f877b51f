package report

import (
	_ "embed"
	"encoding/json"
	"io"
)

// SchemaText is the JSON Schema of a document.
//
//go:embed findings.schema.json
var SchemaText []byte

// JSON writes a document for programs and people alike: indented, and with < and >
// as they are, since filters are full of them.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
