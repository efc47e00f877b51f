//go:build linux

package capture

import (
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng-03, 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockStats     = 5
	blockPacket    = 6

	optEnd     = 0
	optComment = 1

	sectionHardware = 2
	sectionOS       = 3
	sectionApp      = 4

	interfaceName        = 2
	interfaceDescription = 3
	interfaceResolution  = 9
	interfaceFilter      = 11

	packetFlags = 2

	statsStart    = 2
	statsEnd      = 3
	statsReceived = 4
	statsIfDrop   = 5
	statsAccepted = 6
	statsOSDrop   = 7

	linkEthernet = 1   // LINKTYPE_ETHERNET
	linkRaw      = 101 // LINKTYPE_RAW
)

// pcapng writes little-endian pcapng blocks through a buffer.
type pcapng struct {
	w   io.Writer
	buf []byte
}

// pcapngBuffer is what is written at once; a few of them fit into the CPU's cache.
const pcapngBuffer = 256 << 10

// newPcapng has room for two packets beyond what makes it full.
func newPcapng(w io.Writer) *pcapng {
	return &pcapng{w: w, buf: make([]byte, 0, pcapngBuffer+2*maxCapture)}
}

// full says that it is time to flush.
func (g *pcapng) full() bool { return len(g.buf) >= pcapngBuffer }

// flush writes the buffer.
func (g *pcapng) flush() error {
	_, err := g.w.Write(g.buf)
	g.buf = g.buf[:0]
	if err != nil {
		return fmt.Errorf("write packets: %w", err)
	}
	return nil
}

// u16 adds 16-bit numbers.
func (g *pcapng) u16(v ...uint16) {
	for _, x := range v {
		g.buf = binary.LittleEndian.AppendUint16(g.buf, x)
	}
}

// u32 adds 32-bit numbers.
func (g *pcapng) u32(v ...uint32) {
	for _, x := range v {
		g.buf = binary.LittleEndian.AppendUint32(g.buf, x)
	}
}

// time is a timestamp in ns, high half first.
func (g *pcapng) time(ns int64) { g.u32(uint32(uint64(ns)>>32), uint32(ns)) }

// pad fills up to a multiple of four bytes.
func (g *pcapng) pad(n int) { g.buf = append(g.buf, make([]byte, -n&3)...) }

// begin starts a block of a kind and returns where, for end.
func (g *pcapng) begin(kind uint32) int {
	at := len(g.buf)
	g.u32(kind, 0)
	return at
}

// end closes a block with its length, here and at its begin.
func (g *pcapng) end(at int) {
	n := uint32(len(g.buf) - at + 4)
	binary.LittleEndian.PutUint32(g.buf[at+4:], n)
	g.u32(n)
}

// option writes one option; an empty one is left out.
func (g *pcapng) option(code uint16, value []byte) {
	value = value[:min(len(value), 0xffff)]
	if len(value) == 0 {
		return
	}
	g.u16(code, uint16(len(value)))
	g.buf = append(g.buf, value...)
	g.pad(len(value))
}

// endOptions closes a list of options.
func (g *pcapng) endOptions() { g.u16(optEnd, 0) }

// counter adds an option with a 64-bit number.
func (g *pcapng) counter(code uint16, v uint64) {
	g.option(code, binary.LittleEndian.AppendUint64(nil, v))
}

// section writes the header block that begins a file.
func (g *pcapng) section(o PcapngOptions) {
	at := g.begin(blockSection)
	g.u32(0x1a2b3c4d)             // byte-order magic
	g.u16(1, 0)                   // version 1.0
	g.u32(0xffffffff, 0xffffffff) // length of the section: not said
	g.option(sectionHardware, []byte(o.Hardware))
	g.option(sectionOS, []byte(o.OS))
	g.option(sectionApp, []byte(o.Application))
	g.endOptions()
	g.end(at)
}

// device describes an interface.
func (g *pcapng) device(kind linkKind, snap int, name, description, filter string) {
	at := g.begin(blockInterface)
	linkType := uint16(linkEthernet)
	if kind == rawIP {
		linkType = linkRaw
	}
	g.u16(linkType, 0)
	g.u32(uint32(snap))
	g.option(interfaceName, []byte(name))
	g.option(interfaceDescription, []byte(description))
	g.option(interfaceResolution, []byte{9}) // ns
	if filter != "" {
		g.option(interfaceFilter, append([]byte{0}, filter...)) // 0: a string
	}
	g.endOptions()
	g.end(at)
}

// stats closes an interface.
func (g *pcapng) stats(index int, s Stats, from, to int64) {
	at := g.begin(blockStats)
	g.u32(uint32(index))
	g.time(to)
	for _, t := range []struct {
		code uint16
		at   int64
	}{{statsStart, from}, {statsEnd, to}} {
		ns := uint64(t.at)
		b := binary.LittleEndian.AppendUint32(nil, uint32(ns>>32))
		g.option(t.code, binary.LittleEndian.AppendUint32(b, uint32(ns)))
	}
	g.counter(statsReceived, s.Held+s.Lost)
	g.counter(statsIfDrop, s.NICDrops)
	g.counter(statsAccepted, s.Held+s.Lost)
	g.counter(statsOSDrop, s.Lost)
	g.endOptions()
	g.end(at)
}

// packet writes one packet, with its VLAN tag where it was.
func (g *pcapng) packet(index int, kind linkKind, r *record, comment string) {
	at := g.begin(blockPacket)
	data, n, wire := r.data, len(r.data), r.wire
	tagged := r.frame(kind)
	if tagged {
		n, wire = n+vlanTag, wire+vlanTag
	}
	g.u32(uint32(index))
	g.time(r.at)
	g.u32(uint32(n), uint32(wire))
	if tagged {
		g.buf = append(g.buf, data[:12]...)
		g.buf = append(g.buf, r.tag[:]...)
		data = data[12:]
	}
	g.buf = append(g.buf, data...)
	g.pad(n)
	g.option(optComment, []byte(comment))
	g.u16(packetFlags, 4)
	g.u32(flags(r.kind))
	g.endOptions()
	g.end(at)
}

// flags are direction (bits 0-1) and kind of reception (bits 2-4) of epb_flags.
func flags(kind byte) uint32 {
	const inbound, outbound = 1, 2
	switch kind {
	case unix.PACKET_OUTGOING:
		return outbound
	case unix.PACKET_HOST:
		return inbound | 1<<2
	case unix.PACKET_MULTICAST:
		return inbound | 2<<2
	case unix.PACKET_BROADCAST:
		return inbound | 3<<2
	case unix.PACKET_OTHERHOST:
		return inbound | 4<<2
	}
	return 0
}
