package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

func TestSumConntrack(t *testing.T) {
	// The forms of /proc/net/nf_conntrack of 4.x and 6.x, and of conntrack(8).
	const text = `ipv4     2 tcp      6 431989 ESTABLISHED src=192.0.2.7 dst=192.0.2.10 sport=60534 dport=8009 src=192.0.2.10 dst=192.0.2.7 sport=8009 dport=60534 [ASSURED] mark=0 secmark=0 use=2
ipv4     2 tcp      6 116 SYN_SENT src=192.0.2.7 dst=203.0.113.3 sport=54928 dport=443 [UNREPLIED] src=203.0.113.3 dst=192.0.2.7 sport=443 dport=54928 mark=0 zone=3 use=2
ipv6     10 icmpv6   58 29 src=2001:db8::1 dst=2001:db8::2 type=128 code=0 id=7 src=2001:db8::2 dst=2001:db8::1 type=129 code=0 id=7 mark=0 zone=0 use=2
udp      17 29 src=192.0.2.9 dst=192.0.2.10 sport=53 dport=5353 [UNREPLIED] src=192.0.2.10 dst=192.0.2.9 sport=5353 dport=53 mark=0 use=1
tcp 6 src=nobody
`
	c, err := sumConntrack(strings.NewReader(text), func(*member.ConntrackEntry) {})
	if err == nil || !strings.HasPrefix(err.Error(), "line 5: 3 words") {
		t.Errorf("error %v, want one about line 5", err)
	}
	want := &member.ConntrackSummary{
		Entries: 4, Lines: 4, Unreplied: 2, Assured: 1,
		ByState: map[string]map[string]uint64{"tcp": {"ESTABLISHED": 1, "SYN_SENT": 1}, "icmpv6": {"REPLIED": 1}, "udp": {"UNREPLIED": 1}},
		ByZone:  map[string]uint64{"0": 3, "3": 1},
		TopSources: []member.ConntrackSource{
			{Addr: netip.MustParseAddr("192.0.2.7"), Entries: 2}, {Addr: netip.MustParseAddr("192.0.2.9"), Entries: 1}, {Addr: netip.MustParseAddr("2001:db8::1"), Entries: 1},
		},
	}
	if diff := cmp.Diff(want, c, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is kept by the second is stamped with the second's begin, and its numbers stand at
// the end: where the next one begins, after a second, or where the window ends. A second in
// which nothing happened is not counted to the one behind it.
func TestSecondsStandAtTheirEnd(t *testing.T) {
	const s = int64(1e9)
	at := func(tenths int64) int64 { return 100*s + tenths*s/10 }
	e := &Evidence{Manifest: &format.Manifest{Window: format.Window{End: Unix(at(73))}}}
	drops, latencies := *bytes.NewBufferString(member.DropsHeader), bytes.Buffer{}
	for i, begin := range []int64{at(0), at(10), at(22), at(50), at(70)} {
		drops.Write((&member.Drop{Time: begin, Reason: "NO_SOCKET", Place: "tcp_v4_rcv", Count: uint64(i + 1)}).Append(nil))
		fmt.Fprintf(&latencies, `{"time":%d,"cpu":0,"kind":"softirq","name":"NET_RX","count":%d,"sum_ns":1,"max_ns":%d,"buckets":[1]}`+"\n", begin, i+1, int64(i+1)*s)
	}
	if err := errors.Join(e.readDrops("", &drops), e.readLatencies("", &latencies)); err != nil {
		t.Fatal(err)
	}
	e.Columns.Finish()
	nan := math.NaN()
	wantT := []int64{at(0), at(10), at(22), at(32), at(50), at(60), at(70), at(73)}
	wantV := []float64{nan, 1, 2, 3, nan, 4, nan, 5}
	for _, name := range []string{"drop.NO_SOCKET", "softirq.net_rx.max", "softirq.net_rx.cpu0.count"} {
		col := e.Columns.Get(name)
		if diff := cmp.Diff(wantT, col.Axis.T); diff != "" {
			t.Errorf("%s: times (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(wantV, col.V, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
	}
}

// columnsOf reads one member into numbers.
func columnsOf(t *testing.T, name, text string) *column.Columns {
	t.Helper()
	var e Evidence
	for _, m := range members {
		if m.name == name {
			if err := m.read(&e, name, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.Columns.Finish()
	return &e.Columns
}

func TestEventColumns(t *testing.T) {
	for _, tt := range []struct {
		member, text string
		want         map[string][]float64
	}{
		{"softirq.jsonl", `{"time":1,"cpu":0,"kind":"softirq","name":"NET_RX","count":4,"sum_ns":500,"max_ns":100}
{"time":1,"cpu":1,"kind":"softirq","name":"NET_RX","count":1,"sum_ns":24500000,"max_ns":24500000}
{"time":2,"cpu":0,"kind":"function","name":"tcp_collapse","count":1,"sum_ns":7,"max_ns":7}`, map[string][]float64{
			"softirq.net_rx.max": {0.0245}, "softirq.net_rx.cpu0.count": {4}, "function.tcp_collapse.max": {7e-9},
		}},
		// Timed for a quarter of the second, and for too little of it; and what the timer's ticks met.
		{"softirq.jsonl", `{"time":1,"cpu":0,"kind":"softirq","name":"NET_RX","count":4,"sum_ns":500,"max_ns":100,"timed_ns":250000000}
{"time":1,"cpu":0,"kind":"softirq","name":"NET_RX","count":1,"sum_ns":24500000,"max_ns":24500000,"met":true}
{"time":1,"cpu":1,"kind":"softirq","name":"NET_RX","count":3,"sum_ns":700,"max_ns":300,"timed_ns":1000000}`, map[string][]float64{
			"softirq.net_rx.max": {0.0245}, "softirq.net_rx.cpu0.max": {0.0245}, "softirq.net_rx.cpu1.max": {3e-7},
			"softirq.net_rx.cpu0.count": {16}, "softirq.net_rx.cpu0.time": {2e-6},
		}},
		{"drops.csv", "time,reason,place,count\n1,NO_SOCKET,tcp_v4_rcv+0x80,3\n1,NO_SOCKET,tcp_v6_rcv+0x80,4\n2,NETFILTER_DROP,nf_hook_slow+0x1,1\n",
			map[string][]float64{"drop.NO_SOCKET": {7}, "drop.NETFILTER_DROP": {1}}},
		{"events.jsonl", `{"time":1500000000,"kind":"drop","cpu":0,"local":"192.0.2.1","local_port":80,"reason":"NO_SOCKET"}
{"time":1600000000,"kind":"drop"}
{"time":1700000000,"kind":"retransmit"}
{"time":2100000000,"kind":"drop"}`, map[string][]float64{"event.drop": {2, 1}, "event.retransmit": {1}}},
	} {
		c := columnsOf(t, tt.member, tt.text)
		for name, want := range tt.want {
			col := c.Get(name)
			if col == nil {
				t.Errorf("%s: no column %s", tt.member, name)
				continue
			}
			var got []float64
			for _, v := range col.V {
				if v == v {
					got = append(got, v)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || strings.HasSuffix(name, "max") != (col.Kind == column.Gauge) {
				t.Errorf("%s: kind %d, (-want +got):\n%s", name, col.Kind, diff)
			}
		}
	}
}

// The summary counts what the dump lacks, in whichever order the two come.
func TestConntrackSummary(t *testing.T) {
	const summary = `{"entries":200000,"lines":1,"cut":true,"max":262144,"unreplied":7,"by_state":{"tcp":{"SYN_SENT":200000}},"top_sources":[{"addr":"192.0.2.7","n":150000}],"top_sources_error":12}`
	const line = "tcp 6 100 SYN_SENT src=192.0.2.7 dst=192.0.2.8 sport=1 dport=2\n"
	for _, order := range [][]string{{member.ConntrackName, member.ConntrackSummaryName}, {member.ConntrackSummaryName, member.ConntrackName}} {
		var e Evidence
		for _, name := range order {
			text := line
			if name == member.ConntrackSummaryName {
				text = summary
			}
			if err := readerFor(name)(&e, name, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		if c := e.Conntrack; c.Entries != 200000 || !c.Cut || *c.Max != 262144 || c.TopSources[0].Entries != 150000 {
			t.Errorf("%v: %+v", order, c)
		}
	}
	if _, err := member.ParseConntrackSummary([]byte("[]")); err == nil {
		t.Error("a list was taken for a summary")
	}
}
