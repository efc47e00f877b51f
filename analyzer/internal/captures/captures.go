// Package captures says where the captures and texts are that tests are held against.
package captures

import (
	"os"
	"path/filepath"
	"testing"
)

// Variable names the folder of what others made: tcprs/ (the traces and reviewed logs of the TCPRS
// suite, with tshark's opinion of each in truth/), formats/ (the files of pcapng-test-generator),
// text/procfs/ (the fixtures of prometheus/procfs) and the long run of linux-6.18/. Tests run in
// the folder of their package, so the path is absolute: make test makes it so.
const Variable = "SPIKEBOX_CAPTURES"

// Ours returns the files under testdata/captures that match a pattern of filepath.Glob. They are in
// every clone: that there is none fails the test.
func Ours(t testing.TB, pattern string) []string {
	t.Helper()
	return match(t, filepath.Join(repository(t), "testdata", "captures"), pattern)
}

// Others returns the files that match a pattern in the folder that Variable names, and skips the test
// where it names none. Nothing may rest on these alone: what they show must also be shown by captures
// of ours or by generated ones.
func Others(t testing.TB, pattern string) []string {
	t.Helper()
	dir := os.Getenv(Variable)
	if dir == "" {
		t.Skipf("needs captures that others made: %s=DIR make test (see testdata/captures/README.md)", Variable)
	}
	return match(t, dir, pattern)
}

// match returns the files, of which there must be some.
func match(t testing.TB, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("find %s in %s: %d files, error %v", pattern, dir, len(files), err)
	}
	return files
}

// repository returns the folder of go.mod: tests run in the folder of their package.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}
