package check_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Every check whose findings can be seen in a series is one, and every such series is one that a case or a real bundle has: a name
// that is misspelt shows nothing, and nobody misses it.
func TestShows(t *testing.T) {
	left := map[string]string{} // by pattern, a check that names it
	for id, patterns := range check.Shows {
		if check.Find(id) == nil {
			t.Errorf("no check is called %s", id)
		}
		for _, pattern := range patterns {
			left[pattern] = id
		}
	}
	paths, err := filepath.Glob("../../testdata/bundles/*/*.zst")
	if err != nil {
		t.Fatal(err)
	}
	all, err := cases.Load("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		path, err := c.Build(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		if len(left) == 0 {
			return
		}
		e, err := evidence.Read([]string{path}, evidence.Options{})
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		lines := timeline.Build(&e.Columns)
		maps.DeleteFunc(left, func(pattern, _ string) bool {
			found, err := lines.Match(pattern)
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
			}
			return len(found) > 0
		})
	}
	for _, pattern := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("%s is shown in %s, which no case and no bundle has", left[pattern], pattern)
	}
}
