//go:build linux

package probe

import (
	"io"
	"testing"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// armAll opens every probe for a namespace and fails the test where one is refused
// that this kernel must take.
func armAll(t *testing.T, o Options) *Set {
	t.Helper()
	s := Open(o)
	t.Cleanup(func() { s.Close() })
	for _, r := range s.Results {
		switch {
		case r.Err == nil:
		case r.Probe == &functionProbe && s.Stacks != nil:
			t.Logf("not armed: %s: %s", r.Probe.ID, Reason(r.Err))
		case r.Probe == &responseProbe && without(r.Err):
			t.Logf("not armed: %s: %s", r.Probe.ID, Reason(r.Err))
		default:
			t.Errorf("not armed: %s: %s (%v)", r.Probe.ID, Reason(r.Err), r.Err.(*Refusal).Err)
		}
	}
	return s
}

// open arms one probe alone. It gives nil, having said so, where this kernel is too old for it.
func open(t *testing.T, p *Probe, netNS uint32) *Set {
	t.Helper()
	s := &Set{hub: alone(), opened: map[string]io.Closer{}}
	t.Cleanup(func() { s.Close() })
	if _, err := s.open(p, Options{NetNS: netNS}); without(err) {
		t.Logf("before Linux 5.11: %v", err)
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenArmsEverything(t *testing.T) {
	testns.New(t) // only for its gate
	s := Open(Options{})
	if len(s.Results) != len(All) {
		t.Errorf("%d results for %d probes", len(s.Results), len(All))
	}
	for i, r := range s.Results {
		if r.Probe != All[i] {
			t.Errorf("result %d is of probe %s, want %s", i, r.Probe.ID, All[i].ID)
		}
		t.Logf("%-10s %-40s %s", r.Probe.ID, r.Variant, Reason(r.Err))
	}
	stats, err := s.stats()
	must(t, err)
	if len(stats) < 12 {
		t.Errorf("%d programs armed, want at least 12", len(stats))
	}
	must(t, s.Close())
	armAll(t, Options{})
}

func TestProbesAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All {
		if p.ID == "" || seen[p.ID] || p.Doc == "" || len(p.Attach) == 0 || p.Needs == "" || p.Without == "" {
			t.Errorf("probe %+v lacks a text or its ID is not its own", p)
		}
		seen[p.ID] = true
	}
}

func BenchmarkOpen(b *testing.B) {
	testns.New(b) // only for its gate
	for b.Loop() {
		s := Open(Options{})
		s.Close()
	}
}
