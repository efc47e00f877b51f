package packet

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/internal/pkt"
)

// sequences are pcapng files as the blocks that they consist of, in the spelling of the draft: SHB
// section, IDB interface, EPB, SPB and PB packets, ISB statistics, NRB names, DSB secrets, SJE journal
// entry, CB and DCB custom blocks, and X a type that nobody has assigned. A block with a + has every
// option that it may have, and IDB- cuts packets short.
var sequences = []string{
	"SHB",
	"SHB IDB",
	"SHB IDB EPB EPB EPB EPB",
	"SHB+ IDB EPB",
	"SHB IDB IDB+ EPB EPB EPB+",
	"SHB IDB+ EPB+ IDB EPB+ EPB",
	"SHB IDB SPB SPB SPB",
	"SHB IDB SPB EPB SPB EPB PB",
	"SHB IDB PB PB+",
	"SHB IDB- SPB SPB EPB EPB PB",
	"SHB IDB ISB",
	"SHB IDB IDB ISB ISB+ IDB ISB",
	"SHB IDB NRB SPB EPB NRB SPB EPB NRB",
	"SHB CB DCB CB DCB",
	"SHB DSB IDB CB SPB EPB DCB SPB CB EPB DCB",
	"SHB IDB SJE EPB SJE X EPB",
	"SHB IDB SHB IDB SHB IDB",
	"SHB IDB IDB EPB ISB SHB IDB EPB ISB SPB SHB IDB IDB ISB EPB ISB",
	"SHB+ CB NRB IDB IDB- ISB EPB ISB ISB+ DCB IDB+ EPB ISB SPB NRB PB SJE EPB+ DSB X ISB EPB DCB NRB ISB",
}

// Every kind of block in both byte orders, and with another order in each section: the packets are
// those that were written, with their times, interfaces, directions and frame numbers, and what holds
// no packet is stepped over.
func TestEveryKindOfBlock(t *testing.T) {
	orders := map[string][]binary.AppendByteOrder{
		"little": {binary.LittleEndian}, "big": {binary.BigEndian}, "both": {binary.BigEndian, binary.LittleEndian},
	}
	for _, blocks := range sequences {
		for name, order := range orders {
			t.Run(blocks+" "+name, func(t *testing.T) {
				w := &ngWriter{orders: order}
				for b := range strings.FieldsSeq(blocks) {
					w.block(t, b)
				}
				s := open(t, w.file)
				var got []written
				for _, p := range read(t, s) {
					got = append(got, written{p.Time, p.Frame, p.Seq, p.Interface, p.Dir, p.CapLen})
				}
				if diff := cmp.Diff(w.packets, got); diff != "" {
					t.Errorf("packets (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(w.ifaces, s.Interfaces()); diff != "" {
					t.Errorf("interfaces (-want +got):\n%s", diff)
				}
				if s.Damage() != nil {
					t.Errorf("damage %v", s.Damage())
				}
			})
		}
	}
}

// written is what must be read of a packet.
type written struct {
	Time   int64
	Frame  uint64
	Seq    uint32
	Iface  uint16
	Dir    Dir
	CapLen uint32
}

// ngWriter writes blocks, and keeps what must be read of them.
type ngWriter struct {
	orders  []binary.AppendByteOrder // of the sections in turn
	file    []byte
	packets []written
	ifaces  []Interface
	first   int // the index of the section's first interface
	section int
	frame   uint64
	time    int64
	count   uint64 // of blocks
}

// A snapshot length that holds the headers and not the 57 bytes of a packet, and what the
// clock of an interface with options is behind, in s.
const (
	short      = 55
	timeOffset = 3600
)

// block writes the next block.
func (w *ngWriter) block(t *testing.T, name string) {
	t.Helper()
	kind, full := strings.CutSuffix(name, "+")
	w.count++
	if kind == "SHB" {
		w.section++
		w.first = len(w.ifaces)
	}
	order := w.orders[(w.section-1)%len(w.orders)]
	other := func(kind uint32, body []byte) { w.file = append(w.file, pkt.Block(order, kind, body)...) }
	switch kind {
	case "SHB":
		w.sectionHeader(order, full)
	case "IDB", "IDB-":
		w.description(order, full, kind == "IDB-")
	case "EPB", "SPB", "PB":
		w.packet(order, kind, full)
	case "ISB":
		w.statistics(order, full)
	case "NRB": // a record of a name for an IPv4 address, and the end of records
		name := pkt.Option(order, 1, append([]byte{192, 0, 2, 2}, "server.example\x00"...))
		other(4, append(name, 0, 0, 0, 0))
	case "DSB": // a TLS key log
		other(10, append(order.AppendUint32(order.AppendUint32(nil, 0x544c534b), 6), "CLIENT"...))
	case "SJE": // has a frame number in Wireshark
		other(9, []byte("MESSAGE=hello\n"))
		w.frame++
	case "CB":
		other(0xbad, append(order.AppendUint32(nil, 32473), "ours"...))
	case "DCB":
		other(0x40000bad, append(order.AppendUint32(nil, 32473), "ours"...))
	case "X":
		other(0x7777, []byte("nobody knows"))
	default:
		t.Fatalf("no block %q", name)
	}
}

// sectionHeader begins a section.
func (w *ngWriter) sectionHeader(order binary.AppendByteOrder, full bool) {
	if !full {
		w.file = append(w.file, pkt.Section(order)...)
		return
	}
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(order.AppendUint16(b, 1), 0)
	b = order.AppendUint64(b, ^uint64(0))
	for code, text := range []string{1: "a comment", "hardware", "system", "application"} {
		if text != "" {
			b = append(b, pkt.Option(order, uint16(code), []byte(text))...)
		}
	}
	w.file = append(w.file, pkt.Block(order, 0x0a0d0d0a, append(b, 0, 0, 0, 0))...)
}

// description writes an interface: one with options counts milliseconds, and since an hour later.
func (w *ngWriter) description(order binary.AppendByteOrder, full, cut bool) {
	i := Interface{LinkType: 1}
	if cut {
		i.Snaplen = short
	}
	b := order.AppendUint16(nil, uint16(i.LinkType))
	b = order.AppendUint32(append(b, 0, 0), i.Snaplen)
	if full {
		i.Name = fmt.Sprint("eth", len(w.ifaces))
		for _, o := range []struct {
			code  uint16
			value []byte
		}{
			{1, []byte("a comment")}, {2, []byte(i.Name)}, {3, []byte("an uplink")}, {4, make([]byte, 8)},
			{5, make([]byte, 17)}, {6, make([]byte, 6)}, {7, make([]byte, 8)}, {8, order.AppendUint64(nil, 1e9)},
			{9, []byte{3}}, {11, []byte("\x00tcp")}, {12, []byte("Linux")}, {13, []byte{4}},
			{14, order.AppendUint64(nil, timeOffset)}, {15, []byte("a card")},
		} {
			b = append(b, pkt.Option(order, o.code, o.value)...)
		}
		b = append(b, 0, 0, 0, 0)
	}
	w.file = append(w.file, pkt.Block(order, 1, b)...)
	w.ifaces = append(w.ifaces, i)
}

// packet writes a packet, on the interfaces of the section in turn where its block can say so.
func (w *ngWriter) packet(order binary.AppendByteOrder, kind string, full bool) {
	w.frame++
	seq := uint32(w.count)
	data := segment(seq)
	wire := len(data)
	id := int(w.count) % (len(w.ifaces) - w.first)
	if kind == "SPB" { // §4.4: always the first, and no time
		id = 0
	}
	i := w.ifaces[w.first+id]
	if i.Snaplen > 0 {
		data = data[:i.Snaplen]
	}
	p := written{Frame: w.frame, Seq: seq, Iface: uint16(w.first + id), CapLen: uint32(len(data))}
	if kind != "SPB" {
		w.time = int64(1700000000+w.count) * second
	}
	p.Time = w.time
	var b []byte
	switch kind {
	case "SPB":
		w.packets = append(w.packets, p)
		w.file = append(w.file, pkt.Simple(order, pkt.Record{Data: data, Wire: wire})...)
		return
	case "EPB":
		b = order.AppendUint32(nil, uint32(id))
	case "PB": // the second half is a count of drops
		b = order.AppendUint16(order.AppendUint16(nil, uint16(id)), 7)
	}
	b = append(b, ticks(order, &i, w.time)...)
	b = append(order.AppendUint32(order.AppendUint32(b, uint32(len(data))), uint32(wire)), data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	if full {
		p.Dir = DirOut
		b = append(b, pkt.Option(order, 1, []byte("a comment"))...)
		b = append(b, pkt.Option(order, 3, []byte{2, 1, 2, 3, 4})...) // a hash
		b = append(b, pkt.Option(order, 2, order.AppendUint32(nil, 2))...)
		b = append(b, pkt.Option(order, 4, order.AppendUint64(nil, 7))...) // a count of drops
		b = append(b, 0, 0, 0, 0)
	}
	w.packets = append(w.packets, p)
	w.file = append(w.file, pkt.Block(order, map[string]uint32{"EPB": 6, "PB": 2}[kind], b)...)
}

// ticks writes a time as the interface counts it: the upper word first, in either byte order (§4.3).
func ticks(order binary.AppendByteOrder, i *Interface, time int64) []byte {
	n := uint64(time / 1000) // µs, where nothing else is said (§4.2)
	if i.Name != "" {
		n = uint64(time/1e6) - timeOffset*1000
	}
	return order.AppendUint32(order.AppendUint32(nil, uint32(n>>32)), uint32(n))
}

// statistics writes a block for the section's last interface; only one with options counts drops.
func (w *ngWriter) statistics(order binary.AppendByteOrder, full bool) {
	last := len(w.ifaces) - 1
	b := append(order.AppendUint32(nil, uint32(last-w.first)), make([]byte, 8)...)
	if full {
		i := &w.ifaces[last]
		i.Drops, i.HasDrops = w.count, true
		i.From, i.To = 1699999999*second, int64(1700000000+w.count)*second
		b = append(b, pkt.Option(order, 2, ticks(order, i, i.From))...)
		b = append(b, pkt.Option(order, 3, ticks(order, i, i.To))...)
		for code := uint16(4); code <= 8; code++ {
			n := uint64(1000 + code)
			if code == 7 { // isb_osdrop, which goes before isb_ifdrop
				n = i.Drops
			}
			b = append(b, pkt.Option(order, code, order.AppendUint64(nil, n))...)
		}
		b = append(b, 0, 0, 0, 0)
	}
	w.file = append(w.file, pkt.Block(order, 5, b)...)
}

var blockCount = regexp.MustCompile(`\b(EPB|SPB|PB): (\d+)`)

// The files of the pcapng test generator hold as many packets as their descriptions say.
func TestOthersFormats(t *testing.T) {
	for _, path := range captures.Others(t, "formats/*.pcapng") {
		text, err := os.ReadFile(strings.TrimSuffix(path, "pcapng") + "txt")
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, m := range blockCount.FindAllSubmatch(text, -1) {
			n, _ := strconv.Atoi(string(m[2]))
			want += n
		}
		s, err := OpenFiles(path)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, s)
		if len(got) != want || s.Damage() != nil {
			t.Errorf("%s: %d packets, want %d; damage %v", filepath.Base(path), len(got), want, s.Damage())
		}
		s.Close()
	}
}
