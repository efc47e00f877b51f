//go:build linux

package capture

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	tcx "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// needTap skips where the kernel has no tcx: there auto falls back, which TestTapFallsBack sees.
func needTap(t testing.TB) {
	t.Helper()
	if err := canTap(); err != nil {
		t.Skip(err)
	}
}

// notRun is what a runFilter says of a packet that it cannot run on.
const notRun = -1

// runFilter runs the translated filter on a packet as the kernel does, and says what it keeps.
type runFilter func(pkt []byte) int

func newRunFilter(t testing.TB, f Filter) runFilter {
	t.Helper()
	ring := looseTap(t, f, 1<<20, nil)
	return func(pkt []byte) int {
		before := ring.total()
		_, err := ring.programs.Programs["tap_egress"].Run(&ebpf.RunOptions{Data: pkt})
		if errors.Is(err, unix.EINVAL) && len(pkt) < ethernetHeader+ipv6Header {
			return notRun // shorter than the kernel lets a program have without an interface
		}
		if err != nil {
			t.Fatalf("run the program on %d bytes: %v", len(pkt), err)
		}
		if ring.total() == before {
			return 0
		}
		var last record
		for _, p := range ring.keep(time.Time{}, nil, false) {
			for cur := p.cursor(); ; {
				r, ok := cur.next()
				if !ok {
					break
				}
				if r.at > last.at {
					last = r
				}
			}
		}
		ring.release()
		if string(last.data) != string(pkt[:len(last.data)]) || last.wire != len(pkt) || last.kind != unix.PACKET_OUTGOING {
			t.Errorf("%d bytes on the wire, kind %d, kept % x of % x", last.wire, last.kind, last.data, pkt)
		}
		return len(last.data)
	}
}

// total is how many packets were recorded.
func (t *tap) total() (n uint64) {
	t.collect(time.Now())
	return t.stats.Packets
}

// The programs keep of every packet what the packet socket's filter keeps, byte for byte.
func TestTapKeepsTheSame(t *testing.T) {
	needTap(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for name, f := range map[string]Filter{
		"default": {}, "payload": {Payload: 32}, "short": {SnapLen: 64}, "port": {Ports: []uint16{443, 53}}, "peer": peers("192.0.2.0/24", "2001:db8::/32"),
	} {
		f, err := f.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		tapped := newRunFilter(t, f)
		for i := range 3000 {
			pkt := anyPacket(rng)
			want := min(run(t, f, ethernet, pkt), len(pkt))
			if got := tapped(pkt); got != want && got != notRun {
				t.Errorf("%s, packet %d: kept %d bytes, a packet socket %d: % x", name, i, got, want, pkt)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// anyPacket is a packet of any of the wrappings, whole, cut off or with some bytes changed.
func anyPacket(rng *rand.Rand) []byte {
	inner := [][]byte{
		v4(ipTCP, tcp(20), secret()), v4(ipTCP, tcp(60), secret()), v4(ipUDP, ports(8, 40000, 53), secret()),
		v4(ipUDP, ports(8, 40000, 443), secret()), v6(ipTCP, tcp(32), secret()), v6(0, ext(44, 8), frag6(ipTCP, 0), tcp(20), secret()),
		v4(ipICMP, icmp(3), ip4(ipTCP, 0, 20), tcp(20), secret()), v6(ipICMPv6, icmp(135), secret()), v6(51, auth(ipUDP, 12), ports(8, 1, 2), secret()),
	}
	all := wrappings()
	w := all[rng.IntN(len(all))]
	i := rng.IntN(len(inner))
	pkt := w.wrap(inner[i][0]>>4 == 6, inner[i])
	switch rng.IntN(3) {
	case 0:
		pkt = pkt[:max(ethernetHeader, rng.IntN(len(pkt)))]
	case 1:
		for range 1 + rng.IntN(3) {
			pkt[12+rng.IntN(min(100, len(pkt)-12))] ^= byte(1 << rng.IntN(8))
		}
	}
	return pkt
}

// Two CPUs flood a ring that goes round many times, without ever waiting, while cuts are taken
// and written: none has a gap, a packet twice or times out of order, and each has the newest.
func TestTapIsContiguousUnderFlood(t *testing.T) {
	needTap(t)
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Way: TCX, Interfaces: []string{a.Link}, Bytes: 4 << 20, Filter: Filter{Payload: 16}})
	var senders [2]*sender
	var p pace
	for i := range senders {
		senders[i] = &sender{wire: openWire(t, a.NS, a.Link), id: uint64(i), size: 100}
	}
	stop := make(chan struct{})
	go func() { // nobody waits for a tick
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
				p.tick()
			}
		}
	}()
	t.Cleanup(func() { close(stop) })
	halt := start(t, 500, &p, senders[:]...)
	for i := range 8 {
		eventually(t, "a ring that went round", func() bool { return s.Status()[0].Overwritten > uint64(i+1)*20_000 })
		sent := [2]uint64{senders[0].sent.Load(), senders[1].sent.Load()}
		since := time.Time{}
		if i%2 == 1 {
			since = time.Now().Add(-20 * time.Millisecond)
		}
		c, err := s.Cut(since, nil)
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, c, PcapngOptions{})
		st := c.Stats()[0]
		c.Close()
		seen := contiguous(t, file)
		for id, n := range sent {
			// Of a sender that had no CPU while the other filled the ring nothing is left.
			if got, there := seen[uint64(id)]; there && since.IsZero() && got.last+1 < n {
				t.Errorf("cut %d: the newest packet of sender %d is %d, but %d were sent before", i, id, got.last, n)
			}
		}
		all := frames(t, file)
		// In the last 20 ms nobody may have had a CPU to send.
		if n := len(all); uint64(n) != st.Held || n == 0 && since.IsZero() {
			t.Errorf("cut %d: %d packets, announced %d", i, n, st.Held)
		}
	}
	halt()
	if st := s.Status()[0]; st.Packets < senders[0].sent.Load()+senders[1].sent.Load() {
		t.Errorf("recorded %d and lost %d of %d and %d", st.Packets, st.Drops, senders[0].sent.Load(), senders[1].sent.Load())
	}
}

// While a cut is written nothing of it is overwritten: what finds no room then is counted.
func TestTapKeepsTheCut(t *testing.T) {
	needTap(t)
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Way: TCX, Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 1000}})
	w := openWire(t, a.NS, a.Link)
	seq := w.sendFrom(t, 0, 400)
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stuck := &slow{wait: func() {
		if seq < 2400 {
			seq = w.sendFrom(t, seq, 2000)
		}
	}}
	if err := c.WritePcapng(stuck, PcapngOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := contiguous(t, stuck.Bytes())[0]; got != (span{0, 399}) {
		t.Errorf("the cut holds %+v", got)
	}
	st := s.Status()[0]
	if st.Drops == 0 || st.Packets+st.Drops < 2400 {
		t.Errorf("2 MiB went into a ring of 1 MiB: recorded %d, lost %d", st.Packets, st.Drops)
	}
	seq = w.sendFrom(t, seq, 100)
	file, _ := cutNow(t, s)
	if got := lastOf(frames(t, file)); got != seq-1 {
		t.Errorf("after the cut the newest packet is %d, want %d", got, seq-1)
	}
}

func lastOf(all []frame) (last uint64) {
	for _, f := range all {
		if _, seq, ok := numberOf(f.data); ok {
			last = seq
		}
	}
	return last
}

// A block into which two CPUs may have written is left out, and its packets are lost.
func TestTornBlock(t *testing.T) {
	needTap(t)
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Way: TCX, Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	openWire(t, a.NS, a.Link).sendFrom(t, 0, 10)
	ring := s.members[0].ring.(*tap)
	for n := range ring.plan.blocks {
		ring.header(uint64(n)).Torn = 1
	}
	for range 2 { // counted once
		c, err := s.Cut(time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if st := c.Stats()[0]; st.Held != 0 || st.Lost < 10 || st.Lost > 20 {
			t.Errorf("held %d, lost %d of 10 packets", st.Held, st.Lost)
		}
		c.Close()
	}
}

// Programs of others run as if ours were not there, before and after it.
func TestTapIsNotInTheWay(t *testing.T) {
	needTap(t)
	a, b := testns.Pair(t)
	counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer counter.Close()
	drop, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 2), asm.Return()}}) // TCX_DROP
	if err != nil {
		t.Fatal(err)
	}
	defer drop.Close()
	testns.Do(t, b.NS, func() {
		l, err := tcx.AttachTCX(tcx.TCXOptions{Interface: index(t, b.Link), Program: drop, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
	})
	ping := func() error {
		var err error
		testns.Do(t, a.NS, func() { err = exec.Command("ping", "-c1", "-W1", b.Addr).Run() })
		return err
	}
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip(err)
	}
	s := arm(t, b.NS, SetConfig{Way: TCX, Interfaces: []string{b.Link}, Bytes: 1 << 20})
	if ping() == nil {
		t.Error("a packet that another program drops came through")
	}
	if st := s.Status()[0]; st.Packets == 0 {
		t.Error("nothing was recorded before it was dropped")
	}
}

// After kill -9 nothing of the recorder is left on the interface.
func TestTapGoesWithItsProcess(t *testing.T) {
	needTap(t)
	a, _ := testns.Pair(t)
	attached := func() int {
		n := 0
		testns.Do(t, a.NS, func() {
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				r, err := tcx.QueryPrograms(tcx.QueryOptions{Target: index(t, a.Link), Attach: at})
				if err != nil {
					t.Error(err)
					return
				}
				n += len(r.Programs)
			}
		})
		return n
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), armedVariable+"="+a.Link, wayVariable+"="+string(TCX))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	testns.Do(t, a.NS, func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "two programs", func() bool { return attached() == 2 })
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "no program", func() bool { return attached() == 0 })
}

// Without privileges auto falls back, with them missing for both nothing is recorded, and who
// asked for tcx is told in one sentence.
func TestTapRefused(t *testing.T) {
	testns.Run(t, func() {
		runtime.LockOSThread() // a thread has its own capabilities; this one ends with f
		if err := dropCapabilities(unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN); err != nil {
			t.Error(err)
			return
		}
		_, err := OpenSet(SetConfig{Way: TCX, Interfaces: []string{"lo"}, Bytes: 1 << 20})
		if refused := (*tapError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "CAP_BPF") {
			t.Errorf("tcx: %v", err)
		}
		s, err := OpenSet(SetConfig{Way: Auto, Interfaces: []string{"lo"}, Bytes: 1 << 20})
		if err != nil {
			t.Errorf("auto: %v", err)
			return
		}
		defer s.Close()
		if st := s.Status()[0]; st.Way != TPacket || !strings.Contains(st.Why, "CAP_BPF") {
			t.Errorf("auto took %s, because %q", st.Way, st.Why)
		}
	})
}

func TestPlanTap(t *testing.T) {
	for _, at := range []struct {
		bytes, cpus int
		want        tapPlan
	}{
		{64 << 20, 2, tapPlan{64 << 10, 1024, 2}},
		{64 << 20, 128, tapPlan{16 << 10, 4096, 128}},
		{1 << 20, 2, tapPlan{16 << 10, 64, 2}},
	} {
		got, err := planTap(at.bytes, at.cpus)
		if err != nil || got != at.want {
			t.Errorf("%d bytes for %d CPUs: %+v, %v", at.bytes, at.cpus, got, err)
		}
		if got.reserve() <= 2*got.cpus {
			t.Errorf("%+v: the reserve is no larger than what the CPUs have in hand", got)
		}
	}
	if _, err := planTap(1<<20, 128); err == nil {
		t.Error("8 KiB for each of 128 CPUs were planned")
	}
}
