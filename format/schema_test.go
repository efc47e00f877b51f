package format

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "manifest.schema.json"

// Real manifests, and SPEC.md's example, are what the schema says.
func TestManifestsFitTheSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	manifests := map[string][]byte{"SPEC.md": specExample(t)}
	bundles, err := filepath.Glob("../testdata/bundles/*/*" + Ext)
	if err != nil || len(bundles) == 0 {
		t.Fatalf("%d bundles, %v", len(bundles), err)
	}
	for _, path := range bundles {
		r, err := Open(path, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		manifests[path] = readMember(t, r, ManifestName)
		r.Close()
	}
	for name, text := range manifests {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A schema that takes everything would have passed, too.
	for _, change := range []func(m map[string]any){
		func(m map[string]any) { delete(m, "window") },
		func(m map[string]any) { m["format"] = "1" },
		func(m map[string]any) { m["trigger"].(map[string]any)["time"] = "yesterday" },
		func(m map[string]any) { m["sources"].([]any)[0].(map[string]any)["state"] = "fine" },
	} {
		var m map[string]any
		if err := json.Unmarshal(manifests["SPEC.md"], &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		if schema.Validate(m) == nil {
			t.Error("a wrong manifest fits the schema")
		}
	}
}

// The schema has the fields of the Go types, by name and kind, and no other.
func TestSchemaIsTheGoTypes(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	inSchema := map[string]string{}
	schemaFields(doc, doc, "", inSchema)
	inGo := map[string]string{}
	goFields(reflect.TypeFor[Manifest](), "", inGo)
	if diff := cmp.Diff(inGo, inSchema); diff != "" {
		t.Errorf("Go types (-) and schema (+) differ:\n%s", diff)
	}
}

// schemaFields lists every property below node, by its path, with its type.
func schemaFields(doc, node map[string]any, path string, into map[string]string) {
	if ref, ok := node["$ref"].(string); ok {
		node = doc["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	kind, _ := node["type"].(string)
	if several, ok := node["type"].([]any); ok { // Go's nil slices and maps are null
		kind, _ = several[0].(string)
	}
	if node["enum"] != nil {
		kind = "string"
	}
	if path != "" {
		into[path] = kind
	}
	if items, ok := node["items"].(map[string]any); ok {
		schemaFields(doc, items, path+"[]", into)
	}
	props, _ := node["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		schemaFields(doc, props[name].(map[string]any), path+"."+name, into)
	}
}

// goFields lists every field below t in the same way.
func goFields(t reflect.Type, path string, into map[string]string) {
	kind := map[reflect.Kind]string{
		reflect.String: "string", reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint64: "integer",
		reflect.Float64: "number", reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	}[t.Kind()]
	if t == reflect.TypeFor[time.Time]() {
		kind = "string"
	}
	if path != "" {
		into[path] = kind
	}
	switch {
	case t.Kind() == reflect.Slice:
		goFields(t.Elem(), path+"[]", into)
	case t.Kind() == reflect.Struct && kind == "object":
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			goFields(t.Field(i).Type, path+"."+name, into)
		}
	}
}

// specExample is the manifest that SPEC.md shows.
func specExample(t *testing.T) []byte {
	t.Helper()
	spec, err := os.Open("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	defer spec.Close()
	text, err := io.ReadAll(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := bytes.Cut(text, []byte("```json\n"))
	example, _, ok := bytes.Cut(example, []byte("```"))
	if !ok {
		t.Fatal("no example")
	}
	return example
}

// An option that may be repeated is an array, any other a string, and what recorders wrote
// before is read as what was meant.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		text   string
		values []string
		again  string
	}{
		{`"30s"`, []string{"30s"}, `"30s"`},
		{`""`, nil, `""`},
		{`[]`, []string{}, `[]`},
		{`["443","a b, c"]`, []string{"443", "a b, c"}, `["443","a b, c"]`},
		{`"[]"`, nil, `"[]"`},
		{`"[listen.overflows > 0]"`, []string{"listen.overflows > 0"}, `"[listen.overflows > 0]"`},
		{`"[443,8443]"`, []string{"443", "8443"}, `"[443,8443]"`},
		{`"[x,\"a, b\"]"`, []string{"x", "a, b"}, `"[x,\"a, b\"]"`},
		{`"[[0-9]+,b]"`, []string{"[0-9]+", "b"}, `"[[0-9]+,b]"`},
		{`"10.0.0.0/8"`, []string{"10.0.0.0/8"}, `"10.0.0.0/8"`},
	} {
		s := Setting{Text: "of before", List: []string{"of before"}}
		if err := json.Unmarshal([]byte(c.text), &s); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if got := s.Values(); !slices.Equal(got, c.values) {
			t.Errorf("%s means %q, want %q", c.text, got, c.values)
		}
		var again strings.Builder
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil || again.String() != c.again+"\n" {
			t.Errorf("%s is written as %s, want %s (%v)", c.text, again.String(), c.again, err)
		}
	}
	for _, bad := range []string{`1`, `{}`, `[1]`, `true`} {
		if json.Unmarshal([]byte(bad), new(Setting)) == nil {
			t.Errorf("%s is taken for an option's value", bad)
		}
	}
}
