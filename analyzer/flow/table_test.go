package flow

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/spikebox/spikebox/analyzer/internal/pkt"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// numbered returns a SYN from a port of its own.
func numbered(i int, now int64) packet.Packet {
	return packet.Packet{
		Kind: packet.TCP, Time: now, Flags: packet.SYN, Seq: 1, SrcPort: uint16(i), DstPort: 80,
		Src: packet.Addr{10, byte(i >> 24), byte(i >> 16), 1}, Dst: packet.Addr{10, 0, 0, 2},
		HeaderLen: 20,
	}
}

func TestIdle(t *testing.T) {
	for name, c := range map[string]struct {
		play    func(s *script)
		silence int64
		want    int // flows that ended
	}{
		"half open, waiting":  {func(s *script) { s.syn() }, 149 * second, 0},
		"half open, given up": {func(s *script) { s.syn() }, 152 * second, 1},
		"open, waiting":       {func(s *script) { s.open() }, 7400 * second, 0},
		"open, given up":      {func(s *script) { s.open() }, 7600 * second, 1},
		"reset, waiting":      {func(s *script) { s.open().send(true, rstToSYN) }, 58 * second, 0},
		"reset, gone":         {func(s *script) { s.open().send(true, rstToSYN) }, 62 * second, 1},
	} {
		s := play(t)
		c.play(s)
		// Another flow keeps the clock going.
		for end := s.now + c.silence; s.now < end; s.now += second {
			p := numbered(1, s.now)
			p.Flags = packet.ACK
			s.table.Add(&p)
		}
		if len(s.flows) != c.want {
			t.Errorf("%s: %d flows ended, want %d", name, len(s.flows), c.want)
		}
	}
}

// A clock that is set back by a day, or forward, neither ends a flow that is in use nor keeps those
// that are not.
func TestClockSteps(t *testing.T) {
	s := play(t).open()
	s.at(-86400*second).request(0, 100)
	s.at(ms).request(100, 200)
	s.at(2*86400*second).request(200, 300)
	s.table.Flush()
	if len(s.flows) > 2 || s.flows[len(s.flows)-1].C2S().Packets == 0 {
		t.Errorf("%d flows", len(s.flows))
	}
}

// A flood of SYNs from invented sources does not take the memory.
func TestFlood(t *testing.T) {
	ended := 0
	table := NewTable(func(*Flow) { ended++ }, Options{})
	const sources = 1 << 18
	for i := range sources {
		p := numbered(i, int64(i)*1000)
		table.Add(&p)
	}
	if peak := table.Totals().PeakFlows; peak > 1<<16+1 || ended < sources-1<<16-1 {
		t.Errorf("%d flows at once, %d ended", peak, ended)
	}
	table.Flush()
	if got := table.Totals().Flows; got != sources || ended != sources {
		t.Errorf("%d flows, %d ended", got, ended)
	}
}

// Flows that were closed make room for others.
func TestManyShortFlows(t *testing.T) {
	table := NewTable(func(*Flow) {}, Options{})
	for i := range 1 << 17 {
		now := int64(i) * 100_000 // 10,000 connections a second
		p := numbered(i, now)
		table.Add(&p)
		p.Flags, p.Time, p.Seq = packet.RST, now+1000, 2
		table.Add(&p)
	}
	if peak := table.Totals().PeakFlows; peak > 1<<12+10000 {
		t.Errorf("%d flows at once", peak)
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s := play(t).open()
	p := packet.Packet{Kind: packet.TCP, Flags: packet.ACK, Seq: s.server + 1, Ack: s.client + 1,
		Payload: 1000, HeaderLen: 20, SrcPort: 80, DstPort: 40000,
		Src: packet.Addr{192, 0, 2, 2}, Dst: packet.Addr{192, 0, 2, 1}}
	a := p
	a.Src, a.Dst, a.SrcPort, a.DstPort, a.Payload = p.Dst, p.Src, p.DstPort, p.SrcPort, 0
	table := NewTable(func(*Flow) {}, Options{})
	now := s.now
	exchange := func() {
		now += 1000
		p.Time, a.Time = now, now+500
		table.Add(&p)
		p.Seq += 1000
		a.Seq, a.Ack = p.Ack, p.Seq
		table.Add(&a)
	}
	for range 100 {
		exchange()
	}
	if n := testing.AllocsPerRun(1000, exchange); n != 0 {
		t.Errorf("%v allocations for two packets", n)
	}
}

// Results do not depend on how the file is cut into reads, nor on its compression.
func TestReadsDoNotMatter(t *testing.T) {
	var file bytes.Buffer
	if _, err := pkt.Traffic(&file, 60); err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(file.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	want := rowsOf(t, bytes.NewReader(file.Bytes()))
	again := 0
	for _, r := range want {
		again += int(r.S2C.RetransmitsFast)
	}
	if len(want) != 60 || again < 10 {
		t.Fatalf("%d flows, %d retransmissions", len(want), again)
	}
	for name, r := range map[string]io.Reader{
		"byte by byte": iotest.OneByteReader(bytes.NewReader(file.Bytes())),
		"halves":       iotest.HalfReader(bytes.NewReader(file.Bytes())),
		"gzip":         &zipped,
	} {
		if diff := cmp.Diff(want, rowsOf(t, r), sameRows); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// rowsOf returns the rows of a capture.
func rowsOf(t *testing.T, r io.Reader) (rows []Row) {
	t.Helper()
	src, err := packet.Open(packet.Input{Name: "test", Reader: r})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	table := NewTable(func(f *Flow) { rows = append(rows, f.Row()) }, Options{})
	for {
		p, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		table.Add(p)
	}
	table.Flush()
	return rows
}
