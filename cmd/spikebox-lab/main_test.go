//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
)

// bin holds the real binaries, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	// The incidents wait more than they work, so more of them than CPUs run at once.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(withBinaries(m))
}

func withBinaries(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "spikebox-lab-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin, "../spikebox", "../spikeboxd", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binaries: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// needRoot is the one gate of the tests that make namespaces.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("make network namespaces: not root (CI must be)")
	}
	t.Skip("needs root: run make test as root")
}

// TestParametersHideNoFlag wants every flag of an incident to be its own: one with the
// name of a flag of run could never be given.
func TestParametersHideNoFlag(t *testing.T) {
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	setupRun(flags)
	for _, inc := range incident.All {
		for _, p := range inc.Params {
			if f := flags.Lookup(p.Name); !f.Hidden || f.Name == "no-recorder" {
				t.Errorf("%s: --%s is a flag of run", inc.Name, p.Name)
			}
		}
	}
}

func TestScripts(t *testing.T) { scripts(t, "testdata/script") }

func TestRootScripts(t *testing.T) {
	needRoot(t)
	scripts(t, "testdata/script/root")
}

func scripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			return nil
		},
	})
}
