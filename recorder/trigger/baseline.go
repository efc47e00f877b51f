package trigger

import (
	"math"
	"time"
)

const (
	// usualShare is the quantile that is called usual. What is over a factor of it lies in the
	// upper tenth of all ticks at least, so that a hold of eight ticks (2 s) is filled by chance
	// once in 1e8 ticks, which is a year, whatever the distribution; over a median (0.5^8) it
	// would be each minute. And a rise is followed within minutes: the last tenth is enough.
	usualShare = 0.9
	// memory is the time constant with which old ticks lose their weight: 95 % of it is the last
	// hour's (e^-3). It is an hour of traffic, as a night without a value forgets nothing. What
	// was usual and has ended is forgotten after 46 min (memory × ln 10).
	memory = 20 * time.Minute
	// overWeight is that of ticks beyond the limit. An outage is taken for usual after 25 min
	// (memory × ln(1/0.9) / overWeight), and a client that is slow and stays ends being news then.
	overWeight = 1.0 / 12
	// certainty is how many standard deviations the quantile is raised by for its own
	// uncertainty, with a tick's second taken as one observation: rates overlap that far.
	certainty = 3
	// needed is with how many seconds that raised quantile lies within what was seen:
	// (certainty² × 0.9 / 0.1). Before, nobody knows what is usual.
	needed = 81

	// lag is after how long a tick is learned: what rises within half a minute must not be taken
	// for usual while it does, and is what the window of a bundle holds.
	lag = 30 * time.Second

	// Before so much is known the largest value so far stands for the usual, from so many seconds
	// on and but for the last ones, in which an incident may rise: who arms a recorder today wants
	// today's incident. They are the later half of what was seen, five at least and at most the lag:
	// what rises steadily from nothing, as sockets do that nobody closes, is never a factor above what it was 5 s ago.
	soFarNeeded = 3 * time.Second
	soFarLag    = 5 * time.Second

	// The histogram has eight bins for each factor of two, which is 9 % a bin, from 2^-24
	// (60 ns) to 2^40, and one below for zero.
	binsPerOctave = 8
	lowestOctave  = -24
	octaves       = 64
	binCount      = octaves*binsPerOctave + 1

	// The same hour of so many days is remembered, which is over a weekend. The second largest
	// counts: what was so twice is usual, and one day's incident is not.
	days = 7
	// onceMost is what the largest may add alone, in multiples of the usual: a backup that is a
	// little over the limit is news for one night, and an outage at the same hour on two days twice.
	onceMost = 2
	// An hour is remembered where so much of it had a value.
	hourEnough = 10 * time.Minute
)

// histogram holds how long values lay in which bin.
type histogram struct {
	bins [binCount]float64 // seconds, weighted
	sum  float64           // of bins
}

func (h *histogram) add(bin int, seconds float64) {
	h.bins[bin] += seconds
	h.sum += seconds
}

// quantile is the upper edge of the bin in which a share of the time is reached.
func (h *histogram) quantile(share float64) float64 {
	above := h.sum * (1 - min(share, 1))
	// From the top, where it ends after a tenth.
	for i := binCount - 1; i > 0; i-- {
		if above -= h.bins[i]; above < 0 {
			return edge(i)
		}
	}
	return 0
}

// Baseline is what is usual for a vital: a weighted histogram of its values over about the
// last hour of traffic, and the usual value of each hour of the last days. It has a fixed
// size and allocates nothing. The zero value has seen nothing.
type Baseline struct {
	floor  float64
	last   histogram // its seconds are times gain
	gain   float64   // weight of a second now; old ones lose theirs by its growing
	recent float64   // quantile of last, raised by its uncertainty, as of the last reckoning
	fresh  float64   // seconds learned since then

	waits   [lag / Tick]lesson // that will be learned, a ring
	first   int                // its oldest
	waiting int                // so many of it

	hours [24][days]float64 // usual by hour (UTC) and day; 0: not known
	own   histogram         // of the hour that is being learned
	hour  int64             // which that is, since 1970
	half  int64             // half hour for which same and once were reckoned
	same  float64           // usual at this time of other days
	once  float64           // it was so on one of them

	habit habit
}

// lesson is a tick's value.
type lesson struct {
	at      int64 // unix, ns
	v       float64
	seconds float64
	over    bool
}

// renormalise keeps the growing weights far from a float's end.
const renormalise = 1e100

// learn takes a tick's value, and counts those that have waited for the lag.
func (b *Baseline) learn(now time.Time, elapsed time.Duration, v float64, over bool) {
	if elapsed <= 0 {
		return
	}
	// All places are taken where ticks come close, or the clock was set back.
	for due := now.Add(-lag).UnixNano(); b.waiting == len(b.waits) || b.waiting > 0 && b.waits[b.first].at <= due; b.waiting-- {
		b.count(&b.waits[b.first])
		b.first = (b.first + 1) % len(b.waits)
	}
	b.waits[(b.first+b.waiting)%len(b.waits)] = lesson{now.UnixNano(), v, elapsed.Seconds(), over}
	b.waiting++
}

// count counts a tick's value.
func (b *Baseline) count(l *lesson) {
	weight, bin := l.seconds, bin(l.v)
	b.remember(l.at, bin, weight)
	if l.over {
		// It may be the incident. It is learned all the same, slowly: a baseline that never
		// learned what is over could not follow a night that became a day.
		weight *= overWeight
	}
	b.gain = max(b.gain, 1) * (1 + weight/memory.Seconds())
	b.last.add(bin, weight*b.gain)
	if b.gain > renormalise {
		for i := range b.last.bins {
			b.last.bins[i] /= b.gain
		}
		b.last.sum, b.gain = b.last.sum/b.gain, 1
	}
	// A pass over the bins costs as much as ten steps, and what makes up less than a hundredth
	// hardly moves a quantile: each second at first, each 36 s later.
	if b.fresh += weight; b.fresh >= max(1, b.seen()/100) {
		b.reckon()
	}
}

// reckon finds the quantile again.
func (b *Baseline) reckon() {
	deviation := math.Sqrt(usualShare * (1 - usualShare) / max(b.seen(), 1))
	b.fresh, b.recent = 0, b.last.quantile(usualShare+certainty*deviation)
}

// remember learns an hour of the day by itself, and at full weight: a backup that takes half
// an hour each night is usual then from the third night on.
func (b *Baseline) remember(at int64, bin int, seconds float64) {
	if hour := at / int64(time.Hour); hour != b.hour {
		if b.own.sum >= hourEnough.Seconds() {
			b.hours[modulo(b.hour, 24)][modulo(b.hour/24, days)] = b.own.quantile(usualShare)
		}
		b.hour, b.half, b.own = hour, 0, histogram{}
	}
	b.own.add(bin, seconds)
}

// seen is how many seconds of values are in the last hour's histogram, at their weights of now.
func (b *Baseline) seen() float64 { return b.last.sum / max(b.gain, 1) }

// Ready says whether enough was seen for the usual value to be known.
func (b *Baseline) Ready() bool { return b.seen() >= needed }

// soFar is the largest value that was seen, and the floor at least, and whether that is of some
// seconds. What was over the limit is left out for as long as it waits to be learned.
func (b *Baseline) soFar(now time.Time) (most float64, ok bool) {
	most, seconds := max(b.floor, b.last.quantile(1)), b.seen()
	if b.waiting == 0 {
		return most, seconds >= soFarNeeded.Seconds()
	}
	half := now.Sub(time.Unix(0, b.waits[b.first].at)) / 2
	due := now.Add(-min(max(half, soFarLag), lag)).UnixNano()
	for i := range b.waiting {
		if l := &b.waits[(b.first+i)%len(b.waits)]; l.at <= due {
			if seconds += l.seconds; !l.over {
				most = max(most, l.v)
			}
		}
	}
	return most, seconds >= soFarNeeded.Seconds()
}

// Usual is the value that a factor multiplies: the larger one of that of the last hour and
// that of the same time on other days, and at least the vital's floor; up to twice of it
// where one other day had as much.
func (b *Baseline) Usual(now time.Time) float64 {
	if half := now.Unix() / 1800; half != b.half {
		b.half = half
		b.same, b.once = b.sameHour(half)
	}
	usual := b.settled()
	return max(usual, min(b.once, onceMost*usual))
}

// settled is what Usual would be without what one other day had alone, at the time for which it was asked last.
func (b *Baseline) settled() float64 { return max(b.floor, b.recent, b.same) }

// sameHour looks at the hours that a half hour lies in or beside, as what happens at eight
// happens a few minutes before eight, too.
func (b *Baseline) sameHour(half int64) (usual, once float64) {
	for _, h := range []int64{(half - 1) / 2, (half + 1) / 2} {
		first, second := 0.0, 0.0
		for _, v := range b.hours[modulo(h, 24)] {
			if v > first {
				first, second = v, first
			} else if v > second {
				second = v
			}
		}
		usual, once = max(usual, second), max(once, first)
	}
	return usual, once
}

// modulo is never below zero, unlike Go's: a bundle may claim to be of 1969.
func modulo(n, m int64) int64 { return (n%m + m) % m }

// bin gives the bin that holds a value.
func bin(v float64) int {
	if v <= 0 {
		return 0
	}
	// Bounded before it is made a whole number, which an infinity has none of.
	octave := min(max(math.Log2(v)-lowestOctave, 0), octaves)
	return min(int(octave*binsPerOctave)+1, binCount-1)
}

// edge is the upper end of a bin.
func edge(i int) float64 {
	if i == 0 {
		return 0
	}
	return math.Exp2(float64(i)/binsPerOctave + lowestOctave)
}
