package check

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// spike is when round trips were long, by the kernel's measure or the packets'.
type spike struct {
	span        timeline.Span
	limit       float64 // s, in force
	usual, most float64 // s; usual is NaN where all of the window was slow
	vital       bool    // told by the vital
	slow, other []slowPeer
	tail        bool // the slow ones were not in the mean
}

// slowPeer is a peer with round trips within the spike.
type slowPeer struct {
	addr             netip.Addr
	n                uint64
	mean, usual, max float64 // s
}

// byVital finds the spike in the recorder's own measure.
func (s *spike) byVital(line *timeline.Series, window timeline.Span) bool {
	if line == nil {
		return false
	}
	var calm []float64
	for _, v := range line.V {
		if v <= s.limit {
			calm = append(calm, v)
		}
	}
	s.usual = quantile(calm, 0.5)
	// Not ">=": where no value was calm the usual is NaN, every comparison with it is false, and
	// a window that is slow from end to end must stay a spike by its limit alone.
	over := func(v float64) bool { return v > s.limit && !(v < rttFactor.Value*s.usual) }
	// The longest run, not from the first value to the last: two late ACKs at both ends of a window are no spike that lasts
	// all of it. A second without one that is over parts two runs: each value is of the second that ends with it.
	span, ok := timeline.Longest(line.Runs(window, int64(1e9), over))
	if !ok || float64(span.End-span.Start)/1e9 < rttHold.Value {
		return false
	}
	s.span, s.vital = span, true
	s.most, _, _ = line.Max(span)
	return true
}

// byPackets finds the spike where only packets are there: the longest run of seconds in which one peer's mean
// was over the limit and far above its usual.
func (s *spike) byPackets(peers []*rtt.Peer) bool {
	for _, p := range peers {
		usual := usualRTT(p, timeline.Span{})
		var run timeline.Span
		most := 0.0
		for i := range p.Bins {
			if !s.above(&p.Bins[i], usual) {
				continue
			}
			at := p.Bins[i].Second * 1e9
			if at > run.End {
				run, most = timeline.Span{Start: at}, 0
			}
			run.End = at + 1e9
			most = max(most, float64(p.Bins[i].Max)/1e9)
			if run.End-run.Start > s.span.End-s.span.Start {
				s.span, s.usual, s.most = run, usual, most
			}
		}
	}
	return s.span != timeline.Span{}
}

// above says whether a peer's second was over the limit, by more than a late ACK can be. The usual here is never
// NaN: the span that it leaves out is empty, so that the second itself is part of it, and a peer that is slow
// all the time is a long path and no spike.
func (s *spike) above(b *rtt.Bin, usual float64) bool {
	mean := b.Mean()
	excess := mean - usual
	const few = 3 // samples: that many ACKs in one second are not all late
	return mean > s.limit && mean >= rttFactor.Value*usual && excess > rttDelack.Value/2 && (excess > rttDelack.Value || b.N >= few)
}

// usualRTT is the lower quartile of a peer's means per second outside a span: the quartile,
// as the seconds around a spike are not calm either. NaN where there are none.
func usualRTT(p *rtt.Peer, without timeline.Span) float64 {
	var means []float64
	for i := range p.Bins {
		at := p.Bins[i].Second * 1e9
		if !(timeline.Span{Start: at, End: at + 1e9}).Overlaps(without, 0) {
			means = append(means, p.Bins[i].Mean())
		}
	}
	return quantile(means, 0.25)
}

// quantile of a few values; NaN of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

// sort tells the peers that were slow within the spike from the others.
func (s *spike) sort(peers []*rtt.Peer) {
	for _, p := range peers {
		peer := slowPeer{addr: p.Addr, usual: usualRTT(p, s.span)}
		var sum int64
		for i := range p.Bins {
			b := &p.Bins[i]
			// The vital's ticks are not the packets' seconds.
			if at := b.Second * 1e9; at >= s.span.Start && at < s.span.End || s.vital && at+1e9 >= s.span.Start && at <= s.span.End {
				peer.n += uint64(b.N)
				sum += b.Sum
				peer.max = max(peer.max, float64(b.Max)/1e9)
			}
		}
		if peer.n == 0 {
			continue
		}
		peer.mean = float64(sum) / float64(peer.n) / 1e9
		// Half of the limit: the vital is a 99th percentile, and this is a mean. A peer that
		// speaks within the spike only has no usual, NaN, and is slow by the limit alone.
		if peer.mean > s.limit/2 && !(peer.mean < rttFactor.Value*peer.usual) {
			s.slow = append(s.slow, peer)
		} else {
			s.other = append(s.other, peer)
		}
	}
	if s.vital && len(s.slow) == 0 {
		s.tails()
	}
	slices.SortStableFunc(s.slow, func(a, b slowPeer) int { return cmp.Or(cmp.Compare(b.mean, a.mean), cmp.Compare(b.max, a.max)) })
}

// tails takes for slow those peers whose slowest round trips were as long as the vital's, which is about the slowest hundredth: the tap
// saw them, too, and they were not lost inside this host.
func (s *spike) tails() {
	long := func(p slowPeer) bool { return p.max > s.limit && !(p.max < rttFactor.Value*p.usual) }
	for _, p := range s.other {
		if long(p) {
			s.slow, s.tail = append(s.slow, p), true
		}
	}
	s.other = slices.DeleteFunc(s.other, long)
}

// common gives the smallest network, no larger than a /16 or /48, that holds all peers.
func common(peers []slowPeer) (netip.Prefix, bool) {
	bits, least := 32, 16
	if peers[0].addr.Is6() {
		bits, least = 128, 48
	}
	for ; bits >= least; bits-- {
		net := netip.PrefixFrom(peers[0].addr, bits).Masked()
		if !slices.ContainsFunc(peers, func(p slowPeer) bool { return !net.Contains(p.addr) }) {
			return net, true
		}
	}
	return netip.Prefix{}, false
}
