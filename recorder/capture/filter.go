//go:build linux

package capture

import (
	"math"

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
	// etherSlow is LACP and its kin (IEEE 802.3, 57A): what a bond's members agree on.
	etherSlow = 0x8809
	// etherMPLS and etherMPLS2 are labels (RFC 3032, 5), etherPPPoE a PPPoE session (RFC 2516, 4).
	etherMPLS, etherMPLS2 = 0x8847, 0x8848
	etherPPPoE            = 0x8864
	// etherBridged is an Ethernet frame in GRE or Geneve (RFC 7637, 3.2; RFC 8926, 3.4).
	etherBridged = 0x6558

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
	arpMessage     = 28 // of IPv4 over Ethernet (RFC 826); what pads it may be anyone's memory
	lacpMessage    = 60 // both ends' TLVs and the collector's (IEEE 802.1AX, 6.4.2.3), without what is reserved
	ipv4Header     = 20
	ipv6Header     = 40
	tcpHeader      = 20
	udpHeader      = 8
	dnsHeader      = 12
	icmpHeader     = 8
	// otherHeader is kept of any other protocol: ESP's SPI and sequence number (8),
	// SCTP's header with that of its first chunk (16). It is what could be payload, at most.
	otherHeader = 16
)

// compile builds the classic BPF program whose return value is the true length of a
// packet's headers, so that the ring spends no memory on payload, and holds none of what
// people sent: 0 drops the packet.
//
// One encapsulation is walked: IP in IP, GRE, VXLAN, Geneve, PPPoE or MPLS around IP or
// Ethernet. Of what is not understood, the headers before it and otherHeader bytes are kept
// (SPEC.md, "What can be in a bundle").
//
// A load beyond the packet ends the program with 0 in the kernel. Every load is
// therefore guarded, and a packet that is too short for its own headers is kept whole:
// broken packets are evidence, and what they hold are headers.
func (f Filter) compile(kind linkKind) ([]bpf.Instruction, error) {
	c := newCompiler(f)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: math.MaxUint32})
	c.save(packetEnd)
	if kind == rawIP {
		c.rawIP()
	} else {
		c.ethernet(ethernetHeader, 2)
	}
	c.behind()
	c.outer()
	c.inner()
	c.place(c.finish)
	c.jumpIf(bpf.JumpGreaterThan, uint32(f.SnapLen), c.whole)
	c.op(bpf.ALUOpAdd, f.Payload)
	c.jump(c.within)
	c.place(c.whole)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(f.capture())})
	c.place(c.within)
	// What stands behind the packet in a frame pads it to the shortest that Ethernet takes, and may
	// be anyone's memory: a header that reaches into it is none.
	c.emit(bpf.LoadScratch{Dst: bpf.RegX, N: packetEnd}, bpf.JumpIfX{Cond: bpf.JumpLessOrEqual, SkipTrue: 1}, bpf.TXA{}, bpf.RetA{})
	c.place(c.drop)
	c.emit(bpf.RetConstant{Val: 0})
	return c.assemble()
}

// compiler is an assembly with the places where its parts meet. Offsets of the link and of
// the outer IP header are known when the program is built, because loads from constant
// offsets are the cheap ones; from there on X holds the offset of the header in hand.
type compiler struct {
	*assembly
	Filter
	tagged    label // X is the IP header behind tags that the kernel left in the frame
	labelled  label // X is what the labels of MPLS stand before
	extended  label // A is the protocol of the header at X, maybe an extension header of IPv6
	transport label // A is the protocol of the header at X
	errors    label // X is an ICMP header of a peer that is not wanted; errors6 likewise
	errors6   label
	ip        label // X is the IP header inside an encapsulation
	frame     label // X is the Ethernet header inside one
	finish    label // A is the length of the headers
	within    label // A is what is kept, without what pads the packet
	whole     label // keep up to the snapshot length
	drop      label
}

// newCompiler begins a program with its places.
func newCompiler(f Filter) *compiler {
	c := &compiler{assembly: newAssembly(), Filter: f}
	for _, l := range []*label{&c.tagged, &c.labelled, &c.extended, &c.transport, &c.errors, &c.errors6, &c.ip, &c.frame, &c.finish, &c.within, &c.whole, &c.drop} {
		*l = c.label()
	}
	return c
}

// restricted tells whether anything is left out.
func (c *compiler) restricted() bool { return len(c.Ports)+len(c.Peers) > 0 }

// load loads from a constant offset, which the kernel does without a call.
func (c *compiler) load(off, size int) { c.emit(bpf.LoadAbsolute{Off: uint32(off), Size: size}) }

// loadX loads from behind X.
func (c *compiler) loadX(off, size int) { c.emit(bpf.LoadIndirect{Off: uint32(off), Size: size}) }

// op changes A by a constant.
func (c *compiler) op(op bpf.ALUOp, v int) {
	c.emit(bpf.ALUOpConstant{Op: op, Val: uint32(v)})
}

// setX puts a constant into X.
func (c *compiler) setX(n int) { c.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: uint32(n)}) }

// forward moves X by n bytes; A is lost.
func (c *compiler) forward(n int) {
	c.emit(bpf.TXA{})
	c.op(bpf.ALUOpAdd, n)
	c.emit(bpf.TAX{})
}

// forwardA moves X by A bytes.
func (c *compiler) forwardA() { c.emit(bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{}) }

// save and recall keep A in the scratch memory.
func (c *compiler) save(n int)   { c.emit(bpf.StoreScratch{Src: bpf.RegA, N: n}) }
func (c *compiler) recall(n int) { c.emit(bpf.LoadScratch{Dst: bpf.RegA, N: n}) }

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

// keep finishes with n bytes from the packet's start.
func (c *compiler) keep(n int) {
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(n)})
	c.jump(c.finish)
}

// end finishes with what is before X and n bytes behind it.
func (c *compiler) end(n int) {
	c.emit(bpf.TXA{})
	c.op(bpf.ALUOpAdd, n)
	c.jump(c.finish)
}

// endA finishes with what is before X and A bytes behind it.
func (c *compiler) endA() {
	c.emit(bpf.ALUOpX{Op: bpf.ALUOpAdd})
	c.jump(c.finish)
}
