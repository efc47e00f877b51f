package analyzer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/format"
)

// What format/SPEC.md, "Versions" lets later recorders add, added to bundles of real runs:
// each is read as it was, without a word about damage or what cannot be read.
func TestAdditionsChangeNothing(t *testing.T) {
	paths, err := filepath.Glob("../testdata/bundles/*/*" + format.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bundles in testdata: %v", err)
	}
	for _, path := range paths {
		bundle, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		added, err := cases.Repack(bundle, add, cases.Extra{Name: "later.jsonl", Content: []byte("{}\n")}, cases.Extra{Name: "static/later", Content: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		later := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(later, added, 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := Run([]string{path}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Run([]string{later}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// Only these name the file and its sources.
		got.Inputs, got.Bundle.Sources = want.Inputs, want.Bundle.Sources
		encoded := func(v any) string {
			text, err := json.MarshalIndent(v, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if diff := cmp.Diff(encoded(want), encoded(got)); diff != "" {
			t.Errorf("%s is read otherwise with additions:\n%s", path, diff)
		}
	}
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
