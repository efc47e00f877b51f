package check

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/subject"
)

// Every check explains itself: users read it with `spikebox explain`.
func TestLiterals(t *testing.T) {
	idForm := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, c := range All {
		if seen[c.ID] || c.Title == "" || c.Doc == "" || c.Page == "" || c.Ref == "" || c.run == nil {
			t.Errorf("check %q is twice in the list, or lacks title, doc, page, reference or function", c.ID)
		}
		seen[c.ID] = true
		if !idForm.MatchString(c.ID) || Find(c.ID) != c {
			t.Errorf("check %q: the ID is not of the form a-b, or finds another check", c.ID)
		}
		for _, line := range strings.Split(c.Page, "\n") {
			if len(line) > 90 {
				t.Errorf("check %s: page has a line of %d columns", c.ID, len(line))
			}
		}
		needs(t, c)
		for _, l := range c.Limits {
			if l.Name == "" || l.Why == "" || l.Unit == "" {
				t.Errorf("check %s: limit %q has no name, no unit or no reason", c.ID, l.Name)
			}
		}
		causes(t, c)
		ownFile(t, c)
	}
	if Find("no-such-check") != nil {
		t.Error("a check is found that does not exist")
	}
}

// needs holds that a check says what it cannot do without, for else it would say absent of
// evidence that is not there.
func needs(t *testing.T, c *Check) {
	t.Helper()
	// What was lost is asked of whatever there is, and what was not explained of the answers.
	if len(c.Needs) == 0 && c != &captureIncomplete && c != &unexplained {
		t.Errorf("check %s needs nothing", c.ID)
	}
	for _, n := range c.Needs {
		if n.Name == "" || n.source == "" || n.get == "" || n.have == nil {
			t.Errorf("check %s: need %q lacks name, source, function or how to get it", c.ID, n.Name)
		}
	}
}

// causes holds that every cause is a check that is asked, with a reason that is a clause,
// as the report sets a full stop behind it. That causes make no circle, the compiler holds.
func causes(t *testing.T, c *Check) {
	t.Helper()
	for _, l := range c.Causes {
		if !slices.Contains(All, l.Cause) {
			t.Errorf("check %s: a cause is not in the list of checks", c.ID)
			continue
		}
		if l.On < subject.KindHost || l.On > subject.KindSetting || l.Slack < 0 {
			t.Errorf("check %s: cause %s meets it on kind %d with a slack of %v", c.ID, l.Cause.ID, l.On, l.Slack)
		}
		if l.Because == "" || strings.HasSuffix(l.Because, ".") {
			t.Errorf("check %s: cause %s: %q is no clause", c.ID, l.Cause.ID, l.Because)
		}
	}
}

// ownFile holds that a check is found by its ID in the folder.
func ownFile(t *testing.T, c *Check) {
	t.Helper()
	name := strings.ReplaceAll(c.ID, "-", "") + ".go"
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(text), `"`+c.ID+`"`) {
		t.Errorf("check %s is not in %s (%v)", c.ID, name, err)
	}
}
