//go:build linux

package trace

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

func clock(t *testing.T) format.Clock {
	t.Helper()
	var mono, real unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		t.Fatal(err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
		t.Fatal(err)
	}
	return format.Clock{Realtime: real.Nano(), Monotonic: mono.Nano()}
}

// A connection to a port where nobody listens: the reset that this host sends is in the
// cut, with its addresses and a time within the window, and softirqs ran meanwhile.
func TestCutHoldsWhatTheKernelTold(t *testing.T) {
	testns.Run(t, func() {
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		r := New(probes, 10*time.Second, 2, func(line string) { t.Log(line) })
		if err := probes.Refusal("reset"); err != nil {
			t.Skipf("the probe of resets is not armed: %v", err)
		}
		start := time.Now()
		r.Tick(start)
		if _, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
			t.Error("something listens on the discard port of a fresh namespace")
		}
		deadline := time.Now().Add(time.Minute)
		for r.counts[probe.ResetSent].Seen == 0 && time.Now().Before(deadline) {
			r.Tick(time.Now())
		}
		r.Softirq(1, probe.NetRX, &probe.Durations{Count: 1, Sum: time.Microsecond})
		r.Tick(time.Now().Add(time.Second)) // the second is over
		c := r.Cut(start, time.Now().Add(time.Hour), clock(t))
		if err := c.Resolve(); err != nil {
			t.Log(err)
		}
		sent := find(t, c, "reset-sent")
		if !sent.Remote.IsLoopback() && !sent.Local.IsLoopback() || sent.Time < start.UnixNano() {
			t.Errorf("event %+v, want a reset on loopback after %d", sent, start.UnixNano())
		}
		var latencies bytes.Buffer
		if err := c.WriteLatencies(&latencies); err != nil || !strings.Contains(latencies.String(), `"name":"NET_RX"`) {
			t.Errorf("latencies %q (%v), want NET_RX", latencies.String(), err)
		}
	})
}

func find(t *testing.T, c *Cut, kind string) member.Event {
	t.Helper()
	var out bytes.Buffer
	if err := c.WriteEvents(&out); err != nil {
		t.Error(err)
	}
	events, err := member.ParseEvents(out.Bytes())
	if err != nil {
		t.Error(err)
	}
	for _, e := range events {
		if e.Kind == kind {
			return e
		}
	}
	t.Errorf("no event of kind %s in %q", kind, out.String())
	return member.Event{}
}

// Samples become a profile that pprof reads, each address once.
func TestStacksAreAProfile(t *testing.T) {
	s := sample{cpu: 1, vector: probe.NetRX, n: 2}
	s.frames[0], s.frames[1] = 0x1000, 0x2000
	c := &Cut{start: time.Unix(1, 0), end: time.Unix(2, 0), period: time.Millisecond, stacks: []sample{s, s}}
	var out bytes.Buffer
	if err := c.WriteStacks(&out); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Error(err)
	}
	if len(p.Sample) != 2 || len(p.Location) != 2 || p.Sample[0].Value[1] != int64(time.Millisecond) || p.Sample[0].Label["vector"][0] != "NET_RX" {
		t.Errorf("profile %v", p)
	}
}

// The seconds that a cut gives are those of its window, and what a rate limit held back
// before it is not charged to it.
func TestLossesOfTheWindow(t *testing.T) {
	r := &Recording{losses: ring.NewNewest[loss](4), probes: &probe.Set{}}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for s, lost := range []uint64{0, 100, 100} {
		r.losses.Push(loss{at(int64(s)), lost})
	}
	r.counts[probe.Drop] = probe.EventCount{Seen: 500, Limited: 120, Full: 5}
	if got := r.lostSince(at(3)); got != 25 {
		t.Errorf("lost %d since second 3, want 25 of 125", got)
	}
	if got := r.lostSince(at(0)); got != 125 {
		t.Errorf("lost %d since the start, want 125", got)
	}
}

// A second's latencies have its begin for a stamp, as written and read.
func TestLatenciesAreStampedWithTheBegin(t *testing.T) {
	begin := time.Now()
	end := begin.Add(time.Second)
	r := &Recording{latencies: ring.NewNewest[Latency](4), current: map[latencyKey]*Latency{}, second: begin}
	d := probe.Durations{Count: 3, Sum: 9, Max: 5}
	d.Bucket[2] = 3
	r.add(latencyKey{cpu: 1, kind: member.Softirq, name: "NET_RX"}, &d)
	r.roll(end)
	c := &Cut{end: end}
	r.latencies.Each(func(l *Latency) { c.latencies = append(c.latencies, *l) })
	var out bytes.Buffer
	if err := c.WriteLatencies(&out); err != nil {
		t.Fatal(err)
	}
	got, err := member.ParseLatencies(out.Bytes())
	want := []member.Latency{{Time: begin.UnixNano(), CPU: 1, Kind: member.Softirq, Name: "NET_RX", Count: 3, SumNs: 9, MaxNs: 5, Buckets: []uint64{0, 0, 3}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
}
