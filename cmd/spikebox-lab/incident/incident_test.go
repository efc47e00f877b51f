//go:build linux

package incident

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

// TestIncidentsAreWellMade holds every incident to the form: a file of its name, a
// line, a story, and parameters, of which one is the baseline that Begin waits for.
func TestIncidentsAreWellMade(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, inc := range All {
		if seen[inc.Name] || !name.MatchString(inc.Name) {
			t.Errorf("%s: a second incident of this name, or no name for one", inc.Name)
		}
		seen[inc.Name] = true
		if _, err := os.Stat(strings.ReplaceAll(inc.Name, "-", "_") + ".go"); err != nil {
			t.Errorf("%s: %v", inc.Name, err)
		}
		if inc.Doc == "" || strings.Contains(inc.Doc, "\n") || len(strings.TrimSpace(inc.Story)) < 100 || inc.Run == nil {
			t.Errorf("%s: want one line of doc, a story, and a function", inc.Name)
		}
		for _, id := range append(inc.Expected.Wanted(), inc.Expected.Allowed...) {
			if !name.MatchString(id) {
				t.Errorf("%s: %q is no ID of a finding", inc.Name, id)
			}
		}
		for i, p := range inc.Params {
			twice := slices.ContainsFunc(inc.Params[:i], func(o lab.Param) bool { return o.Name == p.Name })
			if twice || p.Small == "" || p.Full == "" || p.Doc == "" {
				t.Errorf("%s: parameter %q wants a name of its own, a line and both values", inc.Name, p.Name)
			}
		}
		if !slices.ContainsFunc(inc.Params, func(p lab.Param) bool { return p.Name == "baseline" }) {
			t.Errorf("%s has no baseline", inc.Name)
		}
	}
}

// TestEveryFileIsListed catches an incident that nobody can run.
func TestEveryFileIsListed(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		base, source := strings.CutSuffix(f.Name(), ".go")
		if !source || base == "incident" || base == "incident_test" {
			continue
		}
		listed := slices.ContainsFunc(All, func(inc *lab.Incident) bool {
			return strings.ReplaceAll(inc.Name, "-", "_") == base
		})
		if !listed {
			t.Errorf("%s has no line in All", f.Name())
		}
	}
}
