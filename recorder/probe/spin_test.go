//go:build linux

package probe

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// spinner is packet sockets whose filters each do a fixed work in the softirq that brings a datagram,
// one after the other, and say how often they have, and for how long in all.
type spinner struct {
	fd   int // that sends, to itself
	port int
	work []int     // the sockets
	told *ebpf.Map // 0: how often, 1: ns
}

// newSpinner makes one in the thread's namespace, with n sockets of so many rounds each.
func newSpinner(t *testing.T, n int, rounds int32) *spinner {
	t.Helper()
	told, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	must(t, err)
	t.Cleanup(func() { told.Close() })
	prog := spinning(t, told, rounds)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	own, err := unix.Getsockname(fd)
	must(t, err)
	s := &spinner{fd: fd, port: own.(*unix.SockaddrInet4).Port, told: told}
	t.Cleanup(func() { s.stop() })
	for range n {
		const lo = 1
		packets, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		s.work = append(s.work, packets)
		must(t, unix.SetsockoptInt(packets, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog.FD()))
		must(t, unix.Bind(packets, &unix.SockaddrLinklayer{Protocol: bits.ReverseBytes16(unix.ETH_P_IP), Ifindex: lo}))
	}
	return s
}

// stop has no socket work any more.
func (s *spinner) stop() {
	for _, fd := range s.work {
		unix.Close(fd)
	}
	s.work = nil
}

// spinFor makes one that works for about so long; unit is for how long one socket does at most.
func spinFor(t *testing.T, d, unit time.Duration) *spinner {
	t.Helper()
	n := int(d/unit) + 1
	return newSpinner(t, n, max(1, int32(float64(wholeSpin)*float64(d)/float64(unit)/float64(n))))
}

// unit measures it.
func unit(t *testing.T) time.Duration {
	t.Helper()
	whole := newSpinner(t, 1, wholeSpin)
	defer whole.stop()
	return whole.spin(t)
}

// wholeSpin is about all that the verifier walks through: 400,000 readings of the clock, 3 ms where
// one takes 7 ns, 10 and more on a virtual machine.
const wholeSpin = 50_000

// spinning is the filter.
func spinning(t *testing.T, told *ebpf.Map, rounds int32) *ebpf.Program {
	t.Helper()
	work := asm.Instructions{
		asm.FnKtimeGetNs.Call(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R7, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("again"),
	}
	for range 7 {
		work = append(work, asm.FnKtimeGetNs.Call())
	}
	work = append(work, asm.Add.Imm(asm.R7, 1), asm.JLT.Imm(asm.R7, rounds, "again"),
		asm.FnKtimeGetNs.Call(), asm.Sub.Reg(asm.R0, asm.R8), asm.Mov.Reg(asm.R8, asm.R0))
	slot := func(key int64, then asm.Instruction, missing string) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.RFP, -4, key, asm.Word), asm.LoadMapPtr(asm.R1, told.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, missing), then,
		}
	}
	work = append(work, slot(1, asm.StoreXAdd(asm.R0, asm.R8, asm.DWord), "end")...)
	work = append(work, asm.Mov.Imm(asm.R7, 1))
	work = append(work, slot(0, asm.StoreXAdd(asm.R0, asm.R7, asm.DWord), "end")...)
	work = append(work, asm.Mov.Imm(asm.R0, 0).WithSymbol("end"), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: work, License: "Dual BSD/GPL"})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	return prog
}

func (s *spinner) read(t *testing.T, key uint32) (n uint64) {
	t.Helper()
	must(t, s.told.Lookup(key, &n))
	return n
}

// spin has it work once, and says for how long it did.
func (s *spinner) spin(t *testing.T) time.Duration {
	t.Helper()
	before, worked := s.read(t, 0), s.read(t, 1)
	must(t, unix.Sendto(s.fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: s.port}))
	eventually(t, "the filters have run", func() bool { return s.read(t, 0) >= before+uint64(len(s.work)) })
	return time.Duration(s.read(t, 1) - worked)
}

// met is the longest NET_RX that the ticks have found since it was asked last.
func met(s *Set) (longest time.Duration) {
	s.Softirqs.Met(func(_, vector int, d time.Duration) {
		if vector == NetRX {
			longest = max(longest, d)
		}
	})
	return longest
}

// untime has no softirq timed, and longs for nothing: what a busy machine has most of the time.
func untime(t *testing.T, s *Set) {
	t.Helper()
	if s.Softirqs.timing.always {
		t.Skip("the timer's ticks do not look for long softirqs here")
	}
	s.Softirqs.timing.hooks.Lock()
	defer s.Softirqs.timing.hooks.Unlock()
	must(t, s.Softirqs.timing.set(s.Softirqs, false))
}

// slowestTick is the period of a timer of 100 Hz.
const slowestTick = 10 * time.Millisecond

// Of a softirq that nobody times the ticks say how long it was, but for the time before the first and behind the
// last of them, and where it was. A tick that comes late because the machine is a virtual one whose host has other
// things to do finds less: then it is tried again.
func TestLongSoftirqsAreMet(t *testing.T) {
	ns := testns.New(t)
	s := armAll(t, Options{})
	untime(t, s)
	testns.Do(t, ns, func() {
		unit := unit(t)
		for _, d := range []time.Duration{3 * time.Millisecond, 8 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
			spinner := spinFor(t, d, unit)
			eventually(t, "the ticks find a long softirq", func() bool { return spinner.isMet(t, s) })
			spinner.stop()
		}
	})
}

// isMet has it work, and says whether the ticks found that for as long as they should.
func (s *spinner) isMet(t *testing.T, set *Set) bool {
	t.Helper()
	told{}.drain(t, set)
	met(set)
	begin := time.Now()
	spun := s.spin(t)
	whole := time.Since(begin)
	longest, events := met(set), told{}
	events.drain(t, set)
	stacks := events[Stack]
	t.Logf("of %v the ticks found %v, with %d stacks", spun, longest, len(stacks))
	if longest > whole {
		t.Errorf("of %v, %v with all that is around it, the ticks found %v", spun, whole, longest)
	}
	if longest < spun-2*slowestTick-time.Millisecond {
		return false
	}
	if spun < 3*slowestTick {
		return true // a tick may have met it once only
	}
	if within := inside(t, stacks, "net_rx_action"); within == 0 || within < len(stacks) {
		t.Errorf("%d of %d stacks are inside of the handler", within, len(stacks))
		return true
	}
	last := stacks[len(stacks)-1]
	for _, e := range stacks {
		if e.Time-int64(e.Duration) != last.Time-int64(last.Duration) {
			t.Errorf("one stack's run began at %d, the last one's at %d", e.Time-int64(e.Duration), last.Time-int64(last.Duration))
		}
	}
	// On a busy machine other timers' ticks may bring as many stacks as are kept of one softirq (stack_limit).
	if all := len(stacks) < 300; !last.Untimed || last.Reason != NetRX || all && last.Duration != longest {
		t.Errorf("the last stack is %+v, the longest run %v", last, longest)
	}
	return true
}

// A busy machine's softirqs follow each other, and each tick may meet one: of many short ones none is taken for
// a long one.
func TestShortSoftirqsAreNotMet(t *testing.T) {
	ns := testns.New(t)
	s := armAll(t, Options{})
	untime(t, s)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		testns.Do(t, ns, func() { flood(t, end) })
	}()
	met(s)
	var interrupted uint64
	runs := softirqRuns(t, "NET_RX")
	eventually(t, "ticks have met a hundred of them", func() bool {
		for cpu := range s.Softirqs.cpus.slots {
			if atomic.LoadUint64(&s.Softirqs.cpus.slots[cpu].Begun) != 0 {
				interrupted++
			}
		}
		return interrupted >= 100
	})
	close(end)
	<-ended
	// Nothing of ours is long here; what the machine does besides may be.
	if longest := met(s); longest > time.Second {
		t.Errorf("one of %d took %v", softirqRuns(t, "NET_RX")-runs, longest)
	}
}

// pin keeps the thread on one CPU, and with it what it sends to itself.
func pin(t *testing.T) (cpu int) {
	t.Helper()
	var set unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &set))
	for !set.IsSet(cpu) {
		cpu++
	}
	set.Zero()
	set.Set(cpu)
	must(t, unix.SchedSetaffinity(0, &set))
	return cpu
}

// A long run is a long one, whenever the timing begins and ends: it is timed, or the ticks meet it.
func TestNoLongRunIsLost(t *testing.T) {
	ns := testns.New(t)
	s := armAll(t, Options{})
	untime(t, s)
	testns.Do(t, ns, func() {
		cpu := pin(t)
		ticks := func() uint64 { return atomic.LoadUint64(&s.Softirqs.cpus.slots[cpu].Looks) }
		spinner := spinFor(t, 4*slowestTick, unit(t))
		end, ended := make(chan struct{}), make(chan error)
		go func() {
			var err error
			for on := true; err == nil; on = !on {
				select {
				case <-end:
					ended <- nil
					return
				case <-time.After(rand.N(8 * slowestTick)):
					s.Softirqs.timing.hooks.Lock()
					if on || !s.Softirqs.longGoesOn() {
						err = s.Softirqs.timing.set(s.Softirqs, on)
					}
					s.Softirqs.timing.hooks.Unlock()
				}
			}
			ended <- err
		}()
		var timed, untimed int
		found := func() bool {
			var now bool
			must(t, s.Softirqs.Read(func(_, vector int, d *Durations) {
				if vector == NetRX && d.Max > slowestTick {
					now, timed = true, timed+1
				}
			}))
			if met(s) > slowestTick/2 {
				now, untimed = true, untimed+1
			}
			return now
		}
		found()
		const spins = 60
		for range spins {
			before := ticks()
			// An emulated CPU is faster at times, and stands at others, with its ticks.
			if spun := spinner.spin(t); spun < 3*slowestTick || ticks() < before+4 {
				found()
				continue
			}
			eventually(t, "the run is found", found)
		}
		close(end)
		must(t, <-ended)
		t.Logf("of %d runs %d were timed, %d met", spins, timed, untimed)
	})
}
