//go:build linux

package capture

import "time"

// Reach is how far back a cut would find packets of an interface, if they went on coming as in the last seconds.
type Reach struct {
	Rate float64       // packets/s
	Over time.Duration // in which they were counted; 0: not yet
	Back time.Duration // as far as a cut asks at most
	// Need is the memory of all rings with which it would be SetConfig.Before, in bytes; 0: it is.
	Need int
	// Slow says that packets come faster than PackCPU allows to pack them, and Off that none are packed for now
	// (see Set.Pack), so that the ring is all there is.
	Slow, Off bool
}

const (
	// rateSpan is how long the packets are counted that make a rate, up to twice as long.
	rateSpan = 5 * time.Second
	// What a packet takes until that was measured: TCP's headers with timestamps in a ring (package comment), and packed
	// those of connections of a few packets each, the dearest that are no flood.
	packetBytes = 152
	tapBytes    = 96
	packedEach  = 8
	packNs      = 150
	// needStep is what Need is rounded up to: nobody wants 93 MiB.
	needStep = 16 << 20
)

// sample is a reading of a ring's counter of packets.
type sample struct {
	at      time.Time
	packets uint64
}

// rate is counted from the older of two samples on, which are taken rateSpan apart.
type rate [2]sample

// read takes a sample where it is time to.
func (r *rate) read(now time.Time, packets uint64) {
	switch {
	case r[1].at.IsZero():
		r[0], r[1] = sample{now, packets}, sample{now, packets}
	case now.Sub(r[1].at) >= rateSpan:
		r[0], r[1] = r[1], sample{now, packets}
	}
}

// at is the rate until now, and over which time.
func (r *rate) at(now time.Time, packets uint64) (perSecond float64, over time.Duration) {
	over = now.Sub(r[0].at)
	if r[0].at.IsZero() || over <= 0 {
		return 0, 0
	}
	return float64(packets-r[0].packets) / over.Seconds(), over
}

// reach says how far back m's ring goes. The caller holds the lock, and has read the counters.
func (s *Set) reach(m *member, now time.Time) (r Reach) {
	c := &m.ring.counted().stats
	r.Rate, r.Over = m.rate.at(now, c.Packets)
	r.Back = s.kept()
	filled, room := m.ring.room()
	each := float64(packetBytes)
	if m.ring.way() == TCX {
		each = tapBytes
	}
	if filled > uint64(room) && c.Packets > 0 { // it has gone round, and the average says more
		each = float64(filled) / float64(c.Packets)
	}
	seconds := float64(room) / each / r.Rate
	if h := m.ring.history(); h != nil && seconds < s.kept().Seconds() {
		r.Off, r.Slow = s.packing.meter.off, s.packing.slow(s.rates(now))
		if !r.Off && !r.Slow {
			seconds += float64(h.most) / h.each() / r.Rate
		}
	}
	if seconds < s.kept().Seconds() {
		r.Back = time.Duration(seconds * float64(time.Second))
	}
	if short := s.cfg.Before.Seconds() / seconds; r.Back < s.cfg.Before {
		r.Need = (int(float64(s.cfg.Bytes)*short)/needStep + 1) * needStep
	}
	return r
}

// rates is how many packets a second all rings see.
func (s *Set) rates(now time.Time) (all float64) {
	for _, m := range s.members {
		if m.ring != nil {
			v, _ := m.rate.at(now, m.ring.counted().stats.Packets)
			all += v
		}
	}
	return all
}

// each is what a packet takes packed, as far as that was measured.
func (h *history) each() float64 {
	if n := h.packets(); n > 0 {
		return float64(h.bytes) / float64(n)
	}
	return packedEach
}

// slow says whether so many packets a second are more than may be packed.
func (p *packing) slow(rate float64) bool {
	ns := float64(packNs)
	if p.count > 0 {
		ns = float64(p.took) / float64(p.count)
	}
	return rate*ns > p.meter.share*1e9
}
