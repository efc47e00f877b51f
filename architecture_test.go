// Package spikebox holds the tests of the house itself.
package spikebox

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/spikebox/spikebox/"

// law says which of our packages each part of the house may import: the first row whose
// folder matches rules. "self" is the folder itself.
var law = []struct {
	folder string
	may    []string
}{
	{"format", []string{"format"}},
	{"bpf", nil},
	{"recorder/trigger", []string{"format/unit"}},
	{"recorder", []string{"format", "bpf", "recorder"}},
	{"analyzer", []string{"format", "analyzer"}},
	{"cmd/spikebox", []string{"format", "analyzer", "recorder/trigger", "cmd/internal", "cmd/spikebox"}},
	{"cmd/spikebox-lab", []string{"format", "cmd/internal", "cmd/spikebox-lab"}},
	{"cmd/spikeboxd", []string{"format", "recorder", "cmd/internal", "cmd/spikeboxd"}},
	{"cmd/internal", []string{"format", "cmd/internal"}},
}

// topLevel is every folder that the root may have.
var topLevel = []string{"analyzer", "bpf", "cmd", "format", "recorder", "testdata"}

// foreign are modules that must not be linked into what runs on a laptop.
var foreign = []string{"github.com/cilium/ebpf", "github.com/vishvananda/", "github.com/mdlayher/", "golang.org/x/sys/unix"}

func TestImportLaw(t *testing.T) {
	files := goFiles(t)
	if len(files) < 50 {
		t.Fatalf("found %d Go files: the test looks in the wrong place", len(files))
	}
	for _, file := range files {
		folder := filepath.ToSlash(filepath.Dir(file))
		may, ok := allowed(folder)
		if !ok {
			if folder != "." {
				t.Errorf("%s: no row of the law covers this folder", file)
			}
			continue
		}
		for _, path := range imports(t, file) {
			ours, isOurs := strings.CutPrefix(path, module)
			if isOurs && !slices.ContainsFunc(may, func(m string) bool { return within(ours, m) }) {
				t.Errorf("%s imports %s, which the law does not allow", file, ours)
			}
			if within(folder, "analyzer") && !strings.HasSuffix(file, "_test.go") {
				for _, f := range foreign {
					if strings.HasPrefix(path, f) {
						t.Errorf("%s imports %s: the analyzer runs on any system", file, path)
					}
				}
			}
		}
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := filepath.Glob("*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Base(e)
		if name != "bin" && name != "out" && !slices.Contains(topLevel, name) {
			t.Errorf("folder %s is not part of the house", name)
		}
	}
}

func allowed(folder string) ([]string, bool) {
	for _, row := range law {
		if within(folder, row.folder) {
			return row.may, true
		}
	}
	return nil, false
}

// within tells whether a package lies in a folder of the house.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "out" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range parsed.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}
