package pack

import (
	"encoding/binary"
	"math/bits"
)

// model is what the first packet of a direction would be: that of the direction it begins like, with the
// addresses and ports of its other side, if that is known, turned round. Bytes that change within a direction
// are in the header, without which the others mean nothing.
func (s *state) model(like, peer int, to []byte) (b []byte, h header) {
	d := &s.dirs[like]
	b, h = append(to, d.bytes[:d.firstEnd]...), d.first
	if d.tcp {
		h.options = d.firstOptions[:d.firstEnd-d.l4-20]
	}
	if peer >= 0 {
		other := &s.dirs[peer]
		swap(d.addresses(b), other.addresses(other.bytes[:]))
		swap(d.ports(b), other.ports(other.bytes[:]))
		h.ack, h.tsecr = other.next, other.tsval
	}
	return b, h
}

// answers is the direction that the other side of one begins like: the other side of that which this one began
// like. -1: there is none.
func (s *state) answers(peer int) int {
	like := s.dirs[peer].like
	if like == peer {
		return -1
	}
	return s.dirs[like].peer
}

// begun keeps the first packet of a direction as what differs from an earlier one's. It is not ok, and nothing
// is kept, where there is none that is near enough.
func (p *Packer) begun(r *Record, l layout, peer int) (ok bool) {
	s := &p.state
	if peer >= 0 {
		like := s.answers(peer)
		return like >= 0 && p.beginLike(r, l, peer, like)
	}
	me, model := len(s.dirs), &p.models[l.service(r.Data)%uint32(len(p.models))]
	like := int(*model) - 1
	ok = like >= 0 && p.beginLike(r, l, peer, like)
	// A connection's first packet is a better model than one from its middle.
	if !ok || l.syn(r.Data) && s.dirs[like].first.flags&2 == 0 {
		*model = uint16(me + 1)
	}
	return ok
}

// beginLike keeps the first packet of a direction as what differs from that of another.
func (p *Packer) beginLike(r *Record, l layout, peer, like int) bool {
	s := &p.state
	d := &s.dirs[like]
	if d.kind != r.Kind || d.vlan != r.VLAN || d.ip != l.ip || d.l4 != l.l4 || d.v6 != l.v6 || d.tcp != l.tcp {
		return false
	}
	var h header
	l.read(r.Data, &h)
	b, want := s.model(like, peer, p.begin[:0])
	// From the ports backwards: these are most of what differs.
	var differ uint64
	last := l.l4 + 3
	for i, c := range r.Data[:last+1] {
		if b[i] != c && !l.changes(i) {
			b[i] = c
			differ |= 1 << (last - i)
		}
	}
	if !l.fixed(b, r.Data) {
		return false
	}
	mask, f := isWhole|more, p.fields[:0]
	if peer < 0 {
		f = binary.AppendUvarint(f, uint64(like+1))
	} else {
		f = append(f, 0)
		if peer != s.prev {
			mask |= hasDirection
			f = binary.AppendUvarint(f, uint64(len(s.dirs)-1-peer))
		}
	}
	f = binary.AppendUvarint(f, differ)
	for ; differ != 0; differ &= differ - 1 {
		f = append(f, b[last-bits.TrailingZeros64(differ)])
	}
	p.changes(r, l, &h, &want, mask, f)
	s.begin(r, l, peer, like)
	return true
}

// begun reads the first packet of a direction that begins like another.
func (u *Unpacker) begun(r *Record, mask int) {
	s := &u.state
	s.last += u.elapsed(mask)
	like, peer := int(min(u.uvarint(), most))-1, -1
	if like < 0 {
		peer = s.prev
		if mask&hasDirection != 0 {
			peer = u.since()
		}
		if u.bad = u.bad || peer < 0 || peer >= len(s.dirs); u.bad {
			return
		}
		like = s.answers(peer)
	}
	if u.bad = u.bad || like < 0 || like >= len(s.dirs); u.bad {
		return
	}
	d := s.dirs[like].layout
	if peer >= 0 && (s.dirs[peer].v6 != d.v6 || s.dirs[peer].tcp != d.tcp) {
		u.bad = true
		return
	}
	b, h := s.model(like, peer, u.begin[:0])
	for differ := u.uvarint(); differ != 0; differ &= differ - 1 {
		i := d.l4 + 3 - bits.TrailingZeros64(differ)
		if i < 0 {
			u.bad = true
			return
		}
		b[i] = u.byte()
	}
	l := u.changes(r, d, b, &h, mask)
	r.Kind, r.VLAN = s.dirs[like].kind, s.dirs[like].vlan
	if len(s.dirs) == most || u.bad {
		u.bad = true
		return
	}
	s.begin(r, l, peer, like)
}

// service is a hash of the address and port of a packet's side that has the lower port, which is mostly the
// one that many clients ask.
func (l *layout) service(b []byte) uint32 {
	addresses, ports := l.addresses(b), l.ports(b)
	from, to := binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:])
	half := addresses[len(addresses)/2:]
	h := uint64(to)
	if from < to {
		half, h = addresses[:len(addresses)/2], uint64(from)<<16
	}
	for ; len(half) > 0; half = half[4:] {
		h = (h ^ uint64(binary.LittleEndian.Uint32(half))) * golden
	}
	return uint32(h >> 32)
}

// syn says whether a packet is the first of a TCP connection's side (RFC 9293 §3.1).
func (l *layout) syn(b []byte) bool { return l.tcp && b[l.l4+13]&2 != 0 }

// changes says whether the byte of an IP header changes within a direction: of the lengths, IPv4's
// identification and checksum.
func (l *layout) changes(i int) bool {
	i -= l.ip
	if l.v6 {
		return i == 4 || i == 5
	}
	return i >= 2 && i < 6 || i == 10 || i == 11
}
