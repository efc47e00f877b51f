//go:build linux

package probe

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// spinner is a socket whose filter does a fixed work in the softirq that brings a datagram, and
// says how often it has, and how long that took last.
type spinner struct {
	fd   int
	port int
	told *ebpf.Map // 0: how often, 1: ns
}

// newSpinner makes one in the thread's namespace. The work is 400,000 readings of the clock,
// about all that the verifier walks through: 3 ms where one takes 7 ns, 10 on a virtual machine.
func newSpinner(t *testing.T) *spinner {
	t.Helper()
	told, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	must(t, err)
	t.Cleanup(func() { told.Close() })
	work := asm.Instructions{
		asm.FnKtimeGetNs.Call(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R7, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("again"),
	}
	for range 7 {
		work = append(work, asm.FnKtimeGetNs.Call())
	}
	work = append(work, asm.Add.Imm(asm.R7, 1), asm.JLT.Imm(asm.R7, 50_000, "again"),
		asm.FnKtimeGetNs.Call(), asm.Sub.Reg(asm.R0, asm.R8), asm.Mov.Reg(asm.R8, asm.R0))
	slot := func(key int64, then asm.Instruction, missing string) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.RFP, -4, key, asm.Word), asm.LoadMapPtr(asm.R1, told.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, missing), then,
		}
	}
	work = append(work, slot(1, asm.StoreMem(asm.R0, 0, asm.R8, asm.DWord), "end")...)
	work = append(work, asm.Mov.Imm(asm.R7, 1))
	work = append(work, slot(0, asm.StoreXAdd(asm.R0, asm.R7, asm.DWord), "end")...)
	work = append(work, asm.Mov.Imm(asm.R0, 0).WithSymbol("end"), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: work, License: "Dual BSD/GPL"})
	must(t, err)
	defer prog.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog.FD()))
	own, err := unix.Getsockname(fd)
	must(t, err)
	return &spinner{fd, own.(*unix.SockaddrInet4).Port, told}
}

func (s *spinner) read(t *testing.T, key uint32) (n uint64) {
	t.Helper()
	must(t, s.told.Lookup(key, &n))
	return n
}

// spin has it work once, and says for how long it did.
func (s *spinner) spin(t *testing.T) time.Duration {
	t.Helper()
	before := s.read(t, 0)
	must(t, unix.Sendto(s.fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: s.port}))
	eventually(t, "the filter has run", func() bool { return s.read(t, 0) > before })
	return time.Duration(s.read(t, 1))
}

// A long run is a long one, whatever the clocks do meanwhile: one that begins untimed while they
// run is found by them, or by whoever stops them; and while they stand each is timed.
func TestNoLongRunIsLost(t *testing.T) {
	ns := testns.New(t)
	s := armAll(t, Options{})
	var long int
	var longest time.Duration
	read := func() {
		must(t, s.Softirqs.Read(func(_, vector int, d *Durations) {
			if vector == NetRX {
				long += int(count(d.Bucket[briefBuckets:]))
				longest = max(longest, d.Max)
			}
		}))
	}
	testns.Do(t, ns, func() {
		spinner := newSpinner(t)
		shortest := time.Duration(math.MaxInt64)
		for range 8 {
			spun := spinner.spin(t)
			eventually(t, "the run is told as long as it was", func() bool { read(); return longest >= spun })
			shortest, longest = min(shortest, spun), 0
		}
		// A run is found up to a period after its begin, and long from 2^20 ns on.
		if shortest < s.Stacks.Period+1<<briefBuckets {
			t.Skipf("the work takes %v here, which is not long", shortest)
		}
		end, ended := make(chan struct{}), make(chan error)
		go func() {
			var err error
			for on := true; err == nil; on = !on {
				select {
				case <-end:
					ended <- nil
					return
				case <-time.After(rand.N(2 * shortest)):
					err = s.Stacks.Watch(on)
				}
			}
			ended <- err
		}()
		read()
		long = 0
		const spins = 300
		for range spins {
			spinner.spin(t)
		}
		close(end)
		must(t, <-ended)
		eventually(t, "all spins are told as long runs", func() bool { read(); return long >= spins })
		t.Logf("%d spins of %v and more, %d long runs", spins, shortest, long)
	})
}
