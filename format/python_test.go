package format

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A reader of some sixty lines of Python, written from SPEC.md alone, sees in whole, cut
// and damaged bundles what this package sees.
func TestPythonReadsBundles(t *testing.T) {
	for _, tool := range []string{"python3", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("needs %s: install it", tool)
		}
	}
	bundles, err := filepath.Glob("../testdata/bundles/*/*" + Ext)
	if err != nil || len(bundles) == 0 {
		t.Fatalf("%d bundles, %v", len(bundles), err)
	}
	for _, path := range bundles {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func([]byte) []byte{
			"whole":  func(b []byte) []byte { return b },
			"cut":    func(b []byte) []byte { return b[:len(b)*2/3] },
			"edited": func(b []byte) []byte { return repacked(t, b, false, edit) },
			"newer":  func(b []byte) []byte { return repacked(t, b, true, newer) },
		} {
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) { comparePython(t, change(bytes.Clone(b))) })
		}
	}
}

func edit(member string, data []byte) []byte {
	if member == "vitals.csv" {
		return append(data, '\n')
	}
	return data
}

func newer(member string, data []byte) []byte {
	if member == ManifestName {
		return bytes.Replace(data, []byte(`"format": 1`), []byte(`"format": 2`), 1)
	}
	return data
}

// comparePython holds the Python reader's list of whole members and its exit code against
// this package's.
func comparePython(t *testing.T, b []byte) {
	path := filepath.Join(t.TempDir(), "x"+Ext)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "../testdata/bundles/read_bundle.py", path).Output()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, Limits{})
	version := (*VersionError)(nil)
	if refused := errors.As(err, &version); refused != strings.HasSuffix(t.Name(), "/newer") || refused && code != 1 {
		t.Fatalf("a newer format is refused: %v, and by Python with %d, want 1", refused, code)
	}
	if version != nil {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	damaged := map[string]bool{}
	for _, err := range Check(r) {
		for _, m := range r.Members() {
			damaged[m.Name] = damaged[m.Name] || strings.Contains(err.Error(), `"`+m.Name+`"`)
		}
	}
	if want := map[bool]int{true: 4, false: 0}[len(Check(r)) > 0]; code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	whole := map[string]bool{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) == 3 && (f[1] == "whole" || f[1] == "damaged") {
			whole[f[2]] = f[1] == "whole"
		}
	}
	for _, m := range r.Members() {
		// Without sums Python has nothing to go by, and says damaged.
		if m.Name != SumsName && m.SHA256 != "" && whole[m.Name] != (m.Complete && !damaged[m.Name]) {
			t.Errorf("%s: Python says whole %v, this package complete %v, damaged %v", m.Name, whole[m.Name], m.Complete, damaged[m.Name])
		}
	}
}
