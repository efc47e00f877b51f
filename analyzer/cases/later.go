package cases

import (
	"bytes"
	"strings"

	"github.com/spikebox/spikebox/format"
)

// Later gives a bundle as a later recorder might write it: with all that format/SPEC.md, "Versions", lets it add.
func Later(bundle []byte) ([]byte, error) {
	return Repack(bundle, add, Extra{Name: "later.jsonl", Content: []byte("{}\n")}, Extra{Name: "static/later", Content: []byte("x")})
}

// add adds fields to objects, columns behind those of CSV, rows of a kind that nobody knows,
// and a source.
func add(name string, content []byte) []byte {
	switch {
	case name == format.ManifestName:
		content = bytes.Replace(content, []byte(`"sources": [`), []byte(`"sources": [{"name": "later", "state": "complete", "later": 1},`), 1)
		return field(content)
	case strings.HasSuffix(name, ".json"):
		return field(content)
	case strings.HasSuffix(name, ".jsonl"):
		var out []byte
		for line := range bytes.Lines(content) {
			out = append(out, field(line)...)
		}
		if name == "events.jsonl" {
			out = append(out, `{"time": 1, "kind": "later", "cpu": 0, "netns": 1}`+"\n"...)
		}
		return out
	case strings.HasSuffix(name, ".csv"):
		var out []byte
		for i, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
			line += ",7\n"
			if i == 0 {
				line = strings.Replace(line, ",7\n", ",later\n", 1)
			}
			out = append(out, line...)
		}
		return out
	}
	return content
}

// field adds one to an object, at its begin.
func field(object []byte) []byte {
	return bytes.Replace(object, []byte("{"), []byte(`{"later": {"x": [1]}, `), 1)
}
