package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// structures is what the members in JSON hold: of JSON Lines each line, otherwise the whole.
var structures = map[string]reflect.Type{
	format.ManifestName:             reflect.TypeFor[format.Manifest](),
	member.EventsName:               reflect.TypeFor[member.Event](),
	member.LatenciesName:            reflect.TypeFor[member.Latency](),
	member.SocketsName:              reflect.TypeFor[member.Socket](),
	member.ProcessesName:            reflect.TypeFor[member.ProcessUse](),
	member.ConntrackSummaryName:     reflect.TypeFor[member.ConntrackSummary](),
	member.QdiscsName:               reflect.TypeFor[member.Qdisc](),
	member.LinksName:                reflect.TypeFor[member.Link](),
	member.AddressesName:            reflect.TypeFor[member.Address](),
	member.RoutesName:               reflect.TypeFor[member.Route](),
	member.RulesName:                reflect.TypeFor[member.Rule](),
	member.NeighboursName:           reflect.TypeFor[member.Neighbour](),
	member.NetlinkSummaryName:       reflect.TypeFor[member.NetlinkSummary](),
	member.NetfilterName:            reflect.TypeFor[member.Netfilter](),
	member.StatisticsName:           reflect.TypeFor[member.Statistics](),
	member.EthtoolFolder + "*.json": reflect.TypeFor[member.NIC](),
}

// structureOf gives what a member holds; nil: no JSON.
func structureOf(name string) reflect.Type {
	for pattern, t := range structures {
		if ok, _ := filepath.Match(pattern, name); ok {
			return t
		}
	}
	return nil
}

// planted gives a value with a text wherever its type has room for one: a recorder of this kernel and these
// privileges leaves most fields out. Lists get one entry more, so that what is there stays as it was recorded.
func planted(v any, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return planted(v, t.Elem())
	case reflect.String:
		if text, ok := v.(string); ok && text != "" {
			return v
		}
		return "planted"
	case reflect.Slice:
		list, _ := v.([]any)
		var last any
		if len(list) > 0 {
			last = copied(list[len(list)-1])
		}
		return append(list, planted(last, t.Elem()))
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		m["planted"] = planted(nil, t.Elem())
		return m
	case reflect.Struct:
		return plantedStruct(v, t)
	}
	if v == nil && t.Kind() != reflect.Bool {
		return json.Number("1")
	}
	return v
}

func plantedStruct(v any, t reflect.Type) any {
	m, ok := v.(map[string]any)
	switch {
	case v == nil && t.NumField() > 0 && field(t.Field(0)) == "": // of netip.Addr, time.Time and a Setting, which are texts
		return nil
	case v != nil && !ok:
		return v
	case !ok:
		m = map[string]any{}
	}
	for i := range t.NumField() {
		if name := field(t.Field(i)); name != "" && name != "-" {
			if e := planted(m[name], t.Field(i).Type); e != nil {
				m[name] = e
			}
		}
	}
	return m
}

// field is the name of a field in JSON.
func field(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// copied gives a value that shares nothing with the other.
func copied(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = copied(v[i])
		}
		return all
	case map[string]any:
		all := maps.Clone(v)
		for k := range all {
			all[k] = copied(all[k])
		}
		return all
	}
	return v
}

// plant gives a member in JSON with all that it may hold: of JSON Lines one line more.
func plant(name string, data []byte) []byte {
	t := structureOf(name)
	if t == nil {
		return data
	}
	if !strings.HasSuffix(name, ".jsonl") {
		out, _ := json.Marshal(planted(decoded(data), t))
		return out
	}
	last := bytes.TrimSpace(data)
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	out, _ := json.Marshal(planted(decoded(last), t))
	return append(append(bytes.Clone(data), out...), '\n')
}

func decoded(data []byte) (v any) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

// addTexts adds the path of every text of a type, or of a value only where it holds the poison.
func addTexts(all map[string]bool, path string, v reflect.Value, poisoned bool) {
	t := v.Type()
	switch t.Kind() {
	case reflect.String:
		if !poisoned || strings.Contains(v.String(), "cmd()") {
			all[path] = true
		}
	case reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(t.Elem())
		}
		addTexts(all, path, v.Elem(), poisoned)
	case reflect.Slice:
		for i := range v.Len() {
			addTexts(all, path, v.Index(i), poisoned)
		}
		if !poisoned {
			addTexts(all, path, reflect.Zero(t.Elem()), poisoned)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			addTexts(all, path, v.MapIndex(k), poisoned)
		}
		if !poisoned {
			addTexts(all, path, reflect.Zero(t.Elem()), poisoned)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if name := field(t.Field(i)); name != "" && name != "-" {
				addTexts(all, path+"."+t.Field(i).Name, v.Field(i), poisoned)
			}
		}
	}
}

// Whatever text the format has room for, the poisoned bundle holds poison there: what a test of the door does not
// carry past it, the door may let through.
func TestEveryTextIsPoisoned(t *testing.T) {
	want, got := map[string]bool{}, map[string]bool{}
	for _, s := range structures {
		addTexts(want, s.Name(), reflect.Zero(s), false)
	}
	read := func(name string, data []byte) []byte {
		s := structureOf(name)
		if s == nil {
			if strings.Contains(filepath.Ext(name), ".json") {
				t.Errorf("nobody says what %s holds", name)
			}
			return data
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		for dec.More() {
			v := reflect.New(s)
			if err := dec.Decode(v.Interface()); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			addTexts(got, s.Name(), v.Elem(), true)
		}
		return data
	}
	// Of a row whose times or addresses cannot be read nothing else is.
	rest := poison{line, func(key, v string) bool {
		return isTime(v) || slices.Contains([]string{"local", "remote", "addr"}, key)
	}}
	if _, err := cases.Repack(poisoned(t, rest), read); err != nil {
		t.Fatal(err)
	}
	delete(want, "Manifest.Trigger.Vital") // stays, see poison.string; that of Joined is poisoned
	for path := range want {
		if !got[path] {
			t.Errorf("no poison in %s", path)
		}
	}
	if len(want) < 100 {
		t.Errorf("%d texts only", len(want))
	}
}

// Every structure of the format that is written as JSON is in the list above, or in one that is.
func TestEveryStructureIsPoisoned(t *testing.T) {
	reached := map[string]bool{"Member": true} // what inspect lists, no part of a bundle
	for _, s := range structures {
		addStructures(reached, s)
	}
	for _, dir := range []string{"../../format", "../../format/member"} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%d files, %v", len(paths), err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok && tagged(spec) && !reached[spec.Name.Name] {
					t.Errorf("%s: nobody poisons %s", path, spec.Name.Name)
				}
				return true
			})
		}
	}
}

// tagged says whether a type has fields in JSON.
func tagged(spec *ast.TypeSpec) bool {
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return false
	}
	for _, f := range s.Fields.List {
		if f.Tag != nil && strings.Contains(f.Tag.Value, "json:") {
			return true
		}
	}
	return false
}

func addStructures(all map[string]bool, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		addStructures(all, t.Elem())
	case reflect.Struct:
		all[t.Name()] = true
		for i := range t.NumField() {
			addStructures(all, t.Field(i).Type)
		}
	}
}
