//go:build linux

package capture

import "golang.org/x/net/bpf"

// outer places the code for what the outer IP header holds, and for the ICMP errors of
// peers that are not wanted.
func (c *compiler) outer() {
	c.place(c.extended)
	c.extensions(4, c.transport)
	c.place(c.transport)
	tunnel := c.upper(true)
	c.tunnels(tunnel)
	c.place(c.errors)
	c.icmp(false)
	c.place(c.errors6)
	c.icmpv6(false)
}

// tunnel is where upper goes with the protocols that hold packets.
type tunnel struct{ gre, ip, vxlan, geneve label }

// upper finishes with the header at X; A is its protocol. Where tunnels is set, it goes
// on with those that hold packets.
func (c *compiler) upper(tunnels bool) (t tunnel) {
	tcp, udp, icmp, icmpv6, sctp := c.label(), c.label(), c.label(), c.label(), c.label()
	t = tunnel{c.label(), c.label(), c.label(), c.label()}
	c.jumpIf(bpf.JumpEqual, ipTCP, tcp)
	c.jumpIf(bpf.JumpEqual, ipUDP, udp)
	c.jumpIf(bpf.JumpEqual, ipICMP, icmp)
	c.jumpIf(bpf.JumpEqual, ipICMPv6, icmpv6)
	c.jumpIf(bpf.JumpEqual, ipSCTP, sctp)
	if tunnels {
		c.jumpIf(bpf.JumpEqual, ipGRE, t.gre)
		c.jumpIf(bpf.JumpEqual, ipIPIP, t.ip)
		c.jumpIf(bpf.JumpEqual, ipIPv6, t.ip)
	}
	c.otherProtocol()
	c.place(tcp)
	c.tcp(!tunnels)
	c.place(udp)
	if tunnels {
		c.overUDP(t)
	}
	c.udp(!tunnels)
	c.place(icmp)
	c.icmp(true)
	c.place(icmpv6)
	c.icmpv6(true)
	c.place(sctp)
	c.ports(!tunnels)
	c.end(otherHeader)
	return t
}

// otherProtocol keeps a little of what may hold anything.
func (c *compiler) otherProtocol() {
	if len(c.Ports) > 0 {
		c.jump(c.drop)
		return
	}
	c.end(otherHeader)
}

// tcp keeps the header with its options (RFC 9293, 3.1: data offset in 4-byte units).
func (c *compiler) tcp(inside bool) {
	short := c.label()
	c.ports(inside)
	c.needX(tcpHeader)
	c.loadX(12, 1)
	c.op(bpf.ALUOpAnd, 0xf0)
	c.op(bpf.ALUOpShiftRight, 2)
	c.jumpIf(bpf.JumpLessThan, tcpHeader, short)
	c.endA()
	c.place(short) // it denies its own header: it may be anything
	c.end(otherHeader)
}

// udp keeps the header, and that of DNS (RFC 1035, 4.1.1).
func (c *compiler) udp(inside bool) {
	c.ports(inside)
	c.needX(4)
	dns := c.label()
	for _, off := range []int{0, 2} {
		c.loadX(off, 2)
		c.jumpIf(bpf.JumpEqual, portDNS, dns)
		c.jumpIf(bpf.JumpEqual, portMDNS, dns)
	}
	c.end(udpHeader)
	c.place(dns)
	c.end(udpHeader + dnsHeader)
}

// ports drops a packet whose ports are not among the wanted ones. One that is too
// short to have ports is kept.
func (c *compiler) ports(inside bool) {
	if len(c.Ports) == 0 {
		return
	}
	match := c.label()
	if inside {
		c.recall(asked)
		c.jumpIf(bpf.JumpEqual, 1, match)
	}
	c.needX(4)
	for _, off := range []int{0, 2} {
		c.loadX(off, 2)
		for _, p := range c.Ports {
			c.jumpIf(bpf.JumpEqual, uint32(p), match)
		}
	}
	c.jump(c.drop)
	c.place(match)
}

// icmp keeps an error (RFC 792) with the headers that it quotes, and of all others the
// header: the data of an echo is the user's. Without others only errors are kept.
func (c *compiler) icmp(others bool) {
	quote, quoteTCP, quoteFragment := c.label(), c.label(), c.label()
	c.needX(icmpHeader)
	c.loadX(0, 1)
	for _, kind := range []uint32{3, 4, 5, 11, 12} { // unreachable, quench, redirect, time exceeded, parameter
		c.jumpIf(bpf.JumpEqual, kind, quote)
	}
	c.othersEnd(others)
	c.place(quote)
	c.needX(icmpHeader + ipv4Header)
	c.loadX(icmpHeader+6, 2)
	c.jumpIf(bpf.JumpBitsSet, 0x1fff, quoteFragment)
	c.loadX(icmpHeader+9, 1)
	c.jumpIf(bpf.JumpEqual, ipTCP, quoteTCP)
	c.quoted(icmpHeader + 8) // an error quotes at least 8 bytes: the ports
	c.place(quoteFragment)   // a later one: what follows its header is no header
	c.quoted(icmpHeader)
	c.place(quoteTCP)
	c.quoted(icmpHeader + tcpHeader)
}

// quoted finishes with n bytes and the quoted IPv4 header.
func (c *compiler) quoted(n int) {
	c.loadX(icmpHeader, 1)
	c.op(bpf.ALUOpAnd, 0x0f)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.op(bpf.ALUOpAdd, n)
	c.endA()
}

// neighbourDiscovery is what is kept of each type (RFC 4861, 4): its fields and the one
// option with a link-layer address. A redirect's other option quotes a whole packet, and
// a router's advertisement may name domains.
var neighbourDiscovery = []struct {
	kind  uint32
	bytes int
}{
	{133, 8 + 8},  // router solicitation
	{134, 16},     // router advertisement
	{135, 24 + 8}, // neighbour solicitation
	{136, 24 + 8}, // neighbour advertisement
	{137, 40 + 8}, // redirect
}

// icmpv6 is icmp for RFC 4443; neighbour discovery is always kept.
func (c *compiler) icmpv6(others bool) {
	quote, quoteTCP := c.label(), c.label()
	c.needX(icmpHeader)
	c.loadX(0, 1)
	c.jumpIf(bpf.JumpLessThan, 128, quote) // errors
	for _, n := range neighbourDiscovery {
		next := c.label()
		c.jumpIf(bpf.JumpNotEqual, n.kind, next)
		c.end(n.bytes)
		c.place(next)
	}
	c.othersEnd(others)
	c.place(quote)
	c.needX(icmpHeader + ipv6Header)
	c.loadX(icmpHeader+6, 1)
	c.jumpIf(bpf.JumpEqual, ipTCP, quoteTCP)
	c.end(icmpHeader + ipv6Header + 8)
	c.place(quoteTCP)
	c.end(icmpHeader + ipv6Header + tcpHeader)
}

func (c *compiler) othersEnd(others bool) {
	if !others {
		c.jump(c.drop)
		return
	}
	c.end(icmpHeader)
}
