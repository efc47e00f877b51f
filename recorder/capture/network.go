//go:build linux

package capture

import (
	"encoding/binary"
	"math"
	"net/netip"

	"golang.org/x/net/bpf"
)

// ipv4 takes the header at a constant offset and leaves X behind it, with the protocol in
// A (RFC 791, 3.1).
func (c *compiler) ipv4(base int) {
	strange, fragment, short := c.label(), c.label(), c.label()
	c.need(base + ipv4Header)
	c.ends(base+2, base, ipv4Header)
	c.emit(bpf.LoadMemShift{Off: uint32(base)}, bpf.TXA{})
	c.jumpIf(bpf.JumpLessThan, ipv4Header, short)
	c.op(bpf.ALUOpAdd, base)
	c.emit(bpf.TAX{})
	c.peers(base, strange, netip.Addr.Is4)
	c.load(base+6, 2)
	c.jumpIf(bpf.JumpBitsSet, 0x1fff, fragment)
	c.load(base+9, 1)
	c.jump(c.transport)
	c.place(fragment) // a later fragment has no ports: it is kept whatever they are
	c.end(0)
	c.place(short) // it denies its own header: it may be anything
	c.keep(base + otherHeader)
	c.place(strange)
	if len(c.Peers) > 0 {
		c.load(base+6, 2)
		c.jumpIf(bpf.JumpBitsSet, 0x1fff, c.drop)
		c.load(base+9, 1)
		c.jumpIf(bpf.JumpNotEqual, ipICMP, c.drop)
		c.jump(c.errors)
	}
}

// ipv6 takes the header at a constant offset, and leaves X behind it with the number of the next in A: maybe an
// extension header's.
func (c *compiler) ipv6(base int) {
	strange := c.label()
	c.need(base + ipv6Header)
	c.ends(base+4, base+ipv6Header, 0)
	c.peers(base, strange, netip.Addr.Is6)
	c.setX(base + ipv6Header)
	c.load(base+6, 1)
	c.jump(c.extended)
	c.place(strange)
	if len(c.Peers) > 0 {
		c.setX(base + ipv6Header)
		c.load(base+6, 1)
		c.jumpIf(bpf.JumpNotEqual, ipICMPv6, c.drop)
		c.jump(c.errors6)
	}
}

// ends notes where the packet ends whose length field, in bytes from start on, is at a constant
// offset; a header of least bytes is kept though it may deny itself. The length is 0 where there is
// more than fits (BIG TCP; RFC 2675).
func (c *compiler) ends(field, start, least int) {
	sized, large := c.label(), c.label()
	c.load(field, 2)
	c.jumpIf(bpf.JumpGreaterThan, uint32(least), sized)
	c.emit(bpf.LoadExtension{Num: bpf.ExtLen})
	c.jumpIf(bpf.JumpGreaterThan, math.MaxUint16, large)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(least)})
	c.place(sized)
	c.op(bpf.ALUOpAdd, start)
	c.save(packetEnd)
	c.place(large)
}

// endsX is ends for the IP packet at X, whose version only it knows.
func (c *compiler) endsX() {
	ip4, sized, known := c.label(), c.label(), c.label()
	c.needX(6)
	c.loadX(0, 1)
	c.op(bpf.ALUOpShiftRight, 4)
	c.jumpIf(bpf.JumpEqual, 4, ip4)
	c.jumpIf(bpf.JumpNotEqual, 6, known)
	c.loadX(4, 2)
	c.jumpIf(bpf.JumpEqual, 0, known)
	c.op(bpf.ALUOpAdd, ipv6Header)
	c.jump(sized)
	c.place(ip4)
	c.loadX(2, 2)
	c.jumpIf(bpf.JumpLessThan, ipv4Header, known)
	c.place(sized)
	c.emit(bpf.ALUOpX{Op: bpf.ALUOpAdd})
	c.save(packetEnd)
	c.place(known)
}

// behind places the code for IP behind tags and labels.
func (c *compiler) behind() {
	c.place(c.tagged)
	c.peersX()
	c.endsX()
	c.anyIP(c.transport, c.extended)
	c.place(c.labelled)
	c.endsX()
	c.jump(c.ip)
}

// encapsulated says that an encapsulation ends here: X is the first byte inside.
func (c *compiler) encapsulated(at int) {
	c.ask(0)
	c.setX(at)
}

// anyIP takes the IP header at X, whose version is in its first four bits: inside an
// encapsulation the offset is known only to the packet. It goes to transport, or of IPv6 to extended, with X behind the header and the
// number of the next in A.
func (c *compiler) anyIP(transport, extended label) {
	ip4, ip6, fragment, short := c.label(), c.label(), c.label(), c.label()
	c.needX(ipv4Header)
	c.loadX(0, 1)
	c.op(bpf.ALUOpShiftRight, 4)
	c.jumpIf(bpf.JumpEqual, 4, ip4)
	c.jumpIf(bpf.JumpEqual, 6, ip6)
	c.otherProtocol()
	c.place(ip4)
	c.loadX(0, 1)
	c.op(bpf.ALUOpAnd, 0x0f)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.jumpIf(bpf.JumpLessThan, ipv4Header, short)
	c.save(length)
	c.loadX(6, 2)
	c.jumpIf(bpf.JumpBitsSet, 0x1fff, fragment)
	c.loadX(9, 1)
	c.save(protocol)
	c.recall(length)
	c.forwardA()
	c.recall(protocol)
	c.jump(transport)
	c.place(fragment)
	c.recall(length)
	c.endA()
	c.place(short)
	c.end(otherHeader)
	c.place(ip6)
	c.needX(ipv6Header)
	c.loadX(6, 1)
	c.save(protocol)
	c.forward(ipv6Header)
	c.recall(protocol)
	c.jump(extended)
}

// Places in the scratch memory.
const (
	length    = iota // of the header in hand
	protocol         // of the next one
	packetEnd        // of the outer packet; behind it is padding
	asked            // 1: the ports of the encapsulation were asked for, so what is inside is, too
)

// extensions steps over so many extension headers, and goes to transport. Four are hop-by-hop
// (jumbo payloads of BIG TCP), routing, fragment and one more; two, what a host itself sends.
func (c *compiler) extensions(most int, transport label) {
	for range most {
		c.extension(transport)
	}
	c.jump(transport)
}

// extension steps over one extension header, whose number is in A, or goes to transport.
func (c *compiler) extension(transport label) {
	const (
		hopByHop    = 0
		routing     = 43
		fragment    = 44
		auth        = 51
		destination = 60
	)
	sized, fragmented, authenticated, next := c.label(), c.label(), c.label(), c.label()
	c.jumpIf(bpf.JumpEqual, hopByHop, sized)
	c.jumpIf(bpf.JumpEqual, destination, sized)
	c.jumpIf(bpf.JumpEqual, routing, sized)
	c.jumpIf(bpf.JumpEqual, fragment, fragmented)
	c.jumpIf(bpf.JumpEqual, auth, authenticated)
	c.jump(transport)

	c.place(fragmented) // RFC 8200, 4.5: 8 bytes; only the first fragment goes on
	c.needX(8)
	c.loadX(2, 2)
	first := c.label()
	c.jumpIf(bpf.JumpBitsNotSet, 0xfff8, first)
	c.end(8)
	c.place(first)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: 8})
	c.jump(next)

	c.place(authenticated) // RFC 4302, 2.2: in 4-byte units, less 2
	c.needX(8)
	c.loadX(1, 1)
	c.op(bpf.ALUOpAdd, 2)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.jump(next)

	c.place(sized) // RFC 8200, 4.3: in 8-byte units, less 1
	c.needX(8)
	c.loadX(1, 1)
	c.op(bpf.ALUOpAdd, 1)
	c.op(bpf.ALUOpShiftLeft, 3)

	c.place(next) // A is this header's length: X moves on, A becomes the next number
	c.save(length)
	c.loadX(0, 1)
	c.save(protocol)
	c.recall(length)
	c.forwardA()
	c.recall(protocol)
}

// peers goes to strange where neither address is in a wanted prefix of the family.
func (c *compiler) peers(base int, strange label, family func(netip.Addr) bool) {
	if len(c.Peers) > 0 {
		c.addresses(base, strange, family, c.load)
	}
}

// addresses goes to strange where none of both is in a wanted prefix of the family; load loads from the header's begin and so many bytes.
func (c *compiler) addresses(base int, strange label, family func(netip.Addr) bool, load func(off, size int)) {
	match := c.label()
	for _, p := range c.Peers {
		if !family(p.Addr()) {
			continue
		}
		size := p.Addr().BitLen() / 8
		first := base + map[int]int{4: 12, 16: 8}[size]
		c.prefix(p, first, match, load)
		c.prefix(p, first+size, match, load)
	}
	c.jump(strange)
	c.place(match)
}

// prefix goes to match where the address at off is in p.
func (c *compiler) prefix(p netip.Prefix, off int, match label, load func(off, size int)) {
	no := c.label()
	addr := p.Masked().Addr().AsSlice()
	for bits := p.Bits(); bits > 0; bits -= 32 {
		load(off, 4)
		if bits < 32 {
			c.op(bpf.ALUOpAnd, int(^uint32(0)<<(32-bits)))
		}
		c.jumpIf(bpf.JumpNotEqual, binary.BigEndian.Uint32(addr), no)
		off, addr = off+4, addr[4:]
	}
	c.jump(match)
	c.place(no)
}

// peersX is peers for the IP header at X. It goes on with those that are wanted, and where ICMP errors of others are.
func (c *compiler) peersX() {
	if len(c.Peers) == 0 {
		return
	}
	ip6, strange, strange6, match := c.label(), c.label(), c.label(), c.label()
	c.needX(ipv4Header)
	c.loadX(0, 1)
	c.op(bpf.ALUOpShiftRight, 4)
	c.jumpIf(bpf.JumpEqual, 6, ip6)
	c.jumpIf(bpf.JumpNotEqual, 4, c.drop)
	c.addresses(0, strange, netip.Addr.Is4, c.loadX)
	c.jump(match)
	c.place(strange)
	c.loadX(6, 2)
	c.jumpIf(bpf.JumpBitsSet, 0x1fff, c.drop)
	c.loadX(9, 1)
	c.jumpIf(bpf.JumpNotEqual, ipICMP, c.drop)
	c.loadX(0, 1)
	c.op(bpf.ALUOpAnd, 0x0f)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.forwardA()
	c.jump(c.errors)
	c.place(ip6)
	c.needX(ipv6Header)
	c.addresses(0, strange6, netip.Addr.Is6, c.loadX)
	c.jump(match)
	c.place(strange6)
	c.loadX(6, 1)
	c.jumpIf(bpf.JumpNotEqual, ipICMPv6, c.drop)
	c.forward(ipv6Header)
	c.jump(c.errors6)
	c.place(match)
}
