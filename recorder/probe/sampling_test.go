//go:build linux

package probe

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Whenever the clocks start and stop, each run of NET_RX is counted once, and in the buckets.
func TestSamplingLosesNoRun(t *testing.T) {
	ns := testns.New(t)
	first := softirqRuns(t, "NET_RX")
	s := armAll(t, Options{})
	armed := softirqRuns(t, "NET_RX")
	flooding, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		testns.Do(t, ns, func() { flood(t, flooding) })
	}()
	var rx Durations
	for n := range 200 {
		must(t, s.Stacks.Watch(n%2 == 0))
		before := rx.Count
		for rx.Count < before+100 {
			must(t, s.Softirqs.Read(func(_, vector int, d *Durations) {
				if vector == NetRX {
					rx.Merge(d)
				}
			}))
		}
	}
	close(flooding)
	<-ended
	last := softirqRuns(t, "NET_RX")
	must(t, s.Softirqs.Read(func(_, vector int, d *Durations) {
		if vector == NetRX {
			rx.Merge(d)
		}
	}))
	after := softirqRuns(t, "NET_RX")
	slack := uint64(len(s.Softirqs.cpus.slots)) // one run a CPU may be under way at each reading
	if rx.Count+slack < last-armed || rx.Count > after-first+slack {
		t.Errorf("%d runs of NET_RX, kernel counts %d to %d", rx.Count, last-armed, after-first)
	}
	if n := count(rx.Bucket[:]); n != rx.Count || rx.Max <= 0 || rx.Sum < rx.Max {
		t.Errorf("%d runs in buckets of %d; longest %v, sum %v", n, rx.Count, rx.Max, rx.Sum)
	}
	var untimed uint64
	for cpu := range s.Softirqs.cpus.slots {
		untimed += atomic.LoadUint64(&s.Softirqs.cpus.slots[cpu].Untimed[NetRX])
	}
	if untimed == 0 || untimed >= rx.Count {
		t.Errorf("%d of %d runs were not timed", untimed, rx.Count)
	}
}

// flood sends datagrams through loopback until it is told to end: each raises NET_RX.
func flood(t *testing.T, end <-chan struct{}) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	for {
		select {
		case <-end:
			return
		default:
			unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
		}
	}
}

// Every run is timed while the clocks stand: none is left to be found by them.
func TestEveryRunIsTimedWithoutTheClocks(t *testing.T) {
	ns := testns.New(t)
	s := armAll(t, Options{})
	must(t, s.Stacks.Watch(true))
	must(t, s.Stacks.Watch(false))
	untimed := func() (n uint64) {
		for cpu := range s.Softirqs.cpus.slots {
			n += atomic.LoadUint64(&s.Softirqs.cpus.slots[cpu].Untimed[NetRX])
		}
		return n
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		testns.Do(t, ns, func() { flood(t, end) })
	}()
	// A run that had begun before may be counted yet, at most one a CPU.
	before, runs := untimed(), softirqRuns(t, "NET_RX")
	eventually(t, "1000 runs of NET_RX", func() bool { return softirqRuns(t, "NET_RX") >= runs+1000 })
	close(end)
	<-ended
	if n := untimed() - before; n > uint64(len(s.Softirqs.cpus.slots)) {
		t.Errorf("%d runs were not timed", n)
	}
}

// A run that nobody has timed when the clocks stop is found by whoever stops them, and one
// that is timed keeps its time.
func TestWhatRunsWhenTheClocksStop(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	must(t, s.Stacks.Watch(true))
	// A vector that kernels raise hardly ever, or not at all with these devices.
	const hi, irqPoll = 0, 5
	slot := &s.Softirqs.cpus.slots[len(s.Softirqs.cpus.slots)-1]
	atomic.StoreUint64(&slot.Start[hi], 2<<20)
	s.Stacks.mu.Lock()
	s.Stacks.tell(0)
	must(t, s.Stacks.ask(unix.PERF_EVENT_IOC_DISABLE))
	atomic.StoreUint64(&slot.Start[irqPoll], startUntimed)
	var before, after unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
	s.Stacks.lookLast()
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
	s.Stacks.mu.Unlock()
	start := int64(atomic.SwapUint64(&slot.Start[irqPoll], 0))
	earlier := startEarlier.Nanoseconds()
	if start&startFound == 0 || start < before.Nano()-earlier || start > after.Nano()-earlier+1 {
		t.Errorf("it began at %d, want between %d and %d less %v", start, before.Nano(), after.Nano(), startEarlier)
	}
	if kept := atomic.SwapUint64(&slot.Start[hi], 0); kept != 2<<20 {
		t.Errorf("one that was timed began at %d", kept)
	}
}

// The clocks run while somebody asks for it, and not while that is forbidden; both is
// remembered for the manifest, and what they took adds up.
func TestWatchStacks(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	start := time.Now()
	if got := s.Stacks.Sampled(start.Add(-time.Hour), time.Now()); len(got) > 0 || s.Stacks.ClockTime(time.Now()) != 0 {
		t.Errorf("armed, the clocks have run %v", got)
	}
	must(t, s.Stacks.Watch(true))
	must(t, s.Stacks.Watch(true))
	must(t, s.Shed("stacks", true))
	must(t, s.Stacks.Watch(true))
	if !s.Stacks.Wanted() || s.Stacks.sampling() != nil {
		t.Error("the clocks run while they are shed")
	}
	took := s.Stacks.ClockTime(time.Now())
	if later := s.Stacks.ClockTime(time.Now().Add(time.Hour)); took <= 0 || later != took {
		t.Errorf("clocks that stand took %v, and %v later", took, later)
	}
	must(t, s.Shed("stacks", false))
	spans := s.Stacks.Sampled(start, time.Now())
	if len(spans) != 2 || spans[0].From.Before(start) || !spans[0].To.After(spans[0].From) || !spans[1].To.IsZero() {
		t.Errorf("the clocks ran %v", spans)
	}
	must(t, s.Stacks.Watch(false))
	if got := s.Stacks.Sampled(time.Now(), time.Now()); len(got) > 0 {
		t.Errorf("the clocks run now: %v", got)
	}
}
