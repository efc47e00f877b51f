package report

import (
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// The Cloudflare story in small: a stall of 24 ms in the second of the trigger, seen on
// another CPU than the calm seconds.
func TestHistograms(t *testing.T) {
	at := func(s int) int64 { return int64(s) * int64(time.Second) }
	rows := []member.Latency{
		{Time: at(10), CPU: 0, Kind: "softirq", Name: "NET_RX", Count: 100, SumNs: 100_000, MaxNs: 1500, Buckets: bucket(10, 100)},
		{Time: at(11), CPU: 0, Kind: "softirq", Name: "NET_RX", Count: 50, SumNs: 50_000, MaxNs: 1200, Buckets: bucket(10, 50)},
		{Time: at(12), CPU: 0, Kind: "softirq", Name: "NET_RX", Count: 10, SumNs: 10_000, MaxNs: 1100, Buckets: bucket(10, 10)},
		{Time: at(12), CPU: 1, Kind: "softirq", Name: "NET_RX", Count: 1, SumNs: 24_000_000, MaxNs: 24_000_000, Buckets: bucket(24, 1)},
		{Time: at(12), CPU: 1, Kind: "function", Name: "tcp_collapse", Count: 1, SumNs: 23_000_000, MaxNs: 23_000_000, Buckets: bucket(24, 1)},
	}
	rows = append(rows, member.Latency{Time: at(13), CPU: 0, Kind: "softirq", Name: "NET_RX", Count: 5, SumNs: 5000, MaxNs: 1000, Buckets: bucket(9, 5)})
	sums := NewSums(format.Trigger{Since: time.Unix(12, 500_000_000), Time: time.Unix(13, 0)})
	for i := range rows {
		sums.Add(&rows[i])
	}
	all := sums.List()
	if len(all) != 4 {
		t.Fatalf("%d histograms, want NET_RX before, amid and from the trigger on, tcp_collapse amid: %+v", len(all), all)
	}
	if h := all[0]; h.Part != Before || h.Count != 150 || h.MaxNs != 1500 || h.Seconds != 2 {
		t.Errorf("before: %+v", h)
	}
	if h := all[2]; h.Part != During || h.Count != 5 || h.MaxNs != 1000 {
		t.Errorf("from the trigger on: %+v", h)
	}
	if h := all[1]; h.Part != Amid || h.Count != 11 || h.MaxNs != 24_000_000 || h.Seconds != 1 {
		t.Errorf("during: %+v", h)
	}
	var out strings.Builder
	if err := all[1].Print(&out); err != nil {
		t.Fatal(err)
	}
	want := "softirq NET_RX, during the second of the trigger (1 s)\n" +
		"(recorded by seconds: this one began before the trigger,\nand may tell of either side)\n" +
		"Duration avg:2.182727ms max:24ms count:11\n" +
		"value |" + strings.Repeat("-", 50) + " count\n" +
		"  1us |" + strings.Repeat("@", 50) + " 10\n"
	if !strings.HasPrefix(out.String(), want) || !strings.Contains(out.String(), "\n 16ms |@@@@@") {
		t.Errorf("printed:\n%s", out.String())
	}
}

// Where a recorder begins a line with the tick that shows the vital beyond its limit, no second is left in between.
func TestHistogramsAreSplit(t *testing.T) {
	at := func(s float64) int64 { return int64(s * float64(time.Second)) }
	for name, begins := range map[string][]float64{
		"split":                  {9.5, 10.5, 11.25, 12.25}, // 11.5 is the tick that shows it
		"a second happens to":    {10.25, 11.25, 12.25},
		"split at the tick":      {10.5, 11.5, 12.5},
		"not split":              {9.75, 10.75, 11.75},
		"not split, and no line": {9.75, 10.75},
	} {
		sums := NewSums(format.Trigger{Since: time.Unix(11, 500_000_000), Time: time.Unix(13, 0)})
		parts := map[string]uint64{}
		for _, begin := range begins {
			sums.Add(&member.Latency{Time: at(begin), Kind: "softirq", Name: "NET_RX", Count: 1, SumNs: 1500, MaxNs: 1500, Buckets: bucket(10, 1)})
		}
		n := uint64(0)
		for _, h := range sums.List() {
			parts[h.Part] = h.Count
			n += h.Buckets[10]
		}
		if amid := strings.HasPrefix(name, "not"); (parts[Amid] == 1) != amid || parts[Amid] > 1 || parts[Before] == 0 || n != uint64(len(begins)) || (parts[During] == 0) != (begins[len(begins)-1] < 11) {
			t.Errorf("%s: %v", name, parts)
		}
	}
}

// Where softirqs were timed at times only a histogram says for how long, and what of it is longer than it says.
func TestHistogramOfAPart(t *testing.T) {
	at := func(s int) int64 { return int64(s) * int64(time.Second) }
	sums := NewSums(format.Trigger{Time: time.Unix(100, 0)})
	for _, l := range []member.Latency{
		{Time: at(10), CPU: 0, Kind: "softirq", Name: "NET_RX", Count: 100, SumNs: 100_000, MaxNs: 1500, Buckets: bucket(10, 100), TimedNs: 250e6},
		{Time: at(10), CPU: 1, Kind: "softirq", Name: "NET_RX", Count: 7, SumNs: 7_000, MaxNs: 1500, Buckets: bucket(10, 7), TimedNs: 250e6},
		{Time: at(10), CPU: 1, Kind: "softirq", Name: "NET_RX", Count: 1, SumNs: 12e6, MaxNs: 12e6, Buckets: bucket(23, 1), Met: true},
		{Time: at(11), CPU: 1, Kind: "softirq", Name: "TIMER", Count: 2, SumNs: 24e6, MaxNs: 12e6, Buckets: bucket(23, 2), Met: true},
		{Time: at(20), CPU: 1, Kind: "softirq", Name: "NET_RX", Count: 1, SumNs: 1500, MaxNs: 1500, Buckets: bucket(10, 1)},
	} {
		sums.Add(&l)
	}
	all := sums.List()
	for i, want := range []string{
		"softirq NET_RX, before the trigger (1.2 of 2 s timed; 1 found by the timer's ticks, at least so long)\n",
		"softirq TIMER, before the trigger (1 s, not timed; 2 found by the timer's ticks, at least so long)\n",
	} {
		var out strings.Builder
		if err := all[i].Print(&out); err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%v, printed:\n%s", err, out.String())
		}
	}
	if h := all[0]; h.Count != 109 || h.Met != 1 || h.TimedNs != 1250e6 || h.MaxNs != 12e6 {
		t.Errorf("it is %+v", h)
	}
}

func bucket(i int, n uint64) []uint64 {
	b := make([]uint64, i+1)
	b[i] = n
	return b
}
