package format

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The example in SPEC.md is a manifest of this version without an unknown field.
func TestSpecExample(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := bytes.Cut(spec, []byte("```json\n"))
	example, _, ok := bytes.Cut(example, []byte("```"))
	if !ok {
		t.Fatal("no example")
	}
	m, err := parseManifest(example)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(example))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		t.Error(err)
	}
	// Every field of a manifest is in the example.
	if again, err := json.Marshal(m); err != nil || !sameKeys(t, again, example) {
		t.Errorf("the example lacks fields: %s, %v", again, err)
	}
}

var keyPattern = regexp.MustCompile(`"([a-z_]+)":`)

func sameKeys(t *testing.T, a, b []byte) bool {
	t.Helper()
	has := map[string]bool{}
	for _, k := range keyPattern.FindAllSubmatch(b, -1) {
		has[string(k[1])] = true
	}
	same := true
	for _, k := range keyPattern.FindAllSubmatch(a, -1) {
		if !has[string(k[1])] {
			t.Errorf("no %s", k[1])
			same = false
		}
	}
	return same
}

var citation = regexp.MustCompile(`SPEC\.md, "([^"]+)"`)

// Sections of SPEC.md that code cites have to exist.
func TestSpecCitations(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for line := range strings.Lines(string(spec)) {
		if strings.HasPrefix(line, "#") {
			sections[strings.Trim(line, "# \n")] = true
		}
	}
	cited := 0
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		code, err := os.ReadFile(path)
		for _, c := range citation.FindAllSubmatch(code, -1) {
			if cited++; !sections[string(c[1])] {
				t.Errorf("%s cites section %q, which is not in SPEC.md", path, c[1])
			}
		}
		return err
	})
	if err != nil || cited == 0 {
		t.Fatalf("%d citations, error %v", cited, err)
	}
}
