package pack

import (
	"encoding/binary"
	"errors"
)

// ErrDamaged: a block is not what a Packer made.
var ErrDamaged = errors.New("packed packets are damaged")

// longestOptions is as much as the options of TCP can be (RFC 9293 §3.1: a data offset of 15 words).
var longestOptions [40]byte

// Unpacker gives the packets of a block back.
type Unpacker struct {
	link  Link
	state state
	in    []byte
	bad   bool
	begin [longest]byte // scratch
}

// NewUnpacker reads a block of packets that begin with a link header.
func NewUnpacker(link Link, block []byte) *Unpacker {
	u := &Unpacker{link: link, in: block}
	u.state.reset()
	return u
}

// Next appends the next packet's bytes to r.Data[:0] and sets the rest of r; false at the end.
func (u *Unpacker) Next(r *Record) (bool, error) {
	if len(u.in) == 0 {
		return false, nil
	}
	mask := int(u.byte())
	if mask&more != 0 {
		mask |= int(u.byte()) << 8
	}
	switch {
	case mask == isWhole:
		u.whole(r)
	case mask&isWhole != 0:
		u.begun(r, mask)
	default:
		u.delta(r, mask)
	}
	if u.bad {
		return false, ErrDamaged
	}
	return true, nil
}

// whole reads a packet that was kept as it is.
func (u *Unpacker) whole(r *Record) {
	u.state.last += u.varint()
	r.Time, r.Wire, r.Kind, r.VLAN = u.state.last, uint32(u.uvarint()), u.byte(), uint32(u.uvarint())
	r.Data = append(r.Data[:0], u.take(int(min(u.uvarint(), 1<<20)))...)
	begins := int(min(u.uvarint(), most+1))
	if begins == 0 || u.bad {
		return
	}
	l, ok := parse(r.Data, u.link)
	if peer := begins - 2; ok && peer < len(u.state.dirs) {
		u.state.begin(r, l, peer, -1)
		return
	}
	u.bad = true
}

// delta reads a packet of which what is not as predicted was kept.
func (u *Unpacker) delta(r *Record, mask int) {
	s := &u.state
	s.last += u.elapsed(mask)
	me := s.expected()
	if mask&hasDirection != 0 {
		me = u.since()
	}
	if me < 0 || me >= len(s.dirs) {
		u.bad = true
		return
	}
	d := &s.dirs[me]
	h := s.predict(d)
	u.changes(r, d.layout, d.bytes[:], &h, mask)
	r.Kind, r.VLAN = d.kind, d.vlan
	s.learn(me, &h)
}

// elapsed reads the time since the packet before.
func (u *Unpacker) elapsed(mask int) int64 {
	if mask&isBack != 0 {
		return -int64(u.uvarint())
	}
	return int64(u.uvarint())
}

// since reads a direction's number.
func (u *Unpacker) since() int {
	return len(u.state.dirs) - 1 - int(min(u.uvarint(), most))
}

// changes reads the fields of a packet whose other bytes are in b, and what was wanted of them in h.
func (u *Unpacker) changes(r *Record, l layout, b []byte, h *header, mask int) layout {
	u.fields(h, mask)
	if l.tcp {
		l.end = l.l4 + 20 + len(h.options)
	}
	r.Time = u.state.last
	r.Data = append(r.Data[:0], b[:min(l.end, len(b))]...)
	r.Data = append(r.Data, longestOptions[:l.end-len(r.Data)]...)
	l.write(r.Data, h)
	if mask&hasChecksum == 0 {
		h.checksum = l.pseudo(r.Data)
		l.write(r.Data, h)
	}
	r.Wire = uint32(l.ip + l.length(r.Data))
	if mask&hasWire != 0 {
		r.Wire = uint32(u.uvarint())
	}
	if mask&hasIPChecksum != 0 {
		copy(r.Data[l.ip+10:], u.take(2))
	}
	return l
}

// fields reads those of a header, in the order of the mask.
func (u *Unpacker) fields(h *header, mask int) {
	if mask&hasPayload != 0 {
		h.payload = uint32(u.uvarint())
	}
	if mask&hasAck != 0 {
		h.ack += uint32(u.varint())
	}
	if mask&hasFlags != 0 {
		h.flags = u.byte()
	}
	if mask&hasTSval != 0 {
		h.tsval += uint32(u.varint())
	}
	if mask&hasTSecr != 0 {
		h.tsecr += uint32(u.varint())
	}
	if mask&hasSeq != 0 {
		h.seq += uint32(u.varint())
	}
	if mask&hasWindow != 0 {
		h.window = u.uint16()
	}
	if mask&hasID != 0 {
		h.id += uint16(u.uvarint())
	}
	if mask&hasChecksum != 0 {
		h.checksum = u.uint16()
	}
	if mask&hasOptions != 0 {
		h.options = u.take(int(u.byte()))
		u.bad = u.bad || len(h.options) > len(longestOptions)
		h.options = h.options[:min(len(h.options), len(longestOptions))]
		h.stamps = stamps(h.options)
	}
	if h.stamps < 0 {
		h.tsval, h.tsecr = 0, 0
	}
}

// The readers of what a field is made of. At the end of a block that is cut short they give zeros.

func (u *Unpacker) take(n int) []byte {
	if n > len(u.in) {
		u.bad, n = true, len(u.in)
	}
	b := u.in[:n:n]
	u.in = u.in[n:]
	return b
}

func (u *Unpacker) byte() byte {
	if b := u.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (u *Unpacker) uint16() uint16 {
	if b := u.take(2); len(b) == 2 {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (u *Unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(u.in)
	u.bad = u.bad || n <= 0
	u.take(max(n, 0))
	return v
}

func (u *Unpacker) varint() int64 {
	v, n := binary.Varint(u.in)
	u.bad = u.bad || n <= 0
	u.take(max(n, 0))
	return v
}
