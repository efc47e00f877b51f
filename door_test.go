package spikebox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// outside are rooms that no stranger's text reaches: they make incidents, or run in tests.
var outside = []string{
	"cmd/spikebox-lab", "cmd/internal/clitest", "recorder/internal/vm", "recorder/internal/testns", "analyzer/cases", "analyzer/internal",
}

// doors are the files that may name the process's outputs, print to them or write CSV, and why.
var doors = map[string]string{
	"cmd/internal/cli/door.go":       "it is the door",
	"recorder/capture/waker.go":      "it wakes itself by an eventfd",
	"recorder/internal/hang/hang.go": "a file system for tests answers the kernel",
	"cmd/spikebox/screen.go":         "a progress bar, all of whose text is its own",
	"cmd/spikeboxd/main_others.go":   "two constants, where nothing else is linked",
	"format/plain/csv.go":            "it is the door for CSV",
	"recorder/namespaces/keeper.go":  "it hands them to the same program, which has the door",
	"cmd/spikeboxd/log.go":           "it makes JSON in memory, and says it by cli.Say",
	"recorder/control/server.go":     "a logger that drops everything, in place of net/http's own, which is another way out",
}

// loose is what of log/slog writes by itself, or makes what does: a logger that was handed on is none of it.
var loose = []string{
	"Default", "SetDefault", "With", "Debug", "Info", "Warn", "Error", "Log", "LogAttrs",
	"DebugContext", "InfoContext", "WarnContext", "ErrorContext", "NewTextHandler", "NewJSONHandler", "NewLogLogger",
}

// Text reaches a terminal through package plain alone.
func TestOneDoorForText(t *testing.T) {
	each(t, nil, doors, "print to cli.Out, say it with cli.Say, write CSV with plain.NewCSV", func(pkg, name string) bool {
		switch pkg {
		case "os":
			return name == "Stdout" || name == "Stderr"
		case "fmt":
			return strings.HasPrefix(name, "Print")
		case "csv":
			return name == "NewWriter"
		case "syscall", "unix", "windows":
			return name == "Write" || name == "Stdout" || name == "Stderr"
		}
		return name == "println" || pkg == "import" && name == "log" || pkg == "slog" && slices.Contains(loose, name)
	})
}

// makers are the files that may make or rename files, and where the names come from.
var makers = map[string]string{
	"format/extract.go":        "a bundle: it is the door",
	"format/forms.go":          "nobody: a temporary file, which has no name any more",
	"format/partial.go":        "the recorder's own name, checked by checkBundleName",
	"format/disk.go":           "likewise",
	"format/writer.go":         "likewise",
	"cmd/spikebox/packets.go":  "the file that the command line names",
	"cmd/spikebox/arrivals.go": "a constant, in the folder of a report: that of a file in the folder that the command line names",
	"cmd/spikebox/watch.go":    "the folder that the command line names",
	"analyzer/page/write.go":   "constants, in the folder that the command line names",
}

// A name out of a bundle becomes a file's in format.Extract alone, which has checked it and
// stays in its folder. The recorder opens no bundle.
func TestOneDoorForPaths(t *testing.T) {
	names := []string{"Create", "CreateTemp", "OpenFile", "WriteFile", "Mkdir", "MkdirAll", "MkdirTemp", "Rename", "CopyFS"}
	each(t, []string{"format", "analyzer", "cmd"}, makers, "only format.Extract makes files of a bundle's names; list it with where its names come from", func(pkg, name string) bool {
		return slices.Contains(names, name) || pkg == "os" && (name == "Link" || name == "Symlink")
	})
}

// each looks at every selector, import and plain call in the code of some wings (nil: all)
// and reports those that are forbidden, but in files with leave. Leave that nothing needs
// is reported, too.
func each(t *testing.T, wings []string, leave map[string]string, instead string, forbidden func(pkg, name string) bool) {
	t.Helper()
	seen, used := 0, map[string]bool{}
	for _, file := range goFiles(t) {
		file = filepath.ToSlash(file)
		in := func(folder string) bool { return within(path.Dir(file), folder) }
		if strings.HasSuffix(file, "_test.go") || slices.ContainsFunc(outside, in) || wings != nil && !slices.ContainsFunc(wings, in) {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			pkg, name, goOn := named(n)
			if name == "" {
				return goOn
			}
			seen++
			if forbidden(pkg, name) {
				used[file] = true
				if leave[file] == "" {
					t.Errorf("%s: %s.%s: %s", set.Position(n.Pos()), pkg, name, instead)
				}
			}
			return goOn
		})
	}
	if seen < 2000 {
		t.Errorf("saw %d names only: the test looks in the wrong place", seen)
	}
	for file := range leave {
		if !used[file] {
			t.Errorf("%s needs no leave any more: take it off the list", file)
		}
	}
}

// named gives what a node names: x.Name (any x that is no plain name is ""), a called
// Name, or an import. What is asked of an output, os.Stdout.Fd(), is no output.
func named(n ast.Node) (pkg, name string, goOn bool) {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return "import", strings.Trim(n.Path.Value, `"`), false
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok {
			pkg = x.Name
		}
		return pkg, n.Sel.Name, n.Sel.Name != "Fd"
	case *ast.CallExpr:
		if x, ok := n.Fun.(*ast.Ident); ok {
			return "", x.Name, true
		}
	}
	return "", "", true
}
