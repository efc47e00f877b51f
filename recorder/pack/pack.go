// Package pack keeps the headers of packets in a tenth of their size: per direction of a flow only what
// differs from the packet before. What does not fit the model is kept whole, so that unpacking gives back
// every byte.
//
// A packed block needs no other block. Its packets follow each other, each as
//
//	mask         1 or 2 bytes, little-endian: which of the fields are there
//	time         ns since the packet before, uvarint; before it where the mask has isBack
//	fields       in the order of the mask's bits; see the constants
//
// A packet of which nothing is known is whole: isWhole alone, time, wire length, kind, tag, length, bytes. Where
// its headers are of a known layout it begins a direction, to which others refer by how many began since.
//
// A direction mostly begins like an earlier one: a client's next connection to the same server, the answer to
// it. Its first packet has isWhole with more, and before its fields what it begins like and which bytes that do
// not change within a direction differ.
package pack

import (
	"bytes"
	"encoding/binary"
)

// Record is one packet as a capture keeps it.
type Record struct {
	Time int64  // ns, of any clock
	Wire uint32 // bytes on the wire
	Kind uint8  // PACKET_HOST, PACKET_OUTGOING, … (include/uapi/linux/if_packet.h)
	VLAN uint32 // TPID << 16 | TCI of a tag that the device stripped; 0: none
	Data []byte // what was captured, from the link header on
}

// The fields of a packet that are there only where they are not as predicted. Differences are modulo the
// size of what they are of.
const (
	hasDirection  = 1 << iota // not the other side of the packet before: uvarint, how many began since
	hasPayload                // not as long as the one before: uvarint bytes
	hasAck                    // does not acknowledge all that the other side has sent: varint
	hasFlags                  // of TCP: 1 byte
	hasTSval                  // varint
	hasTSecr                  // not the other side's last TSval: varint
	isWhole                   // alone; with more it begins like another
	more                      // the mask has a second byte
	hasSeq                    // does not follow the one before: varint
	hasWindow                 // 2 bytes
	hasID                     // IPv4's identification does not go on as before: uvarint
	hasChecksum               // not that of the pseudo header: 2 bytes
	hasOptions                // not those before, timestamps aside: length, bytes with zeros for them
	hasWire                   // not what the IP header says: uvarint
	hasIPChecksum             // it is not right: 2 bytes
	isBack                    // the time went back
)

// most bounds the directions of a block; packets of further ones are kept whole.
const most = 1 << 14

// direction is what is known of one direction of a flow: its last packet.
type direction struct {
	layout
	header // without options: these are in bytes
	kind   uint8
	vlan   uint32
	peer   int    // number of the other direction, -1: not seen yet
	next   uint32 // sequence number that would follow
	step   uint16 // by which the identification went on: 0 or 1
	bytes  [longest]byte

	like         int    // number of the direction that it began like, its own where it began like none
	first        header // its first packet, without options
	firstOptions [40]byte
	firstEnd     int // end of that packet's headers
}

// state is what both sides know between two packets of a block.
type state struct {
	dirs []direction
	last int64 // time of the packet before
	prev int   // direction of the packet before, -1: none
}

func (s *state) reset() { s.dirs, s.last, s.prev = s.dirs[:0], 0, -1 }

// expected is the direction that a packet most likely belongs to: answers follow questions.
func (s *state) expected() int {
	if s.prev < 0 {
		return -1
	}
	if p := s.dirs[s.prev].peer; p >= 0 {
		return p
	}
	return s.prev
}

// begin makes a direction of its first packet, which begins like that of another or, with like -1, like none.
func (s *state) begin(r *Record, l layout, peer, like int) {
	me := len(s.dirs)
	s.dirs = append(s.dirs, direction{layout: l, kind: r.Kind, vlan: r.VLAN, peer: peer, like: like})
	d := &s.dirs[me]
	if like < 0 {
		d.like = me
	} else {
		d.step = s.dirs[like].step
	}
	copy(d.bytes[:], r.Data)
	l.read(r.Data, &d.header)
	d.first, d.firstEnd = d.header, l.end
	copy(d.firstOptions[:], d.options)
	d.options, d.first.options, d.next = nil, nil, d.seqEnd()
	if peer >= 0 {
		s.dirs[peer].peer = me
	}
	s.prev = me
}

// seqEnd is the sequence number behind a segment: SYN and FIN take one each (RFC 9293 §3.4).
func (d *direction) seqEnd() uint32 {
	if !d.tcp {
		return 0
	}
	return d.seq + d.payload + uint32(d.flags&1) + uint32(d.flags>>1&1)
}

// predict is what the next header of a direction would be.
func (s *state) predict(d *direction) header {
	h := d.header
	h.seq, h.id = d.next, d.id+d.step
	if d.tcp {
		h.options = d.bytes[d.l4+20 : d.end]
	}
	if d.peer >= 0 {
		h.ack, h.tsecr = s.dirs[d.peer].next, s.dirs[d.peer].tsval
	}
	return h
}

// learn takes a packet that was not kept whole for the direction's last.
func (s *state) learn(me int, h *header) {
	d := &s.dirs[me]
	if step := h.id - d.id; step <= 1 {
		d.step = step
	}
	if d.tcp {
		d.end = d.l4 + 20 + copy(d.bytes[d.l4+20:], h.options)
	}
	d.header = *h
	d.options, d.next = nil, d.seqEnd()
	s.prev = me
}

// Packer packs blocks, one after the other. It allocates nothing once its buffers have grown.
type Packer struct {
	link  Link
	state state
	index [2 * most]uint16 // by hash of addresses and ports: number of a direction + 1
	// models has by hash of a service's address and port the number + 1 of a direction to begin like.
	models [1 << 10]uint16
	out    []byte
	// fields and begin are scratch.
	fields []byte
	begin  [longest]byte
}

// NewPacker packs packets that begin with a link header.
func NewPacker(link Link) *Packer {
	p := &Packer{link: link}
	p.Begin()
	return p
}

// Begin begins a new block.
func (p *Packer) Begin() {
	p.state.reset()
	p.out = p.out[:0]
	clear(p.index[:])
	clear(p.models[:])
}

// Bytes is the block so far, valid until the next call.
func (p *Packer) Bytes() []byte { return p.out }

// Add packs a packet.
func (p *Packer) Add(r *Record) {
	l, ok := parse(r.Data, p.link)
	if !ok {
		p.whole(r)
		p.out = binary.AppendUvarint(p.out, 0)
		return
	}
	addresses, ports := l.addresses(r.Data), l.ports(r.Data)
	slot, known := p.find(addresses, ports, l.tcp)
	if known >= 0 {
		if d := &p.state.dirs[known]; d.kind == r.Kind && d.vlan == r.VLAN && d.ip == l.ip && l.fixed(d.bytes[:], r.Data) {
			p.delta(r, known, l)
			return
		}
	}
	var a [32]byte
	var b [4]byte
	_, peer := p.find(swap(a[:], addresses), swap(b[:], ports), l.tcp)
	full := len(p.state.dirs) == most
	if !full {
		p.index[slot] = uint16(len(p.state.dirs) + 1)
		if p.begun(r, l, peer) {
			return
		}
	}
	p.whole(r)
	if full {
		p.out = binary.AppendUvarint(p.out, 0)
		return
	}
	p.state.begin(r, l, peer, -1)
	p.out = binary.AppendUvarint(p.out, uint64(peer+2)) // 1: it begins a direction, with no other side yet
}

// swap writes the two halves of b the other way round.
func swap(to, b []byte) []byte {
	n := copy(to, b[len(b)/2:])
	return to[:n+copy(to[n:], b[:len(b)/2])]
}

// golden is 2^64/phi: Knuth's multiplicative hashing.
const golden = 0x9e3779b97f4a7c15

// find gives the place in the index of a direction, and its number, -1 for one that is new. The index has
// twice as many places as there are directions, so that there is always a free one.
func (p *Packer) find(addresses, ports []byte, tcp bool) (slot uint32, known int) {
	h := uint64(binary.LittleEndian.Uint32(ports))
	for b := addresses; len(b) > 0; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * golden
		h ^= h >> 29
	}
	for slot = uint32(h) % uint32(len(p.index)); ; slot = (slot + 1) % uint32(len(p.index)) {
		n := int(p.index[slot]) - 1
		if n < 0 {
			return slot, -1
		}
		d := &p.state.dirs[n]
		if d.tcp == tcp && bytes.Equal(d.addresses(d.bytes[:]), addresses) && bytes.Equal(d.ports(d.bytes[:]), ports) {
			return slot, n
		}
	}
}

// whole keeps a packet as it is, but for what it begins.
func (p *Packer) whole(r *Record) {
	b := append(p.out, isWhole)
	b = binary.AppendVarint(b, r.Time-p.state.last)
	b = binary.AppendUvarint(b, uint64(r.Wire))
	b = append(b, r.Kind)
	b = binary.AppendUvarint(b, uint64(r.VLAN))
	b = binary.AppendUvarint(b, uint64(len(r.Data)))
	p.out = append(b, r.Data...)
	p.state.last = r.Time
}

// delta keeps of a packet what is not as predicted.
func (p *Packer) delta(r *Record, me int, l layout) {
	s := &p.state
	var h header
	l.read(r.Data, &h)
	want := s.predict(&s.dirs[me])
	mask, f := 0, p.fields[:0]
	if s.expected() != me {
		mask |= hasDirection
		f = binary.AppendUvarint(f, uint64(len(s.dirs)-1-me))
	}
	p.changes(r, l, &h, &want, mask, f)
	s.learn(me, &h)
}

// changes writes a packet's mask, its time and behind the fields f those which are not as wanted.
func (p *Packer) changes(r *Record, l layout, h, want *header, mask int, f []byte) {
	mask, f = h.differs(want, mask, f)
	if h.checksum != l.pseudo(r.Data) {
		mask |= hasChecksum
		f = binary.LittleEndian.AppendUint16(f, h.checksum)
	}
	if !h.sameOptions(want) {
		mask |= hasOptions
		f = append(append(f, byte(len(h.options))), h.options...)
		if at := h.stamps; at >= 0 {
			clear(f[len(f)-len(h.options)+at:][:8])
		}
	}
	if r.Wire != uint32(l.ip+l.length(r.Data)) {
		mask |= hasWire
		f = binary.AppendUvarint(f, uint64(r.Wire))
	}
	if h.ipChecksumBroken {
		mask |= hasIPChecksum
		f = append(f, r.Data[l.ip+10:l.ip+12]...)
	}
	elapsed := r.Time - p.state.last
	if elapsed < 0 {
		mask |= isBack
		elapsed = -elapsed
	}
	if mask > 0xff {
		p.out = append(p.out, byte(mask)|more, byte(mask>>8))
	} else {
		p.out = append(p.out, byte(mask))
	}
	p.out = binary.AppendUvarint(p.out, uint64(elapsed))
	p.out = append(p.out, f...)
	p.state.last, p.fields = r.Time, f
}

// differs appends the fields of a header that are not as they were predicted.
func (h *header) differs(want *header, mask int, f []byte) (int, []byte) {
	if h.payload != want.payload {
		mask |= hasPayload
		f = binary.AppendUvarint(f, uint64(h.payload))
	}
	if h.ack != want.ack {
		mask |= hasAck
		f = binary.AppendVarint(f, int64(int32(h.ack-want.ack)))
	}
	if h.flags != want.flags {
		mask |= hasFlags
		f = append(f, h.flags)
	}
	if h.stamps >= 0 {
		if h.tsval != want.tsval {
			mask |= hasTSval
			f = binary.AppendVarint(f, int64(int32(h.tsval-want.tsval)))
		}
		if h.tsecr != want.tsecr {
			mask |= hasTSecr
			f = binary.AppendVarint(f, int64(int32(h.tsecr-want.tsecr)))
		}
	}
	if h.seq != want.seq {
		mask |= hasSeq
		f = binary.AppendVarint(f, int64(int32(h.seq-want.seq)))
	}
	if h.window != want.window {
		mask |= hasWindow
		f = binary.LittleEndian.AppendUint16(f, h.window)
	}
	if h.id != want.id {
		mask |= hasID
		f = binary.AppendUvarint(f, uint64(h.id-want.id))
	}
	return mask, f
}
