//go:build linux

package vital

import (
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollShare bounds what a dump of sockets may cost where nothing else tells: it waits at
	// least 200 times the CPU time that the last one took, so that half a percent of one CPU is the
	// most, however many sockets there are. The time by the clock is no cost: on a host that is
	// short of CPU a dump of no socket takes a tenth of a second, and the next would come after minutes.
	pollShare = 200
	// countShare bounds one whose figures change slowly, or are kept by other means meanwhile.
	countShare = 1000
	// pacePatience is how long a dump may take: one of two million sockets takes 0.6 s.
	pacePatience = 5 * time.Second
)

var errUncounted = errors.New("counting sockets does not come back")

// pace spaces out what is dear, dumps of sockets, and has it done beside the ticks: one of
// 100,000 takes 50 ms, and 300 on a host that is busy, in which no trigger would be looked at.
// What a tick shows is as old as the last dump that has ended: what it took and a tick when it
// is new, and every more, or share times its CPU time, just before the next.
type pace struct {
	every time.Duration // at the least
	share int           // of the CPU time that one took
	// ask is what is dear. What it writes is its own while it is going.
	ask func() error

	next   time.Time
	began  time.Time // the one that goes on, or the last
	going  bool
	last   lastDump
	orders chan struct{}
	done   chan lastDump
}

// lastDump is the last that has ended.
type lastDump struct {
	began time.Time
	took  time.Duration
	cost  time.Duration // CPU time
	err   error
}

// dumps is a reader whose values come from a dump, wholly or with what was counted since.
type dumps interface{ dumped() lastDump }

// open asks for the first time, before there is a tick that would wait for it.
func (p *pace) open() error {
	p.orders, p.done = make(chan struct{}, 1), make(chan lastDump, 1)
	p.began = time.Now()
	p.ended(p.dump())
	if p.last.err == nil {
		go p.serve()
	}
	return p.last.err
}

func (p *pace) serve() {
	for range p.orders {
		p.done <- p.dump()
	}
}

func (p *pace) dump() lastDump {
	runtime.LockOSThread() // what is dear is done in the kernel, on this thread
	defer runtime.UnlockOSThread()
	began, spent := time.Now(), threadTime()
	err := p.ask()
	return lastDump{began, time.Since(began), threadTime() - spent, err}
}

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it is always there
	return time.Duration(t.Nano())
}

func (p *pace) ended(d lastDump) {
	p.going, p.last = false, d
	p.next = p.began.Add(max(p.every, time.Duration(p.share)*d.cost))
}

func (p *pace) dumped() lastDump { return p.last }

// due says whether run will begin.
func (p *pace) due(now time.Time) bool { return !p.going && !now.Before(p.next) }

// rest has run begin only when the time that lies between two is over once more.
func (p *pace) rest(now time.Time) { p.next = now.Add(p.every) }

// run takes what has ended since the last call, and says whether something has and how; else
// it begins anew where the time for that has come. It never waits.
func (p *pace) run(now time.Time) (fresh bool, err error) {
	if p.due(now) {
		p.going, p.began = true, now
		p.orders <- struct{}{}
		return false, nil
	}
	if !p.going {
		return false, nil
	}
	select {
	case d := <-p.done:
		p.ended(d)
		return d.err == nil, d.err
	default:
	}
	if now.Sub(p.began) > pacePatience {
		return false, errUncounted
	}
	return false, nil
}

// close ends the goroutine; one that is in the kernel ends when it comes back.
func (p *pace) close() { close(p.orders) }
