//go:build linux

package budget

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/vital"
)

// world is a machine under a load, and what recording costs there.
type world struct {
	limit float64
	own   float64
	cost  map[string]float64 // of a tier at load 1
}

// measure is what a meter would tell at a load, while what the ladder has shed costs nothing.
func (w world) measure(l *Ladder, load float64) Measure {
	m := Measure{Own: w.own, Load: load * 1000, Cost: make([]float64, len(Tiers))}
	for i, t := range Tiers {
		if l.rungs[i].shed {
			continue
		}
		if m.Cost[i] = w.cost[t.ID] * load; t.Fixed {
			m.Cost[i] = w.cost[t.ID]
		}
		m.Programs += m.Cost[i]
	}
	return m
}

func (w world) ladder() *Ladder {
	return NewLadder(w.limit, func(t *Tier) bool { _, ok := w.cost[t.ID]; return ok })
}

// run takes n measures and gives what was done: "12 -stacks -softirq", "80 +softirq".
func (w world) run(l *Ladder, from, n int, load func(n int) float64) (done []string) {
	for i := from; i < from+n; i++ {
		c, ok := l.Step(w.measure(l, load(i)))
		if !ok {
			continue
		}
		what := fmt.Sprint(i)
		for _, tier := range c.Tiers {
			sign := "+"
			if c.Shed {
				sign = "-"
			}
			what += " " + sign + Tiers[tier].ID
		}
		done = append(done, what)
	}
	return done
}

func always(load float64) func(int) float64 { return func(int) float64 { return load } }

var busy = world{limit: 1, own: 0.3, cost: map[string]float64{
	"echo": 0, "stacks": 0.1, "softirq": 0.3, "drop": 0.005, "rtt": 0.4, "state": 0.2,
}}

// A load that does not fit sheds in the published order, one thing a time, until it fits, and
// nothing moves any more; when it has gone everything comes back, the dearest evidence first.
func TestShedsInOrderAndComesBack(t *testing.T) {
	l := busy.ladder()
	got := busy.run(l, 1, 1000, always(1))
	// 1.305 → 1.205 → 0.905; echo costs nothing, and is not shed.
	if want := []string{"3 -stacks", "6 -softirq"}; !slices.Equal(got, want) {
		t.Errorf("a load of 1.3 limits: %q, want %q", got, want)
	}
	got = busy.run(l, 1001, 1000, always(3))
	// 0.605*3+0.3 = 2.115 → rtt 0.915, and no more; drop costs less than a fiftieth.
	if want := []string{"1001 -rtt"}; !slices.Equal(got, want) {
		t.Errorf("a load three times as high: %q, want %q", got, want)
	}
	got = busy.run(l, 2001, 1000, always(0.01))
	if want := []string{"2003 +rtt", "2006 +softirq", "2009 +stacks"}; !slices.Equal(got, want) {
		t.Errorf("when it has gone: %q, want %q", got, want)
	}
}

// One tier alone is too much: what was shed before it, and needed not be, comes back.
func TestShedsNoMoreThanNeeded(t *testing.T) {
	w := world{limit: 1, own: 0.2, cost: map[string]float64{"stacks": 0.1, "softirq": 0.2, "rtt": 1.5}}
	l := w.ladder()
	got := w.run(l, 1, 1000, always(1))
	want := []string{"3 -stacks", "6 -softirq", "9 -rtt", "12 +softirq", "15 +stacks"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What costs only while somebody asks for it comes back when nobody does, though it did not fit;
// when it is asked for again it must go again, and stays away for twice as long.
func TestWhatIsIdleComesBack(t *testing.T) {
	w := world{limit: 1, own: 0.3, cost: map[string]float64{"stacks": 1.3}}
	l := w.ladder()
	asked := func(n int) bool { return n <= 20 || n > 100 }
	var got []string
	for n := 1; n <= 300; n++ {
		m := w.measure(l, 1)
		if i := tierOf("stacks"); !asked(n) {
			m.Programs -= m.Cost[i]
			m.Cost[i], m.Idle = 0, make([]bool, len(Tiers))
			m.Idle[i] = true
		}
		if c, ok := l.Step(m); ok {
			got = append(got, fmt.Sprint(n, c.Shed))
		}
	}
	if want := []string{"3 true", "21 false", "102 true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Without the probe of softirqs stacks are not sampled, whatever they cost.
func TestShedsWhatBuildsOnIt(t *testing.T) {
	w := world{limit: 1, own: 0.2, cost: map[string]float64{"stacks": 0.001, "softirq": 2}}
	l := w.ladder()
	if got, want := w.run(l, 1, 100, always(1)), []string{"3 -stacks -softirq"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := w.run(l, 101, 100, always(0)), []string{"101 +softirq", "104 +stacks"}; len(got) != 2 ||
		!strings.HasSuffix(got[0], "+softirq") || !strings.HasSuffix(got[1], "+stacks") {
		t.Errorf("%q, want %q", got, want)
	}
}

// Where the process itself is what costs, no evidence is given up for it, and that is told.
func TestShedsNothingForNothing(t *testing.T) {
	w := world{limit: 1, own: 1.5, cost: map[string]float64{"softirq": 0.01, "rtt": 0.019}}
	l := w.ladder()
	if got := w.run(l, 1, 100, always(1)); len(got) > 0 || !l.short {
		t.Errorf("%q, short %v", got, l.short)
	}
}

// Whatever the load does: what is shed is too much on average, comes behind what is shed
// before it in order, and hardly ever goes and comes.
func TestWhateverTheLoad(t *testing.T) {
	const measures = 3000 // 8 hours
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := world{limit: 1, own: r.Float64(), cost: map[string]float64{}}
		for _, tier := range Tiers {
			w.cost[tier.ID] = r.ExpFloat64() / 4
		}
		l := w.ladder()
		shed := make([]int, len(Tiers))
		period := 1 + r.IntN(40)
		var last [settle]float64
		since, level := 0, 1.0
		for n := range measures {
			if n%period == 0 {
				level = 2 * r.Float64()
			}
			m := w.measure(l, level*(0.9+0.2*r.Float64()))
			armed := slices.Clone(l.rungs)
			last[n%settle] = m.Used()
			since++
			c, ok := l.Step(m)
			if !ok {
				continue
			}
			mean := (last[0] + last[1] + last[2]) / settle
			if since < settle {
				t.Fatalf("seed %d: a change %d measures after the one before", seed, since)
			}
			since = 0
			if c.Shed != (mean > w.limit) {
				t.Fatalf("seed %d: %+v at a mean of %v", seed, c, mean)
			}
			for _, tier := range c.Tiers {
				if c.Shed {
					shed[tier]++
				}
				if armed[tier].shed == c.Shed || !c.Shed && armed[tier].stood+1 < armed[tier].wait {
					t.Fatalf("seed %d: %+v of %+v", seed, c, armed[tier])
				}
			}
			first := c.Tiers[len(c.Tiers)-1]
			for tier := range first {
				if c.Shed && !armed[tier].shed && !slices.Contains(c.Tiers, tier) && l.rungs[tier].cost >= worth*w.limit {
					t.Fatalf("seed %d: %s was shed before %s", seed, Tiers[first].ID, Tiers[tier].ID)
				}
			}
			for i, tier := range Tiers {
				if tier.Within != "" && !l.rungs[i].shed && l.missing(tier.Within) {
					t.Fatalf("seed %d: %s is armed without %s", seed, tier.ID, tier.Within)
				}
			}
		}
		// Away for 6, 12, … 360 measures, which are seven times in two hours; and that begins anew
		// only after an hour without.
		for tier, n := range shed {
			if most := 8 * (1 + measures/(3*waitMost)); n > most {
				t.Errorf("seed %d: %s was shed %d times in %d measures, want %d at most", seed, Tiers[tier].ID, n, measures, most)
			}
		}
	}
}

// The order is published: docs/costs.md has the tiers as they are shed. What they are made of
// exists.
func TestOrderIsPublished(t *testing.T) {
	page, err := os.ReadFile("../../docs/costs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What it may cost")
	section, _, _ = strings.Cut(section, "\n## ")
	var published, tiers []string
	for line := range strings.Lines(section) {
		if id, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `") {
			published = append(published, id)
		}
	}
	for _, tier := range Tiers {
		tiers = append(tiers, tier.ID)
		for _, id := range tier.Probes {
			if !slices.ContainsFunc(probe.All, func(p *probe.Probe) bool { return p.ID == id }) {
				t.Errorf("%s has the probe %s, which there is not", tier.ID, id)
			}
		}
		for _, id := range tier.Meters {
			if !slices.ContainsFunc(vital.Meters, func(m *vital.Meter) bool { return m.ID == id }) {
				t.Errorf("%s has the meter %s, which there is not", tier.ID, id)
			}
		}
	}
	if !slices.Equal(published, tiers) {
		t.Errorf("docs/costs.md has %q, they are shed as %q", published, tiers)
	}
}
