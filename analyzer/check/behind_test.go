package check

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// An upstream that no packet shows is told of where it took longer than before: where nothing before is known, longer than what people notice. A
// proxy whose answers took 0.1 s in the median and 0.4 at most, as its host had just begun to be recorded, did not wait for one of 50 ms.
func TestUnseenUpstreamHasGrown(t *testing.T) {
	for name, tt := range map[string]struct {
		upstream []float64 // s, of seconds 1, 2 …
		from     int64     // in which the service began to be slow
		want     bool
	}{
		"grew":                    {[]float64{0.01, 0.01, 0.3, 0.3}, 3, true},
		"as before":               {[]float64{0.1, 0.1, 0.3, 0.3}, 3, false},
		"nothing before, short":   {[]float64{0.05, 0.05}, 0, false},
		"nothing before, as long": {[]float64{0.3, 0.3}, 0, true},
	} {
		var columns column.Columns
		for i, v := range tt.upstream {
			row, _ := columns.Row("vitals.csv", int64(i+1)*1e9)
			row.Put(column.Gauge, "s", v, "upstream.p99")
		}
		c := &Case{Evidence: &evidence.Evidence{}, Lines: timeline.Build(&columns)}
		f := &Finding{Start: time.Unix(tt.from, 0), End: time.Unix(int64(len(tt.upstream)), 0), delay: 0.1}
		if detail, _ := c.behind(f); (detail != "") != tt.want {
			t.Errorf("%s: %q", name, detail)
		}
	}
}
