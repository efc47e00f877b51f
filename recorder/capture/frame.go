//go:build linux

package capture

import "golang.org/x/net/bpf"

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
	c.otherFrame(header)
	c.place(ip4)
	if header > ethernetHeader {
		// Such frames are rare: loads from where X says do, and the kernel has room for one copy only.
		c.place(ip6)
		c.setX(header)
		c.jump(c.tagged)
	} else {
		c.ipv4(header)
		c.place(ip6)
		c.ipv6(header)
	}
	c.place(tagged)
	if tags > 0 {
		c.ethernet(header+vlanTag, tags-1)
	}
}

// otherFrame handles a frame that is not IP; A is its EtherType. Under a restriction only
// ARP and what holds IP go on.
func (c *compiler) otherFrame(header int) {
	arp, slow, lacp, mpls, pppoe := c.label(), c.label(), c.label(), c.label(), c.label()
	c.jumpIf(bpf.JumpEqual, etherARP, arp)
	c.jumpIf(bpf.JumpEqual, etherMPLS, mpls)
	c.jumpIf(bpf.JumpEqual, etherMPLS2, mpls)
	c.jumpIf(bpf.JumpEqual, etherPPPoE, pppoe)
	if c.restricted() {
		c.jump(c.drop)
	} else {
		c.jumpIf(bpf.JumpEqual, etherSlow, slow)
		c.keep(header + otherHeader)
		c.place(slow)
		c.need(header + 1)
		c.load(header, 1)
		c.jumpIf(bpf.JumpEqual, 1, lacp) // its subtype; others, as OAM's, may hold anything
		c.keep(header + otherHeader)
		c.place(lacp)
		c.keep(header + lacpMessage)
	}
	c.place(arp)
	c.keep(header + arpMessage)
	c.place(mpls)
	c.mpls(header)
	c.place(pppoe)
	c.pppoe(header)
}

// mpls steps over up to four labels to the bottom of their stack (RFC 3032, 2.1). What
// follows says nowhere what it is: IP is told by its first four bits, as routers do
// (RFC 4928, 3), and the rest is not walked.
func (c *compiler) mpls(header int) {
	const labels, size = 4, 4
	for i := range labels {
		next := c.label()
		c.need(header + size*(i+1))
		c.load(header+size*i+2, 1)
		c.jumpIf(bpf.JumpBitsNotSet, 1, next)
		c.encapsulated(header + size*(i+1))
		c.jump(c.labelled)
		c.place(next)
	}
	c.unknown(header)
}

// pppoe handles a session's frame: six bytes of PPPoE and PPP's protocol number (RFC 2516,
// 4 and 5; RFC 1661, 2).
func (c *compiler) pppoe(header int) {
	const size, ipv4, ipv6 = 8, 0x0021, 0x0057
	is := c.label()
	c.need(header + size)
	c.ends(header+4, header+6, 0) // its length is that of the protocol number and what follows
	c.load(header+size-2, 2)
	c.jumpIf(bpf.JumpEqual, ipv4, is)
	c.jumpIf(bpf.JumpEqual, ipv6, is)
	c.unknown(header)
	c.place(is)
	c.encapsulated(header + size)
	c.jump(c.ip)
}

// unknown keeps a little of a frame that may hold anything.
func (c *compiler) unknown(header int) {
	if c.restricted() {
		c.jump(c.drop)
		return
	}
	c.keep(header + otherHeader)
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
	c.place(ip4)
	c.ipv4(0)
	c.place(ip6)
	c.ipv6(0)
}
