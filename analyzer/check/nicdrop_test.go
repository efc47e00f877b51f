package check

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

// A veth counts what the backlog behind its other end refuses, which is no fault of a driver's; a card does not.
func TestVethDropsOfBacklogs(t *testing.T) {
	for name, tt := range map[string]struct {
		driver  string
		refused float64
		want    bool
	}{
		"refused behind a veth":    {"veth", 1000, false},
		"dropped by a veth":        {"veth", 0, true},
		"a card, and a backlog":    {"virtio_net", 1000, true},
		"a veth, and much besides": {"veth", 300, true},
	} {
		var columns column.Columns
		total := []float64{0, 0, 0, 500, 1000, 1000} // counters so far
		for i, n := range total {
			row, _ := columns.Row("snapshots/net/dev", int64(i+1)*1e9)
			row.Put(column.Counter, "", n, "if.v0.tx_dropped")
			row.Put(column.Counter, "", float64(i)*10_000, "if.v0.tx_packets")
			row.Put(column.Counter, "", n*tt.refused/1000, "softnet.cpu0.dropped")
		}
		c := &Case{Evidence: &evidence.Evidence{NICs: map[string]*member.NIC{"v0": {Interface: "v0", Driver: &member.NICDriver{Name: tt.driver}}}},
			Lines: timeline.Build(&columns), Window: timeline.Span{Start: 0, End: 10e9}}
		if f := c.droppedOut("v0"); (f != nil) != tt.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
