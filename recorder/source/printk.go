//go:build linux

package source

import (
	"strconv"
	"time"
)

// printk is what is known of the distance between CLOCK_MONOTONIC and the clock that printk
// stamps lines with. That one is local_clock (kernel/sched/clock.c): the CPU's counter at the
// rate that was measured at boot, which NTP never corrects. So the two drift apart, by up to
// a minute a month at 20 ppm, and how far they are is measured: a line that was not there at
// one read and is at the next was written in between.
type printk struct {
	low, high int64  // ns: CLOCK_MONOTONIC less printk's clock lies between them
	at        int64  // CLOCK_MONOTONIC, when they were last narrowed; 0 never
	lines     uint64 // that came while the log was read
}

// arrival is between which two readings of CLOCK_MONOTONIC a line was written; after is 0
// for what was in the log before it was opened.
type arrival struct{ after, until int64 }

const (
	// driftMost is how far the two may drift apart: what the kernel lets NTP correct at the
	// most (include/linux/timex.h, MAXFREQ: 500 ppm).
	driftMost = 500e-6
	// bootApart is how far they may be when both have just begun to count.
	bootApart = time.Second
)

// see narrows the bounds by a line. They widen with the time that has passed since, so that
// an old line does not bind for ever.
func (p *printk) see(stamp int64, came arrival) {
	low, high := came.after-stamp, came.until-stamp
	was := p.bounds(came.until)
	// Where they contradict each other the clock has jumped, as at a suspend on some machines.
	if l, h := max(low, was.low), min(high, was.high); l <= h {
		low, high = l, h
	}
	p.low, p.high, p.at = low, high, came.until
	if came.after > 0 {
		p.lines++
	}
}

// bounds gives them as they are at a time of CLOCK_MONOTONIC. Before the first line it is
// only known that both clocks began to count at boot.
func (p *printk) bounds(now int64) printk {
	w := int64(driftMost * float64(now-p.at))
	if p.at == 0 {
		w += int64(bootApart)
	}
	return printk{low: p.low - w, high: p.high + w, at: p.at, lines: p.lines}
}

// place puts a stamp on CLOCK_MONOTONIC, and never outside of when the line came.
func (p *printk) place(stamp int64, came arrival) int64 {
	return min(max(stamp+p.offset(), came.after), came.until)
}

// span is between when a line was written at the earliest, and at the latest.
func (p *printk) span(stamp int64, came arrival) (earliest, latest int64) {
	b := p.bounds(max(came.until, p.at))
	return min(max(stamp+b.low, came.after), came.until), min(max(stamp+b.high, came.after), came.until)
}

// offset is the best guess. Before a line has come it is that the clocks have not drifted,
// since the bounds are wide then and their middle means nothing.
func (p *printk) offset() int64 {
	if p.lines == 0 {
		return min(max(0, p.low), p.high)
	}
	return p.low + (p.high-p.low)/2
}

// details says what was measured.
func (p *printk) details(now int64) map[string]string {
	b := p.bounds(now)
	offset := b.offset()
	return map[string]string{
		"printk_offset_ns":      strconv.FormatInt(offset, 10),
		"printk_uncertainty_ns": strconv.FormatInt(max(b.high-offset, offset-b.low), 10),
		"printk_lines":          strconv.FormatUint(b.lines, 10),
	}
}
