package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/format"
)

// Bundles of recorders that are older, and of those that are newer by what the format lets them add, are read by every
// command alike: the same words and the same exit code.
func TestVersionSkew(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/bundles/*/*" + format.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bundles in testdata: %v", err)
	}
	commands := [][]string{
		{"analyze"}, {"analyze", "--json"}, {"verify"}, {"flows"}, {"flows", "--csv"}, {"packets"}, {"timeline"},
		{"histogram"}, {"replay", "--trigger", "syn_recv > 1"}, {"show", "kmsg"}, {"show", "sockets"}, {"show", "events"},
		{"show", "drops"}, {"show", "processes"}, {"show", "settings"}, {"show", "conntrack"}, {"explain", "listen-overflow"},
	}
	// They show the members, sources, series and events that were added; what analyze concludes, package analyzer compares.
	more := []string{"verify", "analyze", "analyze --json", "timeline", "show events"}
	for _, path := range paths {
		bundle, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		added, err := cases.Later(bundle)
		if err != nil {
			t.Fatal(err)
		}
		// Under the same name: it is printed.
		later := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(later, added, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range commands {
			old, got := spikebox(t, append(slices.Clone(c), path)...), spikebox(t, append(slices.Clone(c), later)...)
			words := func(p printed) string {
				return strings.NewReplacer(later, "BUNDLE", path, "BUNDLE").Replace(string(p.stdout) + string(p.stderr))
			}
			if old.code > 3 || got.code != old.code || string(got.stderr) != string(old.stderr) || !slices.Contains(more, strings.Join(c, " ")) && words(got) != words(old) {
				t.Errorf("%v of %s: exit code %d, and %d of a later one\n%.300s\n%.300s", c, filepath.Base(path), old.code, got.code, words(old), words(got))
			}
		}
	}
}
