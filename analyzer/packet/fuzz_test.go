package packet

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/pkt"
)

// fileReader opens a file until the test ends.
func fileReader(t testing.TB, path string) io.Reader {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// FuzzDecode feeds packets to the decoder of every link type.
func FuzzDecode(f *testing.F) {
	v4 := pkt.TCP{Src: client, Dst: server, Flags: 2, Options: pkt.SYNOptions(1460, 7, 1, 2)}
	v6 := pkt.TCP{Src: client6, Dst: server6, Flags: 16, Options: pkt.SACK(1, 2, 3, 4)}
	a, b := client.Addr(), server.Addr()
	for _, link := range []uint32{0, 1, 101, 108, 113, 276} {
		f.Add(link, v4.Frame())
	}
	f.Add(uint32(1), v6.Frame())
	f.Add(uint32(1), pkt.Ethernet(0x88a8, pkt.VLAN(1, 0x8847, append([]byte{0, 0, 1, 0}, v4.IP()...))))
	f.Add(uint32(101), pkt.IPv4(a, b, 47, 0, 0, append([]byte{0xb0, 0, 8, 0}, v4.IP()...)))
	f.Add(uint32(101), pkt.IPv4(a, b, 17, 0, 0, pkt.UDP(1, 6081, v4.Frame())))
	f.Add(uint32(101), pkt.IPv4(a, b, 1, 0, 0, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, v4.IP()...)))
	f.Add(uint32(101), extended(0, 6, 0, 1, 4, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, link uint32, data []byte) {
		var d decoder
		p := Packet{CapLen: uint32(len(data)), WireLen: uint32(len(data))}
		d.decode(&p, link, data)
		if p.Kind >= kinds {
			t.Fatalf("kind %d", p.Kind)
		}
		if p.Kind == TCP && (p.HeaderLen < 20 || p.NSACK > 4) {
			t.Fatalf("header %d, %d SACK blocks", p.HeaderLen, p.NSACK)
		}
	})
}

// FuzzSource feeds files to the readers, whole and byte by byte: both must give the same.
func FuzzSource(f *testing.F) {
	record := pkt.Record{Time: 1, Data: segment(1), Flags: 1}
	f.Add(pkt.Pcapng(binary.LittleEndian, record, record))
	f.Add(pkt.Pcapng(binary.BigEndian, record))
	f.Add(pkt.Pcap(binary.LittleEndian, true, 1, record))
	f.Add(append(pkt.Pcapng(binary.BigEndian, record), pkt.Simple(binary.BigEndian, record)...))
	f.Add(append(pkt.Pcapng(binary.LittleEndian), pkt.Statistics(binary.LittleEndian, 0, 7)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, errA := Open(Input{Reader: bytes.NewReader(data)})
		b, errB := Open(Input{Reader: oneByte{bytes.NewReader(data)}})
		if (errA == nil) != (errB == nil) {
			t.Fatalf("whole: %v, byte by byte: %v", errA, errB)
		}
		if errA != nil {
			return
		}
		defer a.Close()
		defer b.Close()
		x, y := read(t, a), read(t, b)
		if len(x) != len(y) || len(a.Damage()) != len(b.Damage()) {
			t.Fatalf("whole: %d packets, byte by byte: %d", len(x), len(y))
		}
		for i := range x {
			if x[i] != y[i] {
				t.Fatalf("packet %d differs", i)
			}
		}
	})
}

// oneByte reads a byte at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

// BenchmarkSource reads and decodes a capture of 100,000 segments.
func BenchmarkSource(b *testing.B) {
	var records []pkt.Record
	for i := range 100000 {
		data := pkt.TCP{Src: client, Dst: server, Seq: uint32(i), Flags: 16, Options: pkt.Timestamps(1, 2)}.Frame()
		records = append(records, pkt.Record{Time: int64(i), Data: data, Wire: 1514, Flags: 1})
	}
	file := pkt.Pcapng(binary.LittleEndian, records...)
	b.ResetTimer()
	packets := 0
	for b.Loop() {
		s, err := Open(Input{Reader: bytes.NewReader(file)})
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := s.Next(); err != nil {
				break
			}
			packets++
		}
		s.Close()
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}
