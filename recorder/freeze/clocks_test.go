//go:build linux

package freeze

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
)

const tick = time.Second / ring.TicksPerSecond

// faked are the clocks of a machine that has something done to it at an instant; by says
// how far each clock is ahead of where it would be, so long after it.
type faked struct {
	at time.Time
	by func(since time.Duration) (realtime, boottime, raw time.Duration)
}

// read gives the clocks at any instant.
func (f *faked) read(real host.Moment, at time.Time) host.Moment {
	mono := real.Mono(at)
	m := host.Moment{At: at, Realtime: real.Place(mono), Monotonic: mono, Boottime: mono, Raw: mono}
	if since := at.Sub(f.at); since > 0 {
		realtime, boottime, raw := f.by(since)
		m.Realtime, m.Boottime, m.Raw = m.Realtime+int64(realtime), m.Boottime+int64(boottime), m.Raw+int64(raw)
	}
	return m
}

func jump(by time.Duration) func(time.Duration) (time.Duration, time.Duration, time.Duration) {
	return func(time.Duration) (time.Duration, time.Duration, time.Duration) { return by, 0, 0 }
}

func ppm(since time.Duration, n int64) time.Duration { return since * time.Duration(n) / 1e6 }

// Whatever is done to the clocks in the window, each member puts an instant at the same time,
// to a tick; and clocks.csv says what was done, and when.
func TestTimesAgreeUnderAFakedClock(t *testing.T) {
	for name, c := range map[string]struct {
		by     func(time.Duration) (realtime, boottime, raw time.Duration)
		reason string
		told   int // lines with the reason, at least
	}{
		"nothing":         {jump(0), "", 0},
		"an hour forward": {jump(time.Hour), member.ClockStep, 1},
		"an hour back":    {jump(-time.Hour), member.ClockStep, 1},
		"slewed": {func(s time.Duration) (time.Duration, time.Duration, time.Duration) {
			return 0, 0, -ppm(s, 500)
		}, member.ClockSlew, 2},
		"wall clock alone slewed": {func(s time.Duration) (time.Duration, time.Duration, time.Duration) {
			return ppm(s, 500), 0, 0
		}, member.ClockSlew, 2},
		"suspended for a minute": {func(time.Duration) (time.Duration, time.Duration, time.Duration) {
			return time.Minute, time.Minute, 0
		}, member.ClockSuspend, 1},
	} {
		for where, age := range map[string]time.Duration{"before the trigger": 6 * time.Second, "after it": time.Second} {
			t.Run(name+" "+where, func(t *testing.T) {
				s := fakedScene(t, age, c.by)
				s.agree(t)
				s.toldOf(t, c.reason, c.told, age)
			})
		}
	}
}

// fakedBundle is what a recorder wrote of ten seconds of whole instants: one each second.
type fakedBundle struct {
	*format.Reader
	base     host.Moment
	instants []time.Time // oldest first; the trigger is the one of four seconds before the end
	wrote    time.Time   // a line to the kernel log, just before the cut
	done     time.Time   // with writing the bundle
	clock    *faked
	names    []string
}

// fakedScene pushes an instant each second through every ring, and writes the bundle.
func fakedScene(t *testing.T, age time.Duration, by func(time.Duration) (realtime, boottime, raw time.Duration)) *fakedBundle {
	t.Helper()
	rings, root := armed(t)
	kmsg := kernelLog(t, &rings, root)
	real := host.Now()
	clock := &faked{at: real.At.Add(-age), by: by}
	s := &fakedBundle{clock: clock}
	row := make([]float64, len(rings.Board.Infos()))
	trigger := real.At.Add(-4 * time.Second)
	// The track of the past goes on with the machine's own instants at the cut.
	i := 0
	rings.Clocks = host.NewTrack(func() host.Moment {
		if i++; i <= 40 {
			return clock.read(real, real.At.Add(-10*time.Second+time.Duration(i-1)*tick))
		}
		return clock.read(real, time.Now())
	}, 128)
	for range 40 {
		rings.Clocks.Tick()
	}
	for age := 9 * time.Second; age > 0; age -= time.Second {
		at := real.At.Add(-age)
		s.instants = append(s.instants, at)
		rings.Rows.Push(at, row)
		rings.Listeners.Add(ring.Listener{Local: netip.MustParseAddrPort("192.0.2.1:80"), AcceptQueue: 1})
		rings.Listeners.EndTick(at)
		must(t, rings.Snapshots.Take(at))
		rings.Trace.Tick(at) // ends a second and begins the next
		rings.Trace.Softirq(0, probe.NetRX, &probe.Durations{Count: 1, Sum: 1})
	}
	s.wrote = kmsg()
	s.base = clock.read(real, trigger)
	req := request(t, root)
	req.Start, req.Trigger, req.Clock = real.At.Add(-9500*time.Millisecond), trigger, s.base
	req.Env.Clock = s.base
	req.Manifest.Trigger.Time = s.base.Wall(trigger)
	s.Reader, s.names = written(t, rings, req)
	s.done = time.Now()
	return s
}

// kernelLog gives the recorder a kernel log, whose clock is seven seconds behind, and a
// function that writes a line to it.
func kernelLog(t *testing.T, rings *Rings, root string) func() time.Time {
	t.Helper()
	path := filepath.Join(root, "dev/kmsg")
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, unix.Mkfifo(path, 0o600))
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { pipe.Close() })
	rings.Log = source.OpenKernelLog(root, slog.New(slog.DiscardHandler))
	t.Cleanup(rings.Log.Close)
	return func() time.Time {
		_, err := fmt.Fprintf(pipe, "4,1,%d,-;said now\n", host.Monotonic()/1000-7_000_000)
		must(t, err)
		at := time.Now()
		rings.Log.Read(nil)
		return at
	}
}

// agree compares every member's times with where the instants are on the trigger's clock.
func (s *fakedBundle) agree(t *testing.T) {
	t.Helper()
	compare := func(what string, got []int64, want []time.Time) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %d times, want %d", what, len(got), len(want))
			return
		}
		for i, at := range want {
			if d := time.Duration(got[i] - s.base.Place(s.base.Mono(at))).Abs(); d > tick {
				t.Errorf("%s: instant %d is put %v off", what, i, d)
			}
		}
	}
	vitals, err := member.ParseVitals([]byte(text(t, s.Reader, member.VitalsName)))
	must(t, err)
	compare("vitals.csv", column(vitals.Rows, func(r member.VitalsRow) int64 { return r.Time }), s.instants)
	queues, err := member.ParseQueues([]byte(text(t, s.Reader, member.ListenersName)))
	must(t, err)
	compare("listeners.csv", column(queues, func(q member.Queue) int64 { return q.Time }), s.instants)
	latencies, err := member.ParseLatencies([]byte(text(t, s.Reader, member.LatenciesName)))
	must(t, err)
	compare("softirq.jsonl", column(latencies, func(l member.Latency) int64 { return l.Time }), s.instants)
	var taken []int64
	for _, name := range s.names {
		if at, path, ok := member.SplitSnapshot(name); ok && path == "proc/net/netstat" {
			taken = append(taken, at)
		}
	}
	compare("snapshots", taken, s.instants)
	log, err := member.ParseKmsg([]byte(text(t, s.Reader, member.KmsgName)))
	must(t, err)
	compare("kmsg.txt", column(log, func(l member.LogLine) int64 { return l.Time }), []time.Time{s.wrote})
	w := s.Manifest.Window
	compare("the manifest's window", []int64{w.Start.UnixNano(), w.Trigger.UnixNano(), s.Manifest.Trigger.Time.UnixNano()},
		[]time.Time{s.instants[0].Add(-500 * time.Millisecond), s.base.At, s.base.At})
	qdiscs, err := member.ParseQdiscs([]byte(text(t, s.Reader, member.QdiscsName)))
	must(t, err)
	ends := []int64{w.End.UnixNano()}
	if len(qdiscs) > 0 { // asked for after the cut
		ends = append(ends, qdiscs[0].Time)
	}
	for _, end := range ends {
		if from, to := s.base.Wall(s.wrote).UnixNano(), s.base.Wall(s.done).UnixNano(); end < from || end > to {
			t.Errorf("what was read at the cut is put at %d, not from %d to %d", end, from, to)
		}
	}
}

func column[T any](rows []T, f func(T) int64) (all []int64) {
	for _, r := range rows {
		all = append(all, f(r))
	}
	return all
}

// toldOf holds that clocks.csv has the reason, at the instant to a tick, and no other.
func (s *fakedBundle) toldOf(t *testing.T, reason string, least int, age time.Duration) {
	t.Helper()
	rows, err := member.ParseClocks([]byte(text(t, s.Reader, member.ClocksName)))
	must(t, err)
	n := 0
	for i, r := range rows {
		if r.Reason == "" {
			continue
		}
		if n++; r.Reason != reason {
			t.Errorf("line %d: %q, want %q", r.Line, r.Reason, reason)
		}
		at := s.base.Place(s.base.Mono(s.clock.at))
		if reason != member.ClockSlew && (rows[i-1].Time > at || r.Time < at || r.Time-rows[i-1].Time > int64(2*tick)) {
			t.Errorf("the %s of %d lies between %d and %d", reason, at, rows[i-1].Time, r.Time)
		}
	}
	if reason == member.ClockSlew && age < 4*time.Second {
		least = 0 // too short to move 1 ms often
	}
	if n < least || len(rows) < 2 || reason == "" && n > 0 {
		t.Errorf("%d of %d readings tell of %q, want %d at least", n, len(rows), reason, least)
	}
	for _, src := range s.Manifest.Sources {
		if src.Name == "clocks" && src.State != format.Complete {
			t.Errorf("source %+v", src)
		}
	}
}
