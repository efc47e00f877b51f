package moved

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

var (
	start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	nan   = math.NaN()
)

func at(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }

// story is a bundle of 30 s before and 10 s after its trigger.
type story struct {
	evidence.Evidence
	length float64 // s
}

func tell(t format.Trigger, trigger, length float64) *story {
	t.Time = at(trigger)
	s := &story{length: length}
	s.Manifest = &format.Manifest{Trigger: t, Window: format.Window{Start: start, Trigger: t.Time, End: at(length)}}
	return s
}

var (
	vitalTrigger = format.Trigger{Kind: "vital", Vital: "resets", Expr: "resets > 10", Since: at(30)}
	byHand       = format.Trigger{Kind: "signal", Reason: "SIGUSR1"}
)

// put adds a series of one reading a second. What it is called says where it is from.
func (s *story) put(kind column.Kind, unit, source string, names map[string]func(second int) float64) {
	total := map[string]float64{}
	for i := range int(s.length) {
		r, _ := s.Columns.Row(source, at(float64(i)+0.5).UnixNano())
		for name, value := range names {
			v := value(i)
			if kind == column.Counter { // told as what it counts in a second
				total[name] += v
				v = total[name]
			}
			r.Put(kind, unit, v, name)
		}
	}
}

func (s *story) find() []Line {
	s.Columns.Finish()
	return Find(&s.Evidence, timeline.Build(&s.Columns))
}

// step is before until a second, and then after it.
func step(second int, before, after float64) func(int) float64 {
	return func(i int) float64 {
		if i < second {
			return before
		}
		return after
	}
}

const netstat = "proc/net/netstat"

func TestWhatMoved(t *testing.T) {
	s := tell(vitalTrigger, 32, 42)
	s.put(column.Counter, "1", netstat, map[string]func(int) float64{
		"jumps": step(31, 5, 500), "stays": step(0, 5, 5), "zero": step(0, 0, 0), "stops": step(33, 800, 0),
	})
	s.put(column.Gauge, "s", member.VitalsName, map[string]func(int) float64{"wait": step(31, 0.001, 0.3), "better": step(31, 0.3, 0.001)})
	want := []Line{
		{Series: "wait", Value: 0.3, Usual: 0.001, Unit: "s", First: at(31.5), Member: member.VitalsName, Score: 75.8},
		{Series: "jumps", Value: 500, Usual: 5, Unit: "1/s", First: at(31.5), Member: member.SnapshotName(at(31.5), netstat), Score: 43.3},
		{Series: "stops", Value: 0, Usual: 800, Unit: "1/s", First: at(33.5), Member: member.SnapshotName(at(33.5), netstat), Score: 10.4},
	}
	if diff := cmp.Diff(want, s.find()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whoever asks by hand asks late: the incident is ten seconds older than the second half of the
// time before, and usual is what was before it all the same.
func TestByHand(t *testing.T) {
	for _, began := range []int{8, 12, 25} {
		s := tell(byHand, 30, 40)
		s.put(column.Gauge, "1", member.VitalsName, map[string]func(int) float64{"tcp.close_wait": step(began, 3, 400)})
		got := s.find()
		if len(got) != 1 || got[0].Usual != 3 || got[0].First != at(float64(began)+0.5) {
			t.Errorf("began at %d s: %+v", began, got)
		}
	}
}

func TestNothingToCompare(t *testing.T) {
	jump := map[string]func(int) float64{"x": step(20, 0, 500)}
	capture := &story{length: 42}
	capture.put(column.Counter, "1", netstat, jump)
	if got := capture.find(); got != nil {
		t.Errorf("a bare capture has moved: %+v", got)
	}
	armed := tell(vitalTrigger, 1, 10)
	armed.Manifest.Trigger.Since = time.Time{}
	armed.put(column.Counter, "1", netstat, map[string]func(int) float64{"x": step(1, 0, 500)})
	if got := armed.find(); got != nil {
		t.Errorf("fired a second after arming, and has a usual: %+v", got)
	}
}

// Series that are not whole. Each jumps from 0 to 500 at 31 s, if that.
func TestBrokenSeries(t *testing.T) {
	jump := step(31, 0, 500)
	for _, tt := range []struct {
		name  string
		kind  column.Kind
		value func(i int) float64
		moved bool
	}{
		{"every third tick", column.Gauge, func(i int) float64 { return map[bool]float64{true: jump(i), false: nan}[i%3 == 0] }, true},
		{"begins at 20 s", column.Gauge, func(i int) float64 { return map[bool]float64{true: jump(i), false: nan}[i >= 20] }, true},
		{"begins with the incident", column.Gauge, func(i int) float64 { return map[bool]float64{true: jump(i), false: nan}[i >= 31] }, false},
		{"ends before the incident", column.Gauge, func(i int) float64 { return map[bool]float64{true: jump(i), false: nan}[i < 28] }, false},
		{"gap", column.Gauge, func(i int) float64 { return map[bool]float64{true: jump(i), false: nan}[i < 10 || i > 20] }, true},
		{"one burst, of which the quiet part had one too", column.Gauge, func(i int) float64 { return map[bool]float64{true: 500}[i == 9 || i == 33] }, false},
		{"one burst, and never before", column.Gauge, func(i int) float64 { return map[bool]float64{true: 500}[i == 33] }, true},
		{"constant", column.Gauge, step(0, 7, 7), false},
	} {
		s := tell(vitalTrigger, 32, 42)
		s.put(tt.kind, "1", member.VitalsName, map[string]func(int) float64{"x": tt.value})
		if got := s.find(); (len(got) == 1) != tt.moved {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// What a broken or hostile bundle may hold costs neither memory nor a report that no JSON can hold.
func TestHostile(t *testing.T) {
	s := tell(vitalTrigger, 32, 42)
	s.put(column.Gauge, "1", member.VitalsName, map[string]func(int) float64{
		"inf": step(31, 1, math.Inf(1)), "huge": step(31, 1e308, -1e308), "negative": step(31, -7, -700),
	})
	for _, stamp := range []int64{math.MinInt64 + 1, 0, at(33).UnixNano(), math.MaxInt64} {
		r, _ := s.Columns.Row(member.DropsName, stamp)
		r.Put(column.Events, "1", 40, "drop.NO_SOCKET")
	}
	for _, l := range s.find() {
		if l.Series != "drop.NO_SOCKET" {
			t.Errorf("%+v", l)
		}
	}
	ages := tell(vitalTrigger, 32, 42)
	ages.Manifest.Window.Start = time.Unix(0, 0)
	ages.put(column.Events, "1", member.DropsName, map[string]func(int) float64{"drop.X": step(31, 0, 9)})
	if got := ages.find(); got != nil {
		t.Errorf("a window of half a century: %+v", got)
	}
}

// A counter that is reset tells nothing of that second, and no more.
func TestReset(t *testing.T) {
	s := tell(vitalTrigger, 32, 42)
	total := 1e6
	for i := range 42 {
		total += step(31, 10, 10)(i)
		if i == 33 { // a driver that is loaded again
			total = 5
		}
		r, _ := s.Columns.Row("proc/net/dev", at(float64(i)).UnixNano())
		r.Put(column.Counter, "1", total, "if.eth0.rx_packets")
	}
	if got := s.find(); got != nil {
		t.Errorf("a reset is a move: %+v", got)
	}
}

// What chance does to a thousand counters at any rate never stands out.
func TestPoissonNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	worst := 0.0
	for range 20 { // windows
		s := tell(vitalTrigger, 32, 42)
		all := map[string]func(int) float64{}
		for i := range 1000 {
			mean := math.Pow(10, random.Float64()*5-2) // 0.01 to 1000 a second
			all[fmt.Sprint("c", i)] = func(int) float64 { return poisson(random, mean) }
		}
		s.put(column.Counter, "1", netstat, all)
		for _, l := range s.find() {
			worst = max(worst, l.Score)
		}
	}
	if worst >= Much {
		t.Errorf("chance reaches a score of %.1f, and %d stands out", worst, Much)
	}
	t.Logf("the worst of 20,000 counters has a score of %.1f", worst)
}

// poisson draws by Knuth's product of uniforms, for large means by the normal distribution.
func poisson(random *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64()))
	}
	n, p := -1.0, 1.0
	for limit := math.Exp(-mean); p > limit; n++ {
		p *= random.Float64()
	}
	return n
}

// A default bundle of a host with many CPUs takes a few ms.
func BenchmarkFind(b *testing.B) {
	s := tell(vitalTrigger, 32, 42)
	all := map[string]func(int) float64{}
	for i := range 5000 {
		all[fmt.Sprint("c", i)] = step(31, float64(i%7), float64(i%7)+float64(i%10/9*i)) // every tenth moves
	}
	s.put(column.Counter, "1", netstat, all)
	s.Columns.Finish()
	lines := timeline.Build(&s.Columns)
	for b.Loop() {
		Find(&s.Evidence, lines)
	}
}
