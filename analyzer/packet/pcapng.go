package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng §4 and §11.1).
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockPacket     = 2 // obsolete
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6
	blockJournal    = 9 // systemd journal entry: Wireshark gives it a frame number
)

// Options of pcapng blocks.
const (
	optEnd        = 0
	optName       = 2  // if_name
	optFlags      = 2  // epb_flags, pack_flags
	optStart      = 2  // isb_starttime
	optStop       = 3  // isb_endtime
	optDropped    = 5  // isb_ifdrop
	optOSDropped  = 7  // isb_osdrop
	optResolution = 9  // if_tsresol
	optOffset     = 14 // if_tsoffset
)

// maxBlock bounds the blocks that are skipped or read, as they are held in memory; Wireshark has the
// same bound (wiretap/pcapng.c, MAX_BLOCK_SIZE).
const maxBlock = 16 << 20

// maxInterfaces bounds the interfaces of a section, each of which takes memory: the obsolete packet
// block has 16 bits for them (§4.2 of the draft's appendix).
const maxInterfaces = 1 << 16

// maxIfName bounds an interface's name, which an option could make 64 KiB long: Linux allows 15
// bytes, and those of Windows have some 60.
const maxIfName = 255

// byteOrderMagic follows the length of a section header in the byte order of the section.
const byteOrderMagic = 0x1a2b3c4d

// ngReader reads a pcapng file.
type ngReader struct {
	s      *stream
	reg    *registry
	order  binary.ByteOrder
	ifaces []*iface // of the current section
	frames uint64   // frame numbers that Wireshark gives to blocks that hold no packet
	last   int64    // time of the last packet that had one
}

// newPcapng returns a reader for stream s, which begins with a section header.
func newPcapng(s *stream, reg *registry) *ngReader {
	return &ngReader{s: s, reg: reg, order: binary.LittleEndian}
}

// next reads blocks up to and including the next one that holds a packet.
func (r *ngReader) next(rec *record) error {
	for {
		kind, body, err := r.block()
		if err != nil {
			return err
		}
		switch kind {
		case blockEnhanced:
			return r.enhanced(rec, body)
		case blockSimple:
			return r.simple(rec, body)
		case blockPacket:
			return r.obsolete(rec, body)
		case blockSection:
			// Interfaces are numbered anew in each section (§4.2); in the registry they go on.
			r.ifaces = nil
		case blockInterface:
			err = r.description(body)
		case blockStatistics:
			r.statistics(body)
		case blockJournal:
			r.frames++
		}
		if err != nil {
			return err
		}
	}
}

// block takes the next block and returns its type and body.
func (r *ngReader) block() (kind uint32, body []byte, err error) {
	head, err := r.s.peek(12)
	if err != nil {
		return 0, nil, err
	}
	// The type of a section header reads the same in both byte orders, so that a new section is found
	// before its order is known.
	kind = r.order.Uint32(head)
	if kind == blockSection {
		if r.order, err = sectionOrder(head[8:]); err != nil {
			return 0, nil, err
		}
	}
	length := r.order.Uint32(head[4:])
	if length < 12 || length%4 != 0 || length > maxBlock {
		return 0, nil, fmt.Errorf("a block of type %#x claims %d bytes", kind, length)
	}
	all, err := r.s.take(int(length))
	if err != nil {
		return 0, nil, err
	}
	if again := r.order.Uint32(all[length-4:]); again != length {
		return 0, nil, fmt.Errorf("a block of type %#x says %d bytes at its begin and %d at its end",
			kind, length, again)
	}
	return kind, all[8 : length-4], nil
}

// sectionOrder returns the byte order that the magic number of a section header is written in.
func sectionOrder(magic []byte) (binary.ByteOrder, error) {
	switch {
	case binary.LittleEndian.Uint32(magic) == byteOrderMagic:
		return binary.LittleEndian, nil
	case binary.BigEndian.Uint32(magic) == byteOrderMagic:
		return binary.BigEndian, nil
	}
	return nil, errors.New("a section header has no byte-order magic")
}

var errShortBlock = errors.New("a block is shorter than its fixed fields")

// description reads an interface description block.
func (r *ngReader) description(body []byte) error {
	if len(body) < 8 {
		return errShortBlock
	}
	if len(r.ifaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces in a section", maxInterfaces)
	}
	i := &iface{
		link:    uint32(r.order.Uint16(body)),
		snaplen: r.order.Uint32(body[4:]), timeUnit: microseconds,
	}
	name := ""
	r.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optName:
			name = string(bytes.TrimRight(value[:min(len(value), maxIfName)], "\x00"))
		case code == optResolution && len(value) >= 1:
			i.timeUnit.resolution = value[0]
		case code == optOffset && len(value) >= 8:
			i.timeUnit.offset = int64(r.order.Uint64(value))
		}
	})
	i.index = r.reg.add(Interface{Name: name, LinkType: i.link, Snaplen: i.snaplen})
	// Packets name an interface by its place in the section (draft-ietf-opsawg-pcapng §4.2).
	r.ifaces = append(r.ifaces, i)
	return nil
}

// statistics reads the span that a capture covers, and how many packets it has lost. By §4.6 of the draft that is isb_osdrop,
// and isb_ifdrop what the interface dropped before anybody saw it: evidence, and no loss of the
// capture. dumpcap writes only isb_ifdrop, and means the packets that libpcap lost (ps_drop).
// Malformed blocks are ignored: they hold no packet.
func (r *ngReader) statistics(body []byte) {
	if len(body) < 12 {
		return
	}
	id := r.order.Uint32(body)
	if uint64(id) >= uint64(len(r.ifaces)) {
		return
	}
	i := r.ifaces[id]
	drops, span := map[uint16]uint64{}, map[uint16]int64{}
	r.options(body[12:], func(code uint16, value []byte) {
		switch {
		case len(value) < 8:
		case code == optDropped || code == optOSDropped:
			drops[code] = r.order.Uint64(value)
		case code == optStart || code == optStop: // the upper word first, in either byte order
			span[code] = i.timeUnit.ns(uint64(r.order.Uint32(value))<<32 | uint64(r.order.Uint32(value[4:])))
		}
	})
	if from, to := span[optStart], span[optStop]; from > 0 && to >= from {
		r.reg.covers(i.index, from, to)
	}
	for _, code := range []uint16{optOSDropped, optDropped} {
		if n, ok := drops[code]; ok {
			r.reg.drops(i.index, n)
			return
		}
	}
}

// enhanced reads an enhanced packet block.
func (r *ngReader) enhanced(rec *record, body []byte) error {
	if len(body) < 20 {
		return errShortBlock
	}
	ticks := uint64(r.order.Uint32(body[4:]))<<32 | uint64(r.order.Uint32(body[8:]))
	captured, wire := r.order.Uint32(body[12:]), r.order.Uint32(body[16:])
	return r.packet(rec, r.order.Uint32(body), ticks, captured, wire, body[20:])
}

// obsolete reads a packet block of the first drafts.
func (r *ngReader) obsolete(rec *record, body []byte) error {
	if len(body) < 20 {
		return errShortBlock
	}
	ticks := uint64(r.order.Uint32(body[4:]))<<32 | uint64(r.order.Uint32(body[8:]))
	captured, wire := r.order.Uint32(body[12:]), r.order.Uint32(body[16:])
	return r.packet(rec, uint32(r.order.Uint16(body)), ticks, captured, wire, body[20:])
}

// simple reads a simple packet block, which has neither time nor interface: it belongs to the first
// interface and gets the time of the packet before it.
func (r *ngReader) simple(rec *record, body []byte) error {
	if len(body) < 4 {
		return errShortBlock
	}
	if len(r.ifaces) == 0 {
		return errors.New("a simple packet block without an interface")
	}
	wire := r.order.Uint32(body)
	captured := min(wire, uint32(len(body)-4))
	if snaplen := r.ifaces[0].snaplen; snaplen > 0 {
		captured = min(captured, snaplen)
	}
	last := r.last
	err := r.packet(rec, 0, 0, captured, wire, body[4:])
	rec.time, r.last = last, last
	return err
}

// packet fills a record from the fields that all packet blocks share; rest is the data, its padding
// and the options.
func (r *ngReader) packet(rec *record, id uint32, ticks uint64, captured, wire uint32, rest []byte) error {
	if uint64(id) >= uint64(len(r.ifaces)) {
		return fmt.Errorf("a packet on interface %d of %d", id, len(r.ifaces))
	}
	if uint64(captured) > uint64(len(rest)) {
		return fmt.Errorf("a packet block claims %d captured bytes and holds %d", captured, len(rest))
	}
	rec.iface = r.ifaces[id]
	rec.time = rec.iface.timeUnit.ns(ticks)
	r.last = rec.time
	rec.data, rec.wireLen = rest[:captured:captured], max(wire, captured)
	rec.dir = DirUnknown
	padded := min((uint64(captured)+3)&^3, uint64(len(rest)))
	if options := rest[padded:]; len(options) > 4 {
		rec.dir = r.direction(options)
	}
	return nil
}

// direction returns the direction from the flags option of a packet block. It is written out
// because options is too slow for every packet.
func (r *ngReader) direction(options []byte) Dir {
	for len(options) >= 4 {
		code, n := r.order.Uint16(options), int(r.order.Uint16(options[2:]))
		if code == optFlags && n == 4 && len(options) >= 8 {
			return [4]Dir{DirUnknown, DirIn, DirOut, DirUnknown}[r.order.Uint32(options[4:])&3]
		}
		if code == optEnd || 4+n > len(options) {
			break
		}
		options = options[min(4+(n+3)&^3, len(options)):]
	}
	return DirUnknown
}

// options calls f for each option of a block until the list ends or is malformed.
func (r *ngReader) options(list []byte, f func(code uint16, value []byte)) {
	for len(list) >= 4 {
		code, n := r.order.Uint16(list), int(r.order.Uint16(list[2:]))
		if code == optEnd || 4+n > len(list) {
			return
		}
		f(code, list[4:4+n])
		list = list[min(4+(n+3)&^3, len(list)):]
	}
}

// timeUnit turns the ticks of an interface into Unix ns.
type timeUnit struct {
	resolution uint8 // if_tsresol: a negative power of 10, or of 2 when the top bit is set
	offset     int64 // seconds
}

// microseconds is the resolution of interfaces that do not name one.
var microseconds = timeUnit{resolution: 6}

// powers of ten that fit into 64 bits.
var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
	1e15, 1e16, 1e17, 1e18, 1e19}

// ns returns Unix ns. Times that do not fit into 64 bits wrap: they come from hostile files only.
func (u timeUnit) ns(ticks uint64) int64 {
	exponent := u.resolution & 0x7f
	base := u.offset * 1e9
	switch {
	case u.resolution&0x80 != 0:
		hi, lo := bits.Mul64(ticks, 1e9)
		if exponent >= 64 {
			return base
		}
		return base + int64(lo>>exponent|hi<<(64-exponent))
	case exponent <= 9:
		return base + int64(ticks*pow10[9-exponent])
	case exponent <= 28:
		return base + int64(ticks/pow10[exponent-9])
	}
	return base
}
