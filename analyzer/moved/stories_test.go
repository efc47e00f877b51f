package moved

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
)

// Of real incidents the series that tells the story is among the dozen. SPIKEBOX_LAB_RUNS is
// a folder with what `spikebox-lab run INCIDENT -o FOLDER/NAME` left, a folder for each run.
func TestStories(t *testing.T) {
	root := os.Getenv("SPIKEBOX_LAB_RUNS")
	if root == "" {
		t.Skip("SPIKEBOX_LAB_RUNS names no folder of runs of spikebox-lab")
	}
	bundles, err := filepath.Glob(filepath.Join(root, "*", "*"+format.Ext))
	if err != nil || len(bundles) == 0 {
		t.Fatalf("no bundles below %s: %v", root, err)
	}
	tell := stories(t)
	for _, path := range bundles {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			lines := find(t, path)
			wanted := tell[incident(t, path)]
			at := slices.IndexFunc(lines, func(l Line) bool {
				return slices.ContainsFunc(wanted, func(name string) bool { return l.Series == name || slices.Contains(l.With, name) })
			})
			for _, l := range lines {
				t.Logf("%8.1f %s: %g %s, %s", l.Score, l.Series, l.Value, l.Unit, l.Beside())
			}
			if wanted != nil && at < 0 {
				t.Errorf("none of %q is among %d", wanted, len(lines))
			}
			t.Logf("%q is number %d of %d", wanted, at+1, len(lines))
		})
	}
}

// stories reads testdata/stories.txt: the series by incident, none for a healthy one.
func stories(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/stories.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "#" {
			all[fields[0]] = strings.Split(fields[1], ",")
		}
	}
	return all
}

func find(t *testing.T, path string) []Line {
	t.Helper()
	e, err := evidence.Read([]string{path}, evidence.Options{NoPackets: true})
	if err != nil {
		t.Fatal(err)
	}
	return Find(e, timeline.Build(&e.Columns))
}

// incident reads which one the lab made.
func incident(t *testing.T, bundle string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(bundle), "truth.json"))
	var truth struct{ Incident string }
	if err == nil {
		err = json.Unmarshal(text, &truth)
	}
	if err != nil {
		t.Fatal(err)
	}
	return truth.Incident
}
