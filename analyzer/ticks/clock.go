package ticks

import (
	"slices"
	"sort"
	"time"
)

const (
	// usual is how often a recorder ticks, and how long the ticks of a capture are at first, in ns.
	usual = int64(250 * time.Millisecond)
	// most bounds the ticks, to what a screen has points for. A longer span has longer ticks: those of a
	// recorder are put together, two, three or more at a time; a capture's double whenever it grows beyond.
	most = 1024
	// longest bounds what a capture is followed for, in ns: one packet with a broken time must not make
	// ticks of years.
	longest = int64(32 * 24 * time.Hour)
)

// clock divides a span of time into ticks: tick i ends at ends[i], and begins behind the end of the one
// before it, the first behind start. All times are Unix ns.
type clock struct {
	start int64
	ends  []int64 // ascending
	grows bool    // a capture's, whose length nobody knows before its end
	width int64   // of a tick that grows
	last  int     // index of the tick that was asked for last
}

// recorderClock takes the times of a recorder's ticks. Where those do not cover its window, or are far apart,
// the rest is divided alike.
func recorderClock(times []int64, start, end int64) clock {
	c := clock{start: start}
	at := start
	for _, t := range append(slices.Clone(times), end) {
		if t <= at || t > end {
			continue
		}
		for ; t-at > usual*3/2 && len(c.ends) < most<<8; at += usual {
			c.ends = append(c.ends, at+usual)
		}
		c.ends = append(c.ends, t)
		at = t
	}
	if every := (len(c.ends) + most - 1) / most; every > 1 {
		kept := c.ends[:0]
		for i := every - 1; i < len(c.ends); i += every {
			kept = append(kept, c.ends[i])
		}
		c.ends = kept
	}
	return c
}

// captureClock begins with the first packet.
func captureClock(first int64) clock {
	return clock{start: first - 1, ends: []int64{first - 1 + usual}, grows: true, width: usual}
}

// find gives the index of the tick that a time lies in; ok is false for one that is outside. Packets come nearly
// in the order of time: it is the last one, or the next.
func (c *clock) find(t int64) (i int, ok bool) {
	i = c.last
	if i < len(c.ends) && t <= c.ends[i] && t > c.begin(i) {
		return i, true
	}
	if t <= c.start || len(c.ends) == 0 || t > c.ends[len(c.ends)-1] {
		return 0, false
	}
	if i++; i >= len(c.ends) || t > c.ends[i] || t <= c.begin(i) {
		i = sort.Search(len(c.ends), func(i int) bool { return t <= c.ends[i] })
	}
	c.last = i
	return i, true
}

// begin is behind which time a tick begins.
func (c *clock) begin(i int) int64 {
	if i == 0 {
		return c.start
	}
	return c.ends[i-1]
}

// grow appends ticks until there is one for a time. doubled is called whenever two ticks each become one, before
// there are too many.
func (c *clock) grow(t int64, doubled func()) {
	if !c.grows || t-c.start > longest {
		return
	}
	for t > c.ends[len(c.ends)-1] {
		if len(c.ends) < most {
			c.ends = append(c.ends, c.ends[len(c.ends)-1]+c.width)
			continue
		}
		for i := range most / 2 {
			c.ends[i] = c.ends[2*i+1]
		}
		c.ends = c.ends[:most/2]
		c.width *= 2
		c.last = 0
		doubled()
	}
}

// close ends the last tick of a capture with its last packet. What is left of a tick would make a rate of one
// packet, and is put to the tick before: joined is called with its index then.
func (c *clock) close(last int64, joined func(i int)) {
	n := len(c.ends)
	if !c.grows || n == 0 || last <= c.begin(n-1) || last >= c.ends[n-1] {
		return
	}
	c.ends[n-1] = last
	if n > 1 && last-c.begin(n-1) < c.width/2 {
		joined(n - 1)
		c.ends = append(c.ends[:n-2], last)
		c.last = 0
	}
}
