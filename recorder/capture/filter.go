//go:build linux

package capture

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
)

// linkKind is what the socket's packets begin with.
type linkKind int

const (
	// ethernet is an Ethernet header, VLAN tags of the device stripped by the kernel.
	ethernet linkKind = iota
	// rawIP is an IPv4 or IPv6 header: tun, PPP, IP tunnels, InfiniBand, whose own
	// headers a SOCK_DGRAM socket leaves out.
	rawIP
)

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100
	etherQinQ = 0x88a8

	ipICMP   = 1
	ipIPIP   = 4
	ipTCP    = 6
	ipUDP    = 17
	ipIPv6   = 41
	ipGRE    = 47
	ipICMPv6 = 58
	ipSCTP   = 132

	portDNS  = 53
	portMDNS = 5353
)

// minimum header lengths and what is kept of protocols without one of their own
const (
	ethernetHeader = 14
	vlanTag        = 4
	ipv4Header     = 20
	ipv6Header     = 40
	tcpHeader      = 20
	udpHeader      = 8
	dnsHeader      = 12
	icmpHeader     = 8
	// otherHeader is kept of any other protocol: ESP's SPI and sequence number (8),
	// SCTP's header with that of its first chunk (16).
	otherHeader = 16
)

// compile builds the classic BPF program whose return value is the true length of a
// packet's headers, so that the ring spends no memory on payload: 0 drops the packet.
//
// A load beyond the packet ends the program with 0 in the kernel. Every load is
// therefore guarded, and a packet that is too short for its own headers is kept whole:
// broken packets are evidence.
func (f Filter) compile(kind linkKind) ([]bpf.Instruction, error) {
	c := newCompiler(f)
	if kind == rawIP {
		c.rawIP()
	} else {
		c.ethernet(ethernetHeader, 2)
	}
	c.place(c.finish)
	c.jumpIf(bpf.JumpGreaterThan, uint32(f.SnapLen), c.whole)
	c.emit(bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(f.Payload)}, bpf.RetA{})
	c.place(c.whole)
	c.emit(bpf.RetConstant{Val: uint32(f.capture())})
	c.place(c.drop)
	c.emit(bpf.RetConstant{Val: 0})
	return c.assemble()
}

// compiler is an assembly with the program's three ends. Offsets are from the packet's
// start. base is the offset of the IP header, known when the program is built, because
// loads from constant offsets are the cheap ones; X holds the length of the IP headers.
type compiler struct {
	*assembly
	Filter
	finish label // A is the length of the headers
	whole  label // keep up to the snapshot length
	drop   label
}

// newCompiler begins a program with its three ends.
func newCompiler(f Filter) *compiler {
	c := &compiler{assembly: newAssembly(), Filter: f}
	c.finish, c.whole, c.drop = c.label(), c.label(), c.label()
	return c
}

// load loads from a constant offset, which the kernel does without a call.
func (c *compiler) load(off, size int) { c.emit(bpf.LoadAbsolute{Off: uint32(off), Size: size}) }

// loadX loads from behind the IP headers.
func (c *compiler) loadX(off, size int) { c.emit(bpf.LoadIndirect{Off: uint32(off), Size: size}) }

// op changes A by a constant.
func (c *compiler) op(op bpf.ALUOp, v int) {
	c.emit(bpf.ALUOpConstant{Op: op, Val: uint32(v)})
}

// need keeps the packet whole where it is shorter than n bytes.
func (c *compiler) need(n int) {
	c.emit(bpf.LoadExtension{Num: bpf.ExtLen})
	c.jumpIf(bpf.JumpLessThan, uint32(n), c.whole)
}

// needX keeps the packet whole where it is shorter than X and n bytes.
func (c *compiler) needX(n int) {
	c.emit(bpf.LoadExtension{Num: bpf.ExtLen})
	c.jumpIfLessX(c.whole)
	c.emit(bpf.ALUOpX{Op: bpf.ALUOpSub})
	c.jumpIf(bpf.JumpLessThan, uint32(n), c.whole)
}

// end finishes with the IP headers and n bytes behind them.
func (c *compiler) end(base, n int) {
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(n)})
	c.endA(base)
}

// endA finishes with the IP headers and A bytes behind them.
func (c *compiler) endA(base int) {
	c.emit(bpf.ALUOpX{Op: bpf.ALUOpAdd})
	c.op(bpf.ALUOpAdd, base)
	c.jump(c.finish)
}

// ethernet handles a frame whose header, tags included, is header bytes long and may
// hold some more tags in-band: a second tag, or the tag of a device that cannot insert
// it itself. The program's code is repeated for each depth.
func (c *compiler) ethernet(header, tags int) {
	tagged, ip4, ip6 := c.label(), c.label(), c.label()
	c.need(header)
	c.load(header-2, 2)
	c.jumpIf(bpf.JumpEqual, etherIPv4, ip4)
	c.jumpIf(bpf.JumpEqual, etherIPv6, ip6)
	if tags > 0 {
		c.jumpIf(bpf.JumpEqual, etherVLAN, tagged)
		c.jumpIf(bpf.JumpEqual, etherQinQ, tagged)
	}
	c.otherFrame()
	c.ip(header, ip4, ip6)
	c.place(tagged)
	if tags > 0 {
		c.ethernet(header+vlanTag, tags-1)
	}
}

// otherFrame keeps what is not IP, or only ARP under a restriction; A is its EtherType.
func (c *compiler) otherFrame() {
	if len(c.Ports)+len(c.Peers) == 0 {
		c.jump(c.whole)
		return
	}
	c.jumpIf(bpf.JumpEqual, etherARP, c.whole)
	c.jump(c.drop)
}

// rawIP handles a packet without link header. What is neither IPv4 nor IPv6 has no
// place in a file of raw IP packets and is dropped.
func (c *compiler) rawIP() {
	ip4, ip6 := c.label(), c.label()
	c.emit(bpf.LoadExtension{Num: bpf.ExtLen})
	c.jumpIf(bpf.JumpEqual, 0, c.drop)
	c.load(0, 1)
	c.op(bpf.ALUOpShiftRight, 4)
	c.jumpIf(bpf.JumpEqual, 4, ip4)
	c.jumpIf(bpf.JumpEqual, 6, ip6)
	c.jump(c.drop)
	c.ip(0, ip4, ip6)
}

// ip places the code for both IP versions at offset base.
func (c *compiler) ip(base int, ip4, ip6 label) {
	transport := c.label()
	c.place(ip4)
	c.ipv4(base, transport)
	c.place(ip6)
	c.ipv6(base, transport)
	c.place(transport)
	c.transport(base)
}

// ipv4 leaves the header's length in X and the protocol in A (RFC 791, 3.1).
func (c *compiler) ipv4(base int, transport label) {
	strange := c.label()
	c.need(base + ipv4Header)
	c.emit(bpf.LoadMemShift{Off: uint32(base)}, bpf.TXA{})
	c.jumpIf(bpf.JumpLessThan, ipv4Header, c.whole)
	c.peers(base, strange, netip.Addr.Is4)
	c.load(base+6, 2)
	fragment := c.label()
	c.jumpIf(bpf.JumpBitsSet, 0x1fff, fragment)
	c.load(base+9, 1)
	c.jump(transport)
	c.place(fragment) // a later fragment has no ports: it is kept whatever they are
	c.end(base, 0)
	c.place(strange)
	if len(c.Peers) > 0 {
		c.load(base+6, 2)
		c.jumpIf(bpf.JumpBitsSet, 0x1fff, c.drop)
		c.load(base+9, 1)
		c.jumpIf(bpf.JumpNotEqual, ipICMP, c.drop)
		c.icmp(base, c.drop)
	}
}

// ipv6 walks the extension headers (RFC 8200, 4), and leaves the length of all IPv6
// headers in X and the upper protocol in A.
func (c *compiler) ipv6(base int, transport label) {
	strange := c.label()
	c.need(base + ipv6Header)
	c.peers(base, strange, netip.Addr.Is6)
	c.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: ipv6Header})
	c.load(base+6, 1)
	// Four headers: hop-by-hop (jumbo payloads of BIG TCP), routing, fragment and one more.
	for range 4 {
		c.extension(base, transport)
	}
	c.jump(transport)
	c.place(strange)
	if len(c.Peers) > 0 {
		c.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: ipv6Header})
		c.load(base+6, 1)
		c.jumpIf(bpf.JumpNotEqual, ipICMPv6, c.drop)
		c.icmpv6(base, c.drop)
	}
}

// extension steps over one extension header, whose number is in A, or goes to transport.
func (c *compiler) extension(base int, transport label) {
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
	c.needX(base + 8)
	c.loadX(base+2, 2)
	first := c.label()
	c.jumpIf(bpf.JumpBitsNotSet, 0xfff8, first)
	c.end(base, 8)
	c.place(first)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: 8})
	c.jump(next)

	c.place(authenticated) // RFC 4302, 2.2: in 4-byte units, less 2
	c.needX(base + 8)
	c.loadX(base+1, 1)
	c.op(bpf.ALUOpAdd, 2)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.jump(next)

	c.place(sized) // RFC 8200, 4.3: in 8-byte units, less 1
	c.needX(base + 8)
	c.loadX(base+1, 1)
	c.op(bpf.ALUOpAdd, 1)
	c.op(bpf.ALUOpShiftLeft, 3)

	c.place(next) // A is this header's length: X moves on, A becomes the next number
	c.emit(bpf.StoreScratch{Src: bpf.RegA, N: 0})
	c.loadX(base, 1)
	c.emit(bpf.StoreScratch{Src: bpf.RegA, N: 1}, bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA, N: 1})
}

// peers goes to strange where neither address is in a wanted prefix of the family.
func (c *compiler) peers(base int, strange label, family func(netip.Addr) bool) {
	if len(c.Peers) == 0 {
		return
	}
	match := c.label()
	for _, p := range c.Peers {
		if !family(p.Addr()) {
			continue
		}
		size := p.Addr().BitLen() / 8
		first := base + map[int]int{4: 12, 16: 8}[size]
		c.prefix(p, first, match)
		c.prefix(p, first+size, match)
	}
	c.jump(strange)
	c.place(match)
}

// prefix goes to match where the address at off is in p.
func (c *compiler) prefix(p netip.Prefix, off int, match label) {
	no := c.label()
	addr := p.Masked().Addr().AsSlice()
	for bits := p.Bits(); bits > 0; bits -= 32 {
		c.load(off, 4)
		if bits < 32 {
			c.op(bpf.ALUOpAnd, int(^uint32(0)<<(32-bits)))
		}
		c.jumpIf(bpf.JumpNotEqual, binary.BigEndian.Uint32(addr), no)
		off, addr = off+4, addr[4:]
	}
	c.jump(match)
	c.place(no)
}
