package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/analyzer/internal/pkt"
)

const second = int64(1e9)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("192.0.2.2:80")
)

// segment returns a frame with the given sequence number.
func segment(seq uint32) []byte {
	return pkt.TCP{Src: client, Dst: server, Seq: seq, Flags: 16, Payload: 3}.Frame()
}

// read returns all packets of a source, as copies.
func read(t testing.TB, s *Source) []Packet {
	t.Helper()
	var all []Packet
	for {
		p, err := s.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *p)
	}
}

// open opens inputs of bytes.
func open(t testing.TB, inputs ...[]byte) *Source {
	t.Helper()
	var list []Input
	for i, b := range inputs {
		list = append(list, Input{Name: fmt.Sprint("input", i), Reader: bytes.NewReader(b)})
	}
	s, err := Open(list...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPcapSpellings(t *testing.T) {
	at := 1700000000*second + 123456000
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, nano := range []bool{false, true} {
			t.Run(fmt.Sprint(order, " nano ", nano), func(t *testing.T) {
				file := pkt.Pcap(order, nano, 1, pkt.Record{Time: at, Data: segment(7), Wire: 99})
				s := open(t, file)
				got := read(t, s)
				if len(got) != 1 || got[0].Time != at || got[0].Seq != 7 || got[0].WireLen != 99 {
					t.Errorf("got %+v", got)
				}
				if d := s.Damage(); d != nil {
					t.Errorf("damage %v", d)
				}
			})
		}
	}
}

func TestPcapng(t *testing.T) {
	big, little := binary.BigEndian, binary.LittleEndian
	// A big-endian section with a clock of 2^-20 s, then a little-endian one with two interfaces.
	file := pkt.Section(big)
	file = append(file, pkt.Interface(big, 1, "eth0", 0x80|20)...)
	file = append(file, pkt.Enhanced(big, 5<<20|1<<19, pkt.Record{Data: segment(1), Flags: 2})...)
	file = append(file, pkt.Section(little)...)
	file = append(file, pkt.Interface(little, 1, "eth1", 9)...)
	file = append(file, pkt.Interface(little, 101, "tun0", 6)...)
	file = append(file, pkt.Enhanced(little, 6e9, pkt.Record{Data: segment(2), Flags: 1})...)
	raw := pkt.TCP{Src: client, Dst: server, Seq: 3, Flags: 16}.IP()
	file = append(file, pkt.Enhanced(little, 7e6, pkt.Record{Data: raw, Iface: 1})...)
	file = append(file, pkt.Simple(little, pkt.Record{Data: segment(4)})...)
	file = append(file, pkt.Statistics(little, 1, 42)...)

	s := open(t, file)
	type row struct {
		Time  int64
		Frame uint64
		Seq   uint32
		Iface uint16
		Dir   Dir
	}
	var got []row
	for _, p := range read(t, s) {
		got = append(got, row{p.Time, p.Frame, p.Seq, p.Interface, p.Dir})
	}
	want := []row{
		{5.5e9, 1, 1, 0, DirOut}, {6e9, 2, 2, 1, DirIn}, {7e9, 3, 3, 2, DirUnknown},
		{7e9, 4, 4, 1, DirUnknown},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantIfaces := []Interface{
		{Name: "eth0", LinkType: 1}, {Name: "eth1", LinkType: 1},
		{Name: "tun0", LinkType: 101, Drops: 42, HasDrops: true},
	}
	if diff := cmp.Diff(wantIfaces, s.Interfaces()); diff != "" {
		t.Error(diff)
	}
}

// What the interface dropped is told apart from what the capture lost, where a file does that.
func TestDrops(t *testing.T) {
	order := binary.LittleEndian
	counter := func(code uint16, n uint64) []byte { return pkt.Option(order, code, order.AppendUint64(nil, n)) }
	for name, tc := range map[string]struct {
		options []byte
		want    Interface
	}{
		"spikeboxd": {append(counter(5, 9860), counter(7, 3)...), Interface{Drops: 3, HasDrops: true}},
		"dumpcap":   {append(counter(4, 1000), counter(5, 7)...), Interface{Drops: 7, HasDrops: true}},
		"neither":   {counter(4, 1000), Interface{}},
	} {
		body := append(make([]byte, 12), tc.options...)
		file := append(pkt.Pcapng(order, pkt.Record{Data: segment(1)}), pkt.Block(order, 5, append(body, 0, 0, 0, 0))...)
		s := open(t, file)
		read(t, s)
		got := s.Interfaces()[0]
		if got.Drops != tc.want.Drops || got.HasDrops != tc.want.HasDrops {
			t.Errorf("%s: %d drops, told %v; want %d, %v", name, got.Drops, got.HasDrops, tc.want.Drops, tc.want.HasDrops)
		}
	}
}

func TestTimeUnits(t *testing.T) {
	for _, c := range []struct {
		unit  timeUnit
		ticks uint64
		want  int64
	}{
		{timeUnit{resolution: 0}, 3, 3e9},
		{timeUnit{resolution: 6}, 3, 3000},
		{timeUnit{resolution: 9}, 3, 3},
		{timeUnit{resolution: 12}, 3999, 3},
		{timeUnit{resolution: 0x80}, 3, 3e9},
		{timeUnit{resolution: 0x80 | 30}, 1 << 29, 5e8},
		{timeUnit{resolution: 6, offset: 10}, 1, 10e9 + 1000},
		{timeUnit{resolution: 6, offset: -10}, 1, -10e9 + 1000},
		{timeUnit{resolution: 127}, 5, 0},
		{timeUnit{resolution: 255}, 5, 0},
	} {
		if got := c.unit.ns(c.ticks); got != c.want {
			t.Errorf("%+v: %d ticks are %d ns, want %d", c.unit, c.ticks, got, c.want)
		}
	}
}

// compressed returns data as gzip or zstd.
func compressed(t testing.TB, zip func(io.Writer) io.WriteCloser, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipTo(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zstdTo(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err)
	}
	return z
}

func TestCompressed(t *testing.T) {
	var records []pkt.Record
	for i := range 5000 {
		records = append(records, pkt.Record{Time: int64(i), Data: segment(uint32(i))})
	}
	plain := pkt.Pcapng(binary.LittleEndian, records...)
	for name, zip := range map[string]func(io.Writer) io.WriteCloser{"gzip": gzipTo, "zstd": zstdTo} {
		t.Run(name, func(t *testing.T) {
			file := compressed(t, zip, plain)
			s := open(t, file)
			if got := len(read(t, s)); got != 5000 {
				t.Errorf("%d packets", got)
			}
			cut := open(t, file[:len(file)*2/3])
			if got := len(read(t, cut)); got == 0 || got == 5000 || len(cut.Damage()) != 1 {
				t.Errorf("cut file: %d packets, damage %v", got, cut.Damage())
			}
		})
	}
}

func TestMergeByTime(t *testing.T) {
	file := func(seqs ...uint32) []byte {
		var records []pkt.Record
		for _, seq := range seqs {
			records = append(records, pkt.Record{Time: int64(seq) * second, Data: segment(seq)})
		}
		return pkt.Pcapng(binary.LittleEndian, records...)
	}
	var got []string
	s := open(t, file(1, 4, 5), file(2, 4, 9), file())
	for _, p := range read(t, s) {
		got = append(got, fmt.Sprintf("%d:%d=%d", p.Input, p.Frame, p.Seq))
	}
	want := []string{"0:1=1", "1:1=2", "0:2=4", "1:2=4", "0:3=5", "1:3=9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if st := s.Stats(); st.Packets != 6 || st.Kinds[TCP] != 6 {
		t.Errorf("stats %+v", st)
	}
}

// A file that was cut anywhere gives the packets that are whole, and names the place.
func TestCutAnywhere(t *testing.T) {
	files := map[string][]byte{
		"pcap": pkt.Pcap(binary.BigEndian, true, 1, pkt.Record{Time: 1, Data: segment(1)},
			pkt.Record{Time: 2, Data: segment(2)}),
		"pcapng": pkt.Pcapng(binary.LittleEndian, pkt.Record{Time: 1, Data: segment(1), Flags: 1},
			pkt.Record{Time: 2, Data: segment(2)}),
	}
	for name, file := range files {
		whole := open(t, file)
		all := read(t, whole)
		clean := map[int]bool{}
		for n := 24; n < len(file); n++ {
			s, err := Open(Input{Name: name, Reader: bytes.NewReader(file[:n])})
			if err != nil {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			got := read(t, s)
			if !slices.Equal(all[:len(got)], got) {
				t.Fatalf("%s cut at %d: got %+v", name, n, got)
			}
			clean[len(s.Damage())] = true
			for _, d := range s.Damage() {
				if !errors.Is(d, io.ErrUnexpectedEOF) || d.Offset >= int64(n) {
					t.Fatalf("%s cut at %d: %v", name, n, d)
				}
			}
			s.Close()
		}
		if !clean[0] || !clean[1] {
			t.Errorf("%s: cuts between records and inside them were not both met", name)
		}
	}
}

func TestDamage(t *testing.T) {
	good := pkt.Pcapng(binary.LittleEndian, pkt.Record{Time: 1, Data: segment(1)})
	block := func(kind uint32, body []byte) []byte { return pkt.Block(binary.LittleEndian, kind, body) }
	mismatch := block(6, make([]byte, 20))
	mismatch[len(mismatch)-4]++
	for name, tail := range map[string][]byte{
		"length not a multiple of four": {6, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0},
		"length below the minimum":      {6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0},
		"length beyond reason":          {6, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0},
		"lengths differ":                mismatch,
		"short packet block":            block(6, make([]byte, 8)),
		"unknown interface":             block(6, append([]byte{9, 0, 0, 0}, make([]byte, 16)...)),
		"captured beyond the block":     block(6, append(make([]byte, 12), 255, 0, 0, 0, 255, 0, 0, 0)),
		"section without magic":         block(0x0a0d0d0a, make([]byte, 16)),
		"short interface":               block(1, make([]byte, 4)),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, append(append([]byte(nil), good...), tail...))
			if got := read(t, s); len(got) != 1 {
				t.Errorf("%d packets", len(got))
			}
			if d := s.Damage(); len(d) != 1 || d[0].Offset != int64(len(good)) {
				t.Errorf("damage %v, want one at %d", d, len(good))
			}
		})
	}
}

func TestNotACapture(t *testing.T) {
	for _, data := range []string{"", "abc", "GET / HTTP/1.1\r\n", "\x1f\x8b", "\xd4\xc3\xb2\xa1\x09\x00"} {
		if s, err := Open(Input{Name: "x", Reader: bytes.NewReader([]byte(data))}); err == nil {
			s.Close()
			t.Errorf("%q was opened", data)
		}
	}
	if _, err := OpenFiles(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestProgress(t *testing.T) {
	file := compressed(t, gzipTo, pkt.Pcapng(binary.LittleEndian, pkt.Record{Data: segment(1)}))
	path := filepath.Join(t.TempDir(), "capture.gz")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	read(t, s)
	if n, size := s.Progress(); n != int64(len(file)) || size != n {
		t.Errorf("%d of %d, the file has %d bytes", n, size, len(file))
	}
}

func TestCloseEarly(t *testing.T) {
	var records []pkt.Record
	for i := range 10 * batchSize {
		records = append(records, pkt.Record{Time: int64(i), Data: segment(uint32(i))})
	}
	s := open(t, pkt.Pcapng(binary.LittleEndian, records...))
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
