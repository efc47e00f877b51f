package taps

import (
	"cmp"
	"math"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Clocks of two inputs are compared by packets that both saw (RFC 5905 §8 does so with its own). One that
// goes from the first input to the second shows there θ + d₁ later, one that goes back θ - d₂, where θ is
// by how much the second clock is ahead, and d₁ and d₂ are the ways, at least 0. The least of the former
// and the most of the latter therefore enclose θ: it lies between, (d₁ + d₂)/2 from the middle at most.
//
// Clocks also drift. With a drift ρ, all packets forth lie above the line θ + ρt and all packets back
// below, and of all lines that separate them the steepest clearance is taken: tilting a line away from
// the true drift only loses room, at one end of the window or the other. The room is a concave function of
// ρ. Packets that waited lie further away from the line and change nothing, as long as some did not.
// Where no line separates the two, a clock was set or slewed within the window.
//
// So packets alone never tell how a round trip splits into its two ways. Clocks that are both kept by NTP do:
// the kernel knows how wrong each may be at most (adjtimex, maxerror), and θ lies within the sum of both.

// crossing is a packet that two inputs saw.
type crossing struct {
	at      int64 // Unix ns of the first input's clock
	apart   int64 // ns later by the second one's clock
	group   uint32
	replies bool
}

const (
	// fewShared packets in common are a coincidence of nothing: identities have 64 bits. But of fewer no
	// way can be told.
	fewShared = 8
	// A quartz drifts by 100 ppm at most, and NTP slews by 500 (MAXFREQ, include/linux/timex.h): of two
	// clocks that is 1,200 ppm.
	mostDrift = 1200e-6
	// Two taps stamp with the jitter of their interrupts. A line need not separate the packets of two taps
	// beside each other to this.
	stampJitter = 1e6 // ns
	// The window is cut into so many parts, of each of which only the extremes count.
	alignParts = 256
)

// Alignment is how an input's clock runs beside that of another input.
type Alignment struct {
	With   int // index of the input it was compared with; itself for the one that all are put on
	Shared int // packets of the two samples that are the same
	// Clock puts the input's times on the clock of the input that all are put on.
	Clock packet.Clock
	Ahead int64 // ns by which it is ahead, in the middle of the common time
	Error int64 // ns by which that may be wrong
	Drift int64 // ns that it gains over the common time
	// OneWay says that packets of one way alone are in both: then nobody knows how long they took, and the
	// quickest is taken for having taken no time.
	OneWay bool
	// Kept says that the clocks' own bounds have made the error smaller, Astray that they contradict the packets.
	Kept, Astray bool
	// Step is by how much it was set forward, or the other one back, at StepAt, in ns; 0 where neither was.
	Step, StepAt int64
	// Uneven says that neither an offset with a drift nor a step suits all packets: a clock was slewed, or
	// set more than once.
	Uneven bool
}

// Known says whether the input has anything in common with another.
func (a *Alignment) Known() bool { return a.Shared >= fewShared }

// Align compares the clocks of all inputs, and puts them on the first one's as far as they have packets
// in common, directly or by way of others. Inputs whose clock is kept right say so in Bound.
func Align(inputs []*Sketch) []Alignment {
	all := make([]Alignment, len(inputs))
	done := make([]bool, len(inputs))
	done[0], all[0].Shared = true, len(inputs[0].list)
	for range inputs[1:] {
		best, with := -1, 0
		var most []crossing
		for i := range inputs {
			for j := range inputs {
				if done[i] || !done[j] {
					continue
				}
				if common := inputs[j].shared(inputs[i]); len(common) >= fewShared && len(common) > len(most) {
					best, with, most = i, j, common
				}
			}
		}
		if best < 0 {
			break
		}
		all[best] = align(most, bound(inputs[with], inputs[best]))
		all[best].With = with
		all[best].Clock = chained(all[best].Clock, all[with].Clock)
		done[best] = true
	}
	return all
}

// chained puts times first on the clock of one input, and then on that input's own reference.
func chained(c, next packet.Clock) packet.Clock {
	at := c.At(c.Ref)
	c.Ahead += at - next.At(at)
	c.Drift += next.Drift
	return c
}

// bound is by how much two clocks may differ, +Inf where that is not known.
func bound(a, b *Sketch) float64 {
	if a.Bound <= 0 || b.Bound <= 0 {
		return math.Inf(1)
	}
	return float64(a.Bound + b.Bound)
}

// align compares two clocks by the packets in common, and by how much they may differ.
func align(common []crossing, bound float64) Alignment {
	slices.SortFunc(common, func(a, b crossing) int { return cmp.Compare(a.at, b.at) })
	a := Alignment{Shared: len(common)}
	first, last := common[0].at, common[len(common)-1].at
	e := enclose(common, first, last)
	if !e.forth || !e.back {
		a.OneWay = true
		a.Ahead = e.only()
		a.Clock = packet.Clock{Ahead: a.Ahead}
		return a
	}
	drift, room := e.steepest()
	if room < -stampJitter {
		a.step(common, e)
		e = enclose(common, first, last)
		drift, room = e.steepest()
		if a.Uneven = room < -stampJitter; a.Uneven {
			drift = 0
		}
	}
	low, high := e.at(drift)
	middle := (first + last) / 2
	a.Astray = high > bound || low < -bound
	if drift == 0 && !a.Astray && !a.Uneven {
		a.Kept = low > bound || high < -bound
		low, high = min(low, bound), max(high, -bound)
	}
	ahead := (low+high)/2 + drift*float64(middle-first)
	a.Ahead, a.Error = int64(math.Round(ahead)), int64(math.Ceil(math.Abs(low-high)/2))
	a.Drift = int64(math.Round(drift * float64(last-first)))
	a.Clock = packet.Clock{Ahead: a.Ahead, Drift: drift, Ref: middle + a.Ahead, Step: a.Step, StepAt: a.StepAt}
	return a
}

// step finds the step that suits the packets best, and takes it out of them.
func (a *Alignment) step(common []crossing, e *enclosure) {
	best, room := 0, math.Inf(-1)
	var before, after float64                    // the middles
	for part := 1; part < alignParts-1; part++ { // which holds the step
		low, high := e.between(0, part)
		lowAfter, highAfter := e.between(part+1, alignParts)
		if r := min(low-high, lowAfter-highAfter); r > room && !math.IsInf(r, 1) {
			best, room = part, r
			before, after = (low+high)/2, (lowAfter+highAfter)/2
		}
	}
	if room < -stampJitter {
		return
	}
	first, last := common[0].at, common[len(common)-1].at
	a.Step = int64(math.Round(after - before))
	for i := range common {
		c := &common[i]
		at := part(c.at, first, last)
		if at < best || at == best && math.Abs(float64(c.apart)-before) < math.Abs(float64(c.apart)-after) {
			a.StepAt = max(a.StepAt, c.at+c.apart+1)
			continue
		}
		c.apart -= a.Step
	}
}

// enclosure holds the extremes of each part of the common time: of packets forth the least that they
// were apart, of packets back the most.
type enclosure struct {
	lows, highs [alignParts]point
	forth, back bool
}

// point is a packet: how many ns after the first, and how many ns apart.
type point struct {
	x, y float64
	set  bool
}

// enclose takes the extremes of all packets.
func enclose(common []crossing, first, last int64) *enclosure {
	e := &enclosure{}
	forward := directions(common)
	for _, c := range common {
		forth, known := forward[c.group]
		if !known {
			continue
		}
		part := part(c.at, first, last)
		p := point{float64(c.at - first), float64(c.apart), true}
		if c.replies != forth { // requests go forth, replies back, or the other way round
			e.forth = true
			if low := &e.lows[part]; !low.set || p.y < low.y {
				*low = p
			}
			continue
		}
		e.back = true
		if high := &e.highs[part]; !high.set || p.y > high.y {
			*high = p
		}
	}
	return e
}

// part gives the part of the common time that a packet is in.
func part(at, first, last int64) int {
	return int(float64(at-first) / float64(last-first+1) * alignParts)
}

// directions tells, for each service, whether requests to it go from the first input to the second. What
// goes there is further apart than what comes back, by the round trip between the two. Each packet is
// compared with the last that went the other way: between them clocks have hardly drifted. A service of
// which only one way was seen goes as all others do, or is left out.
func directions(common []crossing) map[uint32]bool {
	type group struct {
		last  [2]int64 // ns apart, of the last request and reply
		seen  [2]bool
		votes int
	}
	groups := map[uint32]*group{}
	for _, c := range common {
		g := groups[c.group]
		if g == nil {
			g = &group{}
			groups[c.group] = g
		}
		side := 0
		if c.replies {
			side = 1
		}
		g.last[side], g.seen[side] = c.apart, true
		if g.seen[0] && g.seen[1] {
			g.votes += cmp.Compare(g.last[0], g.last[1])
		}
	}
	forward := map[uint32]bool{}
	there := 0
	for id, g := range groups {
		if g.seen[0] && g.seen[1] {
			forward[id] = g.votes >= 0
			if forward[id] {
				there++
			}
		}
	}
	both := len(forward)
	for id, g := range groups {
		switch _, known := forward[id]; {
		case known:
		case both == 0: // one way alone: all of it is taken for the one
			forward[id] = g.seen[0]
		case there == 0 || there == both:
			forward[id] = there > 0
		}
	}
	return forward
}

// between gives the extremes of the parts from one on to another.
func (e *enclosure) between(from, to int) (low, high float64) {
	some := enclosure{}
	copy(some.lows[from:to], e.lows[from:to])
	copy(some.highs[from:to], e.highs[from:to])
	return some.at(0)
}

// at gives the extremes beside a drift: the second clock is at most low ahead at the first packet, and at
// least high.
func (e *enclosure) at(drift float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for i := range alignParts {
		if p := &e.lows[i]; p.set {
			low = min(low, p.y-drift*p.x)
		}
		if p := &e.highs[i]; p.set {
			high = max(high, p.y-drift*p.x)
		}
	}
	return low, high
}

// steepest gives the drift that leaves most room between both, and that room. Where next to nothing is
// gained by it, there is none.
func (e *enclosure) steepest() (drift, room float64) {
	clearance := func(drift float64) float64 {
		low, high := e.at(drift)
		return low - high
	}
	from, to := -mostDrift, mostDrift
	for range 100 { // a third less each time: 1e-18 is left
		a, b := from+(to-from)/3, to-(to-from)/3
		if clearance(a) < clearance(b) {
			from = a
		} else {
			to = b
		}
	}
	drift = (from + to) / 2
	still := clearance(0)
	if room = clearance(drift); still >= 0 && room-still < max(20e3, still/50) {
		return 0, still
	}
	return drift, room
}

// only gives the least that packets of the one way were apart.
func (e *enclosure) only() int64 {
	low, high := e.at(0)
	if e.forth {
		return int64(low)
	}
	return int64(high)
}
