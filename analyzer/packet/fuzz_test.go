package packet

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

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

// FuzzDecode feeds packets to the decoder of every link type, of which the capture holds all but the last
// so many bytes.
func FuzzDecode(f *testing.F) {
	v4 := pkt.TCP{Src: client, Dst: server, Flags: 2, Options: pkt.SYNOptions(1460, 7, 1, 2)}
	v6 := pkt.TCP{Src: client6, Dst: server6, Flags: 16, Options: pkt.SACK(1, 2, 3, 4)}
	a, b := client.Addr(), server.Addr()
	ip4 := v4.IP()
	for _, link := range []uint32{0, 1, 9, 101, 108, 113, 276} {
		f.Add(link, uint16(0), v4.Frame())
	}
	f.Add(uint32(1), uint16(1400), v6.Frame())
	f.Add(uint32(1), uint16(0), pkt.Ethernet(0x88a8, pkt.VLAN(1, 0x8847, append([]byte{0, 0, 1, 0}, ip4...))))
	f.Add(uint32(1), uint16(0), pkt.Ethernet(0x8864, append([]byte{0x11, 0, 0, 1, 0, 99, 0, 0x21}, ip4...)))
	for proto, header := range map[uint8][]byte{
		4: nil, 47: {0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}, 50: {0, 0, 0, 1, 0, 0, 0, 2}, 51: {4, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2},
		1: {3, 1, 0, 0, 0, 0, 0, 0}, 115: {0, 0, 0, 1},
	} {
		f.Add(uint32(101), uint16(0), pkt.IPv4(a, b, proto, 0, 0, append(header, ip4...)))
	}
	for port, header := range map[uint16][]byte{
		6081: {1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0}, 4789: append([]byte{8, 0, 0, 0, 0, 0, 1, 0}, pkt.Ethernet(0x0800, nil)...),
		2152: {0x34, 255, 0, 57, 0, 0, 0, 7, 0, 0, 0, 0x85, 1, 0, 9, 0}, 4754: {0, 0, 8, 0}, 51820: {4, 0, 0, 0}, 4500: {1, 2, 3, 4},
		1701: {0, 2, 0, 1},
	} {
		f.Add(uint32(101), uint16(0), pkt.IPv4(a, b, 17, 0, 0, pkt.UDP(1, port, append(header, ip4...))))
	}
	f.Add(uint32(101), uint16(0), extended(0, 6, 0, 1, 4, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, link uint32, more uint16, data []byte) {
		var d decoder
		p := Packet{CapLen: uint32(len(data)), WireLen: uint32(len(data)) + uint32(more)}
		d.decode(&p, link, data)
		if p.Kind >= kinds || p.Opaque >= opaques || d.depth != 0 {
			t.Fatalf("kind %d, hidden in %d, %d tunnels left", p.Kind, p.Opaque, d.depth)
		}
		if p.Kind == TCP && (p.HeaderLen < 20 || p.NSACK > 4 || p.Opaque != Clear) {
			t.Fatalf("header %d, %d SACK blocks, hidden in %v", p.HeaderLen, p.NSACK, p.Opaque)
		}
		if int(p.NSACK) > len(p.SACKs) || p.WScale > 14 {
			t.Fatalf("%d SACK blocks, scale %d", p.NSACK, p.WScale)
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
	f.Add(zipped(f, pkt.Pcapng(binary.LittleEndian, record)))
	f.Add(zstandard(f, pkt.Pcap(binary.BigEndian, false, 101, record)))
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

// zipped and zstandard compress a file.
func zipped(f *testing.F, data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	compress(f, w, data)
	return out.Bytes()
}

func zstandard(f *testing.F, data []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		f.Fatal(err)
	}
	compress(f, w, data)
	return out.Bytes()
}

func compress(f *testing.F, w io.WriteCloser, data []byte) {
	if _, err := w.Write(data); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
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
