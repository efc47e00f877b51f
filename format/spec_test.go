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

// citation is a section that code cites, once its comments are one line each.
var (
	citation = regexp.MustCompile(`SPEC\.md, "([^"]+)"`)
	wrapped  = regexp.MustCompile(`\n\s*// ?`)
)

// citations gives the sections that a file cites, also where a line ends within one or a
// string holds it.
func citations(code string) (sections []string) {
	code = strings.ReplaceAll(wrapped.ReplaceAllString(code, " "), `\"`, `"`)
	for _, c := range citation.FindAllStringSubmatch(code, -1) {
		sections = append(sections, c[1])
	}
	return sections
}

func TestCitations(t *testing.T) {
	for code, want := range map[string]string{
		"// x (SPEC.md, \"Tar\")":                                  "Tar",
		"// x (format/SPEC.md,\n// \"Tar\"), \"Sums\"":             "Tar",
		"\t// x (SPEC.md, \"Seek\n\t// table\"; SPEC.md, \"Tar\")": "Seek table Tar",
		`Ref: "format/SPEC.md, \"Sources\""`:                       "Sources",
		"// x (SPEC.md), \"Tar\"":                                  "",
	} {
		if got := strings.Join(citations(code), " "); got != want {
			t.Errorf("%q cites %q, want %q", code, got, want)
		}
	}
}

// uncited are members that no code cites yet: take one off when its code does.
var uncited = []string{"stacks.pb.gz", "processes.jsonl", "conntrack.txt", "static/netlink/", "static/netfilter.json", "packets.pcapng"}

// Sections of SPEC.md that code cites have to exist, and every section is cited where it is
// fulfilled: who changes it finds the code, and who changes the code finds it.
func TestSpecCitations(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	cited := map[string]bool{} // by sections that there are
	fenced := false
	for line := range strings.Lines(string(spec)) {
		fenced = fenced != strings.HasPrefix(line, "```")
		if strings.HasPrefix(line, "##") && !fenced {
			cited[strings.Trim(line, "# \n")] = false
		}
	}
	for _, section := range uncited {
		if _, ok := cited[section]; !ok {
			t.Errorf("section %q may be uncited, but is not in SPEC.md", section)
		}
		cited[section] = true
	}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		code, err := os.ReadFile(path)
		for _, section := range citations(string(code)) {
			if _, ok := cited[section]; !ok && path != "../format/spec_test.go" {
				t.Errorf("%s cites section %q, which is not in SPEC.md", path, section)
			} else if !strings.HasSuffix(path, "_test.go") {
				cited[section] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for section, ok := range cited {
		if !ok {
			t.Errorf("no code cites section %q of SPEC.md", section)
		}
	}
}
