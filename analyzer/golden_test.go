package analyzer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/format"
)

// Bundles of real runs, one of each released version, are read for ever: whole, and with
// the verdict that the incident deserves.
func TestBundlesOfRealRuns(t *testing.T) {
	paths, err := filepath.Glob("../testdata/bundles/*/*" + format.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bundles in testdata: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), format.Ext)
		t.Run(name, func(t *testing.T) {
			r, err := format.Open(path, format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, err := range append(format.Check(r), r.Damage()...) {
				t.Error(err)
			}
			doc, err := Run([]string{path}, evidence.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want, ok := deserved[name]
			if !ok {
				t.Fatalf("no verdict is expected of %s: add it to the test", name)
			}
			for _, part := range want.verdict {
				if !strings.Contains(doc.Verdict, part) {
					t.Errorf("verdict %q does not say %q", doc.Verdict, part)
				}
			}
			for id, cause := range want.effects {
				found := false
				for _, f := range doc.Findings {
					found = found || f.ID == id && (cause == "" || slices.Contains(f.CausedBy, cause))
				}
				if !found {
					t.Errorf("no finding %s caused by %q", id, cause)
				}
			}
		})
	}
}

// deserved is what each incident's analysis must say: parts of the verdict, and findings
// with their causes.
var deserved = map[string]struct {
	verdict []string
	effects map[string]string
}{
	"listen-overflow": {
		verdict: []string{"192.0.2.10:8080", "shop-api", "overflowed 550 times", "109 connection attempts"},
		effects: map[string]string{"listen-overflow": "", "syn-retransmit": "listen-overflow"},
	},
	// A firewall on the server's host drops every SYN of one network; nobody's trigger sees it.
	"syn-dropped": {
		verdict: []string{"The packet filter of this host dropped 140 packets of 20 clients to 192.0.2.10:443", "TCP never saw the SYNs"},
		effects: map[string]string{"local-drop": "", "syn-retransmit": "local-drop"},
	},
	// Nothing is wrong.
	"healthy": {verdict: []string{"None of the ", "found anything wrong, "}},
}

// The bundle for a demonstration without root stays small enough for a clone.
func TestBundlesAreSmall(t *testing.T) {
	paths, err := filepath.Glob("../testdata/bundles/*/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bundles in testdata: %v", err)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Size() > 512<<10 {
			t.Errorf("%s: %v, %v; want at most 512 KiB", path, info.Size(), err)
		}
	}
}
