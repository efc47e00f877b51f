package check

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

// The ticks of accept queues are of another member than the queues, and may be missing.
func TestQueuesWithoutTicks(t *testing.T) {
	c := &Case{Evidence: &evidence.Evidence{}, Lines: timeline.Build(&column.Columns{})}
	at := netip.MustParseAddrPort("192.0.2.1:80")
	for i := range 10 {
		c.Evidence.Queues = append(c.Evidence.Queues, member.Queue{Local: at, Time: int64(i) * 1e9, AcceptQueue: uint32(5 + i)})
	}
	if got := c.lines(); len(got) != 1 || got[0].to != 14 {
		t.Errorf("%d stretches: %+v", len(got), got)
	}
}
