package analyzer

import (
	"encoding/json"
	"os"
	"path/filepath"
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
		added, err := cases.Later(bundle)
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
