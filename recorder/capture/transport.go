//go:build linux

package capture

import "golang.org/x/net/bpf"

// transport finishes with the header behind the IP headers; A is its protocol.
func (c *compiler) transport(base int) {
	tcp, udp, icmp, icmpv6, sctp := c.label(), c.label(), c.label(), c.label(), c.label()
	c.jumpIf(bpf.JumpEqual, ipTCP, tcp)
	c.jumpIf(bpf.JumpEqual, ipUDP, udp)
	c.jumpIf(bpf.JumpEqual, ipICMP, icmp)
	c.jumpIf(bpf.JumpEqual, ipICMPv6, icmpv6)
	c.jumpIf(bpf.JumpEqual, ipSCTP, sctp)
	c.otherProtocol(base)
	c.place(tcp)
	c.tcp(base)
	c.place(udp)
	c.udp(base)
	c.place(icmp)
	c.icmp(base, c.whole)
	c.place(icmpv6)
	c.icmpv6(base, c.whole)
	c.place(sctp)
	c.ports(base)
	c.end(base, otherHeader)
}

// otherProtocol keeps tunnels whole: what is in them are headers first.
func (c *compiler) otherProtocol(base int) {
	if len(c.Ports) > 0 {
		c.jump(c.drop)
		return
	}
	for _, tunnel := range []uint32{ipIPIP, ipIPv6, ipGRE} {
		c.jumpIf(bpf.JumpEqual, tunnel, c.whole)
	}
	c.end(base, otherHeader)
}

// tcp keeps the header with its options (RFC 9293, 3.1: data offset in 4-byte units).
func (c *compiler) tcp(base int) {
	c.ports(base)
	c.needX(base + tcpHeader)
	c.loadX(base+12, 1)
	c.op(bpf.ALUOpAnd, 0xf0)
	c.op(bpf.ALUOpShiftRight, 2)
	c.jumpIf(bpf.JumpLessThan, tcpHeader, c.whole)
	c.endA(base)
}

// udp keeps the header, and that of DNS (RFC 1035, 4.1.1).
func (c *compiler) udp(base int) {
	c.ports(base)
	c.needX(base + 4)
	dns := c.label()
	for _, off := range []int{base, base + 2} {
		c.loadX(off, 2)
		c.jumpIf(bpf.JumpEqual, portDNS, dns)
		c.jumpIf(bpf.JumpEqual, portMDNS, dns)
	}
	c.end(base, udpHeader)
	c.place(dns)
	c.end(base, udpHeader+dnsHeader)
}

// ports drops a packet whose ports are not among the wanted ones. One that is too
// short to have ports is kept.
func (c *compiler) ports(base int) {
	if len(c.Ports) == 0 {
		return
	}
	match := c.label()
	c.needX(base + 4)
	for _, off := range []int{base, base + 2} {
		c.loadX(off, 2)
		for _, p := range c.Ports {
			c.jumpIf(bpf.JumpEqual, uint32(p), match)
		}
	}
	c.jump(c.drop)
	c.place(match)
}

// icmp keeps an error (RFC 792) with the headers that it quotes, an echo's header, and
// goes to other with the rest. X is the length of the IPv4 header.
func (c *compiler) icmp(base int, other label) {
	quote, quoteTCP := c.label(), c.label()
	c.needX(base + icmpHeader)
	c.loadX(base, 1)
	for _, kind := range []uint32{3, 4, 5, 11, 12} { // unreachable, quench, redirect, time exceeded, parameter
		c.jumpIf(bpf.JumpEqual, kind, quote)
	}
	if other != c.drop {
		c.echo(base, 0, 8)
	}
	c.jump(other)
	c.place(quote)
	c.needX(base + icmpHeader + ipv4Header)
	inner := base + icmpHeader
	c.loadX(inner+9, 1)
	c.jumpIf(bpf.JumpEqual, ipTCP, quoteTCP)
	c.quoted(base, icmpHeader+8) // an error quotes at least 8 bytes: the ports
	c.place(quoteTCP)
	c.quoted(base, icmpHeader+tcpHeader)
}

// quoted finishes with n bytes and the quoted IPv4 header.
func (c *compiler) quoted(base, n int) {
	c.loadX(base+icmpHeader, 1)
	c.op(bpf.ALUOpAnd, 0x0f)
	c.op(bpf.ALUOpShiftLeft, 2)
	c.op(bpf.ALUOpAdd, n)
	c.endA(base)
}

// icmpv6 is icmp for RFC 4443; neighbour discovery (RFC 4861) is always kept.
func (c *compiler) icmpv6(base int, other label) {
	quote, quoteTCP := c.label(), c.label()
	c.needX(base + icmpHeader)
	c.loadX(base, 1)
	c.jumpIf(bpf.JumpLessThan, 128, quote) // errors
	for kind := uint32(133); kind <= 137; kind++ {
		c.jumpIf(bpf.JumpEqual, kind, c.whole)
	}
	if other != c.drop {
		c.echo(base, 128, 129)
	}
	c.jump(other)
	c.place(quote)
	c.needX(base + icmpHeader + ipv6Header)
	c.loadX(base+icmpHeader+6, 1)
	c.jumpIf(bpf.JumpEqual, ipTCP, quoteTCP)
	c.end(base, icmpHeader+ipv6Header+8)
	c.place(quoteTCP)
	c.end(base, icmpHeader+ipv6Header+tcpHeader)
}

// echo keeps the header of the two types of echo: its data is the user's.
func (c *compiler) echo(base int, types ...uint32) {
	match, no := c.label(), c.label()
	for _, t := range types {
		c.jumpIf(bpf.JumpEqual, t, match)
	}
	c.jump(no)
	c.place(match)
	c.end(base, icmpHeader)
	c.place(no)
}
