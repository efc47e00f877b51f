//go:build linux

package trace

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// A connection to a port where nobody listens: the reset that this host sends is in the
// cut, with its addresses and a time within the window, and softirqs ran meanwhile.
func TestCutHoldsWhatTheKernelTold(t *testing.T) {
	testns.Run(t, func() {
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		start := time.Now()
		r := New(probes, start, 10*time.Second, 2, testns.Log(func(line string) { t.Log(line) }))
		if err := probes.Refusal("reset"); err != nil {
			t.Skipf("the probe of resets is not armed: %v", err)
		}
		r.Tick(time.Now())
		if _, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
			t.Error("something listens on the discard port of a fresh namespace")
		}
		deadline := time.Now().Add(time.Minute)
		for r.counts[probe.ResetSent].Seen == 0 && time.Now().Before(deadline) {
			r.Tick(time.Now())
		}
		r.Softirq(1, probe.NetRX, &probe.Durations{Count: 1, Sum: time.Microsecond})
		r.Tick(time.Now().Add(time.Second)) // the second is over
		c := r.Cut(start, time.Now().Add(time.Hour), host.Now())
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
	s := sample{cpu: 1, vector: probe.NetRX, stands: time.Millisecond, n: 2}
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
		r.losses.Push(loss{at: at(int64(s)), events: lost})
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
	r := &Recording{probes: &probe.Set{}, latencies: ring.NewNewest[Latency](4), current: sums{}, latest: sums{}, second: begin}
	d := probe.Durations{Count: 3, Sum: 9, Max: 5}
	d.Bucket[2] = 3
	r.add(latencyKey{cpu: 1, kind: member.Softirq, name: "NET_RX"}, &d)
	r.close(end)
	r.settle()
	r.roll(end)
	c := &Cut{end: end, clock: host.Moment{At: begin, Realtime: begin.UnixNano()}}
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

// Where a trigger's condition begins, what came with the tick that shows it is told apart from what was before, also where a second ends at the
// same tick; what dances on its limit splits some seconds, and then none.
func TestSplit(t *testing.T) {
	begin := time.Now()
	tick := func(n int) time.Time { return begin.Add(time.Duration(n) * 250 * time.Millisecond) }
	for _, at := range []int{6, 8, 9} { // amid a second, in which one ends, and behind it
		r := New(&probe.Set{}, begin, 20*time.Second, 1, testns.Log(func(line string) { t.Error(line) }))
		for n := 1; n <= 16; n++ {
			d := probe.Durations{Count: 1, Max: time.Duration(n)}
			r.Softirq(0, probe.NetRX, &d)
			r.Tick(tick(n))
			if n == at {
				r.Split()
			}
		}
		c := r.Cut(begin, tick(17), host.Moment{At: begin, Realtime: begin.UnixNano()})
		count, found := uint64(0), false
		for i, l := range c.latencies {
			count += l.D.Count
			last := time.Duration(16)
			if i+1 < len(c.latencies) {
				last = time.Duration(c.latencies[i+1].At.Sub(begin) / (250 * time.Millisecond))
			}
			// A line has what came from its begin until the next one's, and nothing else.
			if l.D.Max != last {
				t.Errorf("split at %d: the line from %v on goes up to tick %d, want %d", at, l.At.Sub(begin), l.D.Max, last)
			}
			found = found || l.At.Equal(tick(at-1))
		}
		if count != 16 || !found {
			t.Errorf("split at %d: %d softirqs, and a line from the tick before: %v", at, count, found)
		}
	}
	r := New(&probe.Set{}, begin, 20*time.Second, 1, testns.Log(func(line string) { t.Error(line) }))
	for n := range 400 {
		r.Softirq(0, probe.NetRX, &probe.Durations{Count: 1})
		r.Tick(tick(n + 1))
		r.Split()
	}
	if n := len(r.Cut(begin, tick(401), host.Moment{At: begin}).latencies); n > 100+100/splitEvery+splitsMost+1 {
		t.Errorf("%d lines of 100 seconds", n)
	}
}

// With --after 0 the cut comes within the second that what fired lies in: it is in the cut,
// and stamped with the begin of that second.
func TestUnfinishedSecondIsCut(t *testing.T) {
	testns.Run(t, func() {
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		if err := probes.Refusal("drop"); err != nil {
			t.Skipf("the probe of drops is not armed: %v", err)
		}
		begin := time.Now()
		r := New(probes, begin, 10*time.Second, 2, testns.Log(func(line string) { t.Error(line) }))
		r.Softirq(1, probe.NetRX, &probe.Durations{Count: 1, Sum: time.Microsecond})
		conn, err := net.Dial("udp4", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Until the kernel has dropped one for want of a socket, whatever the machine does besides.
		var seen [probe.Kinds]probe.EventCount
		for deadline := time.Now().Add(time.Minute); seen[probe.Drop].Seen == 0 && time.Now().Before(deadline); {
			_, _ = conn.Write([]byte("x")) // refused from the second on
			probes.Events.Counts(&seen)
		}
		end := time.Now()
		clock := host.Now()
		c := r.Cut(begin, end, clock)
		if err := c.Resolve(); err != nil {
			t.Log(err)
		}
		var drops, latencies bytes.Buffer
		if err := errors.Join(c.WriteDrops(&drops), c.WriteLatencies(&latencies)); err != nil {
			t.Fatal(err)
		}
		dropped, err := member.ParseDrops(drops.Bytes())
		if err != nil || len(dropped) == 0 {
			t.Fatalf("drops %q (%v)", drops.String(), err)
		}
		ran, err := member.ParseLatencies(latencies.Bytes())
		if err != nil || len(ran) != 1 {
			t.Fatalf("latencies %q (%v)", latencies.String(), err)
		}
		if want := clock.Wall(begin).UnixNano(); dropped[0].Time != want || ran[0].Time != want {
			t.Errorf("drops are stamped %d, latencies %d, the second began at %d", dropped[0].Time, ran[0].Time, want)
		}
		// The next second begins at the cut, and nothing is told twice.
		again := r.Cut(begin, time.Now(), clock)
		if len(again.latencies) != 1 {
			t.Errorf("latencies %+v of a second cut", again.latencies)
		}
	})
}

// What cannot be read of the kernel is missing in the window, and the source says so; a
// failure of last week is not.
func TestUnreadMapsArePartial(t *testing.T) {
	var said []string
	probes := &probe.Set{Results: []probe.Result{{Probe: &probe.Probe{ID: "drop"}}, {Probe: &probe.Probe{ID: "rtt"}}}}
	r := New(probes, time.Now(), time.Second, 1, testns.Log(func(line string) { said = append(said, line) }))
	before := time.Now()
	for range 3 {
		r.note("drop", errors.New("read drop causes: bad file descriptor"))
	}
	if len(said) != 1 {
		t.Errorf("said %q, want it once", said)
	}
	for start, want := range map[time.Time]format.State{before: format.Partial, time.Now(): format.Complete} {
		sources := r.Sources(start, time.Now(), time.Time.UTC)
		if s := sources[0]; s.State != want || want == format.Partial && s.Reason != "could not be read 3 times since arming: read drop causes: bad file descriptor" {
			t.Errorf("source %+v, want %s", s, want)
		}
		if s := sources[1]; s.State != format.Complete {
			t.Errorf("source %+v: another one's failure", s)
		}
	}
}
