//go:build linux

package vital

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// A value is found under the same vital by its place in the row, its column and its name,
// with meters around it that measure nothing.
func TestColumnsAreTheRow(t *testing.T) {
	b := Open(Env{Root: tree(t, map[string]string{
		"proc/net/sockstat":                         "TCP: inuse 1 orphan 3 tw 6 alloc 1 mem 0\n",
		"proc/sys/net/netfilter/nf_conntrack_count": "50\n",
		"proc/sys/net/netfilter/nf_conntrack_max":   "200\n",
		"proc/net/stat/nf_conntrack":                "entries\n32 0 0 0 0 0 0 0 0 0 0 0 0\n",
	})}, slog.New(slog.DiscardHandler))
	defer b.Close()
	row := b.Read(time.Now())
	columns, infos := b.Columns(), b.Infos()
	if len(row) != len(columns) || len(row) != len(infos) {
		t.Fatalf("%d values, %d columns, %d infos", len(row), len(columns), len(infos))
	}
	want := map[string]float64{"tcp.mem": 0, "tcp.orphans": 3, "tcp.time_wait": 6, "conntrack.fill": 0.25}
	for i, c := range columns {
		value, measured := want[c.Name]
		if !measured {
			continue
		}
		delete(want, c.Name)
		if row[i] != value || c.Value != value || b.Value(c.Name) != value {
			t.Errorf("%s is %v in the row, %v in its column, %v by its name; want %v", c.Name, row[i], c.Value, b.Value(c.Name), value)
		}
		if infos[i].Name != c.Name || infos[i].Unit != c.Unit || infos[i].Source != "proc" || c.Source != "proc" {
			t.Errorf("column %d is %s by %s, its info %+v", i, c.Name, c.Source, infos[i])
		}
	}
	if len(want) > 0 {
		t.Errorf("no column of %v", want)
	}
	for i, s := range b.States() {
		if s.Meter != Meters[i] || s.Source.Name != "vitals."+s.ID {
			t.Errorf("state %d is of %s under the name %s", i, s.ID, s.Source.Name)
		}
	}
}

// What the meter of softirqs reads it gives as a vital and hands on, so that nobody else
// need read it.
func TestSoftirqsAreHandedOn(t *testing.T) {
	testns.New(t) // only for its gate
	probes := probe.Open(probe.Options{})
	defer probes.Close()
	if err := probes.Refusal("softirq"); err != nil {
		t.Skipf("the probe of softirqs is not armed: %v", err)
	}
	runs := uint64(0)
	reader, err := softirqMeter.Variants[0].Open(Env{Probes: probes, Softirq: func(_, _ int, d *probe.Durations) { runs += d.Count }})
	if err != nil {
		t.Fatal(err)
	}
	out := []float64{math.NaN()}
	for deadline := time.Now().Add(time.Minute); runs == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err := reader.Read(time.Now(), out); err != nil {
			t.Fatal(err)
		}
	}
	if runs == 0 || math.IsNaN(out[0]) {
		t.Errorf("%d runs handed on, softirq.max is %v", runs, out[0])
	}
}

// What comes while the recorder is armed is measured within half a minute, and said; a window
// that began before has it in part, and one that began after in whole.
func TestLateTableIsMeasured(t *testing.T) {
	root := tree(t, map[string]string{"proc/net/sockstat": "TCP: inuse 1 orphan 3 tw 6 alloc 1 mem 0\n"})
	var said []string
	b := Open(Env{Root: root}, testns.Log(func(line string) { said = append(said, line) }))
	defer b.Close()
	armed := time.Now()
	source := func(start, end time.Time) format.Source {
		for _, s := range b.Sources(start, end) {
			if s.Name == "vitals.conntrack" {
				return s
			}
		}
		return format.Source{}
	}
	b.Read(armed)
	if s := source(armed, armed.Add(time.Hour)); s.State != format.Unsupported || s.Lost != 0 || !strings.Contains(s.Reason, "tried again every 30s, next at ") {
		t.Errorf("before the module is loaded: %+v", s)
	}
	if !slices.ContainsFunc(said, func(line string) bool {
		return strings.HasPrefix(line, "vitals of conntrack cannot be measured") && strings.HasSuffix(line, "tried again every 30s")
	}) {
		t.Errorf("said %q", said)
	}
	for path, text := range map[string]string{
		"proc/sys/net/netfilter/nf_conntrack_count": "50\n",
		"proc/sys/net/netfilter/nf_conntrack_max":   "200\n",
		"proc/net/stat/nf_conntrack":                "entries insert_failed drop early_drop\n32 0 0 0\n",
	} {
		write(t, root, path, text)
	}
	b.Read(armed.Add(againEvery / 2))
	if v := b.Value("conntrack.fill"); !math.IsNaN(v) {
		t.Errorf("before its time conntrack.fill is %v", v)
	}
	late := armed.Add(againEvery + time.Second)
	b.Read(late)
	late = late.Add(250 * time.Millisecond) // it was opened beside that round
	b.Read(late)
	if v := b.Value("conntrack.fill"); v != 0.25 {
		t.Errorf("conntrack.fill is %v, want 0.25", v)
	}
	if s := source(armed, late); s.State != format.Partial || !strings.Contains(s.Reason, "only since 31.25s after the window's begin") {
		t.Errorf("of a window that began before: %+v", s)
	}
	if s := source(late, late.Add(time.Second)); s.State != format.Complete || s.Reason != "" || s.CPUNs != 0 || s.WallNs == 0 {
		t.Errorf("of a window that began after: %+v", s)
	}
}

// A tick of a board allocates nothing, though it is measured in another goroutine.
func TestTickAllocatesNothing(t *testing.T) {
	b := Open(Env{Root: tree(t, map[string]string{
		"proc/net/sockstat": "TCP: inuse 1 orphan 3 tw 6 alloc 1 mem 0\n",
	})}, slog.New(slog.DiscardHandler))
	defer b.Close()
	for _, r := range b.meters { // dumps of sockets allocate, and are paced
		if r.ID != "sockstat" {
			b.things = slices.DeleteFunc(b.things, func(t *rounds.Thing) bool { return t == &r.thing })
		}
	}
	if n := testing.AllocsPerRun(100, func() { b.Read(time.Now()) }); n != 0 {
		t.Errorf("%v allocations in a tick", n)
	}
}
