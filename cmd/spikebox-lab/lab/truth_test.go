//go:build linux

package lab

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

func TestTruthIsInOrderOfTime(t *testing.T) {
	h := &Host{name: "edge-1", Addr: "192.0.2.10", ns: -1}
	truth := newTruth(&Incident{Name: "test"}, Options{Seed: 7}, map[string]string{"backlog": "8"})
	truth.host(h)
	truth.count(h, "armed", map[string]int64{"Tcp.InSegs": 5, "Tcp.MaxConn": -1})
	truth.count(h, "start", map[string]int64{"Tcp.InSegs": 8, "Tcp.MaxConn": -1})
	truth.count(h, "end", map[string]int64{"Tcp.InSegs": 9, "Tcp.MaxConn": -1, "TcpExt.ListenOverflows": 3})
	truth.count(h, "left", map[string]int64{"Tcp.InSegs": 9, "Tcp.MaxConn": -1, "TcpExt.ListenOverflows": 3})
	truth.Trigger.NotBefore = 2_000_000_000
	truth.stepAt(3_500_000_000, "second")
	truth.stepAt(1_000_000_000, "first")
	truth.flow(&actor.Flow{Group: "crowd", First: 20, End: "done"})
	truth.flow(&actor.Flow{Group: "crowd", First: 10, End: "reset"})
	truth.finish()

	want := []Step{{1_000_000_000, -1, "first"}, {3_500_000_000, 1.5, "second"}}
	if d := cmp.Diff(want, truth.Steps); d != "" {
		t.Error(d)
	}
	if truth.Flows[0].First != 10 || truth.Ends["crowd"]["reset"] != 1 {
		t.Errorf("flows %v, ends %v", truth.Flows, truth.Ends)
	}
	if _, there := truth.Hosts[0].Counters["Tcp.MaxConn"]; there {
		t.Error("a counter that never moved is told")
	}
	if a, b := truth.Moved("edge-1", "TcpExt.ListenOverflows", "armed", "start"), truth.Moved("edge-1", "TcpExt.ListenOverflows", "start", "end"); a != 0 || b != 3 {
		t.Errorf("ListenOverflows moved by %d before and %d during the incident, want 0 and 3", a, b)
	}

	path := filepath.Join(t.TempDir(), "truth.json")
	if err := truth.write(path); err != nil {
		t.Fatal(err)
	}
	back, err := ReadTruth(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(truth, back, cmpopts.IgnoreUnexported(Truth{}), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}
