//go:build linux

package capture

import (
	"slices"

	"golang.org/x/net/bpf"
)

const (
	portVXLAN = 4789 // RFC 7348, 5
	// portVXLANLinux is the default of the kernel's driver (drivers/net/vxlan), older than
	// the RFC; Flannel uses it.
	portVXLANLinux = 8472
	portGeneve     = 6081 // RFC 8926, 3.3

	vxlanHeader  = 8
	geneveHeader = 8
	greHeader    = 4
)

// tunnels places the code that steps over each encapsulation's header to what it holds.
func (c *compiler) tunnels(t tunnel) {
	c.place(t.ip)
	c.ask(0)
	c.jump(c.ip)
	c.place(t.gre)
	c.ask(0)
	c.gre()
	c.place(t.vxlan)
	c.vxlan()
	c.place(t.geneve)
	c.geneve()
}

// inner places the code for what an encapsulation holds. One inside it is not walked.
func (c *compiler) inner() {
	extended, transport := c.label(), c.label()
	c.place(c.frame)
	c.innerFrame()
	c.place(c.ip)
	c.anyIP(transport, extended)
	c.place(extended)
	c.extensions(2, transport)
	c.place(transport)
	c.upper(false)
}

// ask notes whether the port of an encapsulation, 0 for one without, is among the wanted
// ones: then what is inside is wanted, too.
func (c *compiler) ask(port uint16) {
	if len(c.Ports) == 0 {
		return
	}
	wanted := uint32(0)
	if slices.Contains(c.Ports, port) {
		wanted = 1
	}
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: wanted})
	c.save(asked)
}

// overUDP goes on with packets in UDP. They are told by the destination port alone: the
// source port is made of the inner packet's flow (RFC 7348, 5; RFC 8926, 3.3).
func (c *compiler) overUDP(t tunnel) {
	vxlan, vxlanLinux, geneve, plain := c.label(), c.label(), c.label(), c.label()
	c.needX(4)
	c.loadX(2, 2)
	c.jumpIf(bpf.JumpEqual, portVXLAN, vxlan)
	c.jumpIf(bpf.JumpEqual, portVXLANLinux, vxlanLinux)
	c.jumpIf(bpf.JumpEqual, portGeneve, geneve)
	c.jump(plain)
	c.place(vxlan)
	c.ask(portVXLAN)
	c.jump(t.vxlan)
	c.place(vxlanLinux)
	c.ask(portVXLANLinux)
	c.jump(t.vxlan)
	c.place(geneve)
	c.ask(portGeneve)
	c.jump(t.geneve)
	c.place(plain)
}

// gre steps over the header and those of checksum, key and sequence number that its flags
// announce (RFC 2784, 2; RFC 2890, 2). Other versions (PPTP) and routing are not walked.
func (c *compiler) gre() {
	const (
		checksum, key, sequence = 0x8000, 0x2000, 0x1000
		routing, version        = 0x4000, 0x0007
	)
	plain := c.label()
	c.needX(greHeader)
	c.loadX(0, 2)
	c.jumpIf(bpf.JumpBitsNotSet, routing|version, plain)
	c.otherProtocol()
	c.place(plain)
	c.loadX(2, 2)
	c.save(protocol)
	c.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: greHeader})
	c.save(length)
	for _, flag := range []uint32{checksum, key, sequence} {
		next := c.label()
		c.loadX(0, 2)
		c.jumpIf(bpf.JumpBitsNotSet, flag, next)
		c.recall(length)
		c.op(bpf.ALUOpAdd, 4)
		c.save(length)
		c.place(next)
	}
	c.recall(length)
	c.forwardA()
	c.holds()
}

// vxlan steps over UDP's header and VXLAN's, whose I flag must be set (RFC 7348, 5).
func (c *compiler) vxlan() {
	valid := c.label()
	c.needX(udpHeader + vxlanHeader)
	c.loadX(udpHeader, 1)
	c.jumpIf(bpf.JumpBitsSet, 0x08, valid)
	c.end(udpHeader)
	c.place(valid)
	c.forward(udpHeader + vxlanHeader)
	c.jump(c.frame)
}

// geneve steps over UDP's header and Geneve's with its options, in 4-byte units (RFC 8926, 3.4).
func (c *compiler) geneve() {
	valid := c.label()
	c.needX(udpHeader + geneveHeader)
	c.loadX(udpHeader, 1)
	c.jumpIf(bpf.JumpBitsNotSet, 0xc0, valid) // version 0
	c.end(udpHeader)
	c.place(valid)
	c.loadX(udpHeader+2, 2)
	c.save(protocol)
	c.loadX(udpHeader, 1)
	c.op(bpf.ALUOpAnd, 0x3f)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.op(bpf.ALUOpAdd, udpHeader+geneveHeader)
	c.forwardA()
	c.holds()
}

// holds goes on with what X begins with, whose EtherType was saved.
func (c *compiler) holds() {
	c.recall(protocol)
	c.jumpIf(bpf.JumpEqual, etherIPv4, c.ip)
	c.jumpIf(bpf.JumpEqual, etherIPv6, c.ip)
	c.jumpIf(bpf.JumpEqual, etherBridged, c.frame)
	c.otherProtocol()
}

// innerFrame steps over an Ethernet header with up to one tag.
func (c *compiler) innerFrame() {
	ip, tagged, taggedIP, arp := c.label(), c.label(), c.label(), c.label()
	c.needX(ethernetHeader)
	c.loadX(ethernetHeader-2, 2)
	c.jumpIf(bpf.JumpEqual, etherIPv4, ip)
	c.jumpIf(bpf.JumpEqual, etherIPv6, ip)
	c.jumpIf(bpf.JumpEqual, etherVLAN, tagged)
	c.jumpIf(bpf.JumpEqual, etherARP, arp)
	c.forward(ethernetHeader)
	c.otherProtocol()
	c.place(arp)
	c.end(ethernetHeader + arpMessage)
	c.place(tagged)
	c.needX(ethernetHeader + vlanTag)
	c.loadX(ethernetHeader+vlanTag-2, 2)
	c.jumpIf(bpf.JumpEqual, etherIPv4, taggedIP)
	c.jumpIf(bpf.JumpEqual, etherIPv6, taggedIP)
	c.forward(ethernetHeader + vlanTag)
	c.otherProtocol()
	c.place(taggedIP)
	c.forward(vlanTag)
	c.place(ip)
	c.forward(ethernetHeader)
	c.jump(c.ip)
}
