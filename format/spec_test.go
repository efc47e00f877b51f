package format

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The example in SPEC.md is a manifest of this version without an unknown field.
func TestSpecExample(t *testing.T) {
	example := specExample(t)
	m, err := parseManifest(example)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(example))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		t.Error(err)
	}
	for _, key := range jsonKeys(reflect.TypeFor[Manifest]()) {
		if !bytes.Contains(example, []byte(`"`+key+`":`)) {
			t.Errorf("the example lacks %q", key)
		}
	}
}

// jsonKeys are the names of all fields of a type and the types in it.
func jsonKeys(t reflect.Type) (keys []string) {
	switch {
	case t.Kind() == reflect.Slice:
		return jsonKeys(t.Elem())
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return nil
	}
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(append(keys, key), jsonKeys(t.Field(i).Type)...)
	}
	return keys
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
