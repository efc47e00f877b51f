package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spikebox": main})
}

// The command line as its users meet it: scripts in testdata/script, with the cases of
// testdata/cases as real files, NAME.spike.tar.zst or NAME.pcapng, in $CASES, and bundles of
// real runs in $BUNDLES.
func TestScripts(t *testing.T) {
	built := build(t)
	bundles, err := filepath.Abs("../../testdata/bundles")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CASES", built)
			env.Setenv("BUNDLES", bundles)
			return nil
		},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     clitest.Code,
			"compress": compress,
			"cut":      cut,
			"flip":     flip,
			"head":     head,
			"bundles":  everyCommand(bundleCommands),
			"inputs":   everyCommand(inputCommands),
		},
	})
}

// The commands that take a bundle, and those that take captures as well.
var (
	bundleCommands = [][]string{
		{"inspect"}, {"inspect", "--json"}, {"verify"}, {"extract", "-o", "out"}, {"extract", "-o", "-"},
		{"histogram"}, {"show", "kmsg"}, {"show", "settings"}, {"replay", "--trigger", "syn_recv > 1"},
	}
	inputCommands = [][]string{{"timeline"}, {"timeline", "--csv"}, {"analyze"}, {"analyze", "--json", "-o", "out"}, {"flows"}, {"flows", "--csv"}, {"flows", "--events", "1"}, {"packets"}, {"packets", "--flow", "1", "-w", "out"}}
)

// everyCommand runs "bundles|inputs CODE REGEXP INPUT…": each command ends with that code,
// prints nothing, says in the form of our errors what the expression asks for, and leaves no file.
func everyCommand(all [][]string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		want := regexp.MustCompile(args[1])
		for _, command := range all {
			clitest.Code(ts, false, slices.Concat([]string{args[0], "spikebox"}, command, args[2:]))
			stderr := ts.ReadFile("stderr")
			if !want.MatchString(stderr) || !strings.HasPrefix(stderr, "spikebox: error: ") || strings.Contains(stderr, "strconv") {
				ts.Fatalf("%v of %v says %q, want %q", command, args[2:], stderr, want)
			}
			if out := ts.ReadFile("stdout"); out != "" {
				ts.Fatalf("%v of %v prints %q", command, args[2:], out)
			}
			if _, err := os.Stat(ts.MkAbs("out")); err == nil {
				ts.Fatalf("%v of %v made a folder", command, args[2:])
			}
		}
	}
}

// build makes a file of every case.
func build(t *testing.T) string {
	t.Helper()
	all, err := cases.Load("../../testdata/cases")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	dir := t.TempDir()
	for _, c := range all {
		path, err := c.Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Capture {
			if err := os.Rename(path, filepath.Join(dir, c.Name+".spike.tar.zst")); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// cut writes "cut FILE BYTES NEW": FILE without its last BYTES.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	whole := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), whole[:len(whole)-n], 0o600))
}

// compress writes "compress gz|zst FILE NEW": FILE compressed, in blocks of 1000 bytes so
// that a part of it can be read.
func compress(ts *testscript.TestScript, _ bool, args []string) {
	out, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	defer out.Close()
	var w io.WriteCloser = gzip.NewWriter(out)
	if args[0] == "zst" {
		w, err = zstd.NewWriter(out)
		ts.Check(err)
	}
	for piece := range slices.Chunk([]byte(ts.ReadFile(args[1])), 1000) {
		_, err = w.Write(piece)
		ts.Check(err)
		ts.Check(w.(interface{ Flush() error }).Flush())
	}
	ts.Check(w.Close())
}

// flip writes "flip FILE OFFSET NEW": FILE with one bit changed.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	whole := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	whole[n] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), whole, 0o600))
}

// head writes "head FILE BYTES NEW": the first BYTES of FILE.
func head(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(ts.ReadFile(args[0]))[:n], 0o600))
}
