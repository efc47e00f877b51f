//go:build linux

package lab

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Bits of the TCP header's flags byte, RFC 9293 section 3.1.
const (
	SYN = 0x02
	ACK = 0x10
)

// Places of a packet's way through a host at which its firewall can drop: what is for the
// host itself, what the host sends, and what a router forwards. A packet socket has its
// copy of what comes in before Input, and of what goes out only after Output.
var (
	Input   = nftables.ChainHookInput
	Output  = nftables.ChainHookOutput
	Forward = nftables.ChainHookForward
)

// Match is a condition on a packet, as From, To, TCP, Port, Flags and Chance make them, for the protocol of a run.
type Match func(v Variant) []expr.Any

// all puts conditions together.
func (h *Host) all(matches []Match) (rule []expr.Any) {
	v := h.stage.opt.Variant
	v.hidden = v.NAT && h.name == edgeName
	for _, m := range matches {
		rule = append(rule, m(v)...)
	}
	return rule
}

// either is a condition that is the same for both protocols.
func either(list ...expr.Any) Match { return func(Variant) []expr.Any { return list } }

// Drop adds an nftables rule to the host that silently drops what all matches match,
// until Permit.
func (h *Host) Drop(hook *nftables.ChainHook, matches ...Match) {
	c, chain := h.chain("lab", fmt.Sprintf("hook%d", *hook), hook)
	rule := append(h.all(matches), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: rule})
	h.flush(c, "add firewall rule")
}

// Reset adds a rule that answers what all matches match with a RST to its sender, and lets it
// go no further, until Permit.
func (h *Host) Reset(hook *nftables.ChainHook, matches ...Match) {
	c, chain := h.chain("lab", fmt.Sprintf("hook%d", *hook), hook)
	rule := append(h.all(matches), &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: rule})
	h.flush(c, "add firewall rule")
}

// Permit removes every rule that Drop and Reset made.
func (h *Host) Permit() {
	c := h.nftables()
	c.DelTable(&nftables.Table{Family: h.stage.opt.family(), Name: "lab"})
	h.flush(c, "remove firewall rules")
}

// Ballast lets every packet for the host walk through n nftables rules that match nothing.
func (h *Host) Ballast(n int) {
	c, chain := h.chain("ballast", "input", Input)
	for i := range n {
		// 240.0.0.0/4 is reserved (RFC 1112 section 4): nobody sends from there.
		nobody := From(fmt.Sprintf("240.0.%d.%d/32", i>>8&0xff, i&0xff))
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain,
			Exprs: append(nobody(h.stage.opt.Variant), &expr.Verdict{Kind: expr.VerdictDrop})})
		// A batch is one message to the kernel, and has one answer a rule: 2000 of them
		// fit into the buffers of the netlink socket.
		if i%2000 == 1999 || i == n-1 {
			h.flush(c, fmt.Sprintf("add %d firewall rules", n))
		}
	}
}

// nftables opens the host's nf_tables.
func (h *Host) nftables() *nftables.Conn {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)), nftables.WithSockOptions(
		func(conn *netlink.Conn) error {
			return errors.Join(conn.SetReadBuffer(8<<20), conn.SetWriteBuffer(8<<20))
		}))
	if err != nil {
		h.stage.check(fmt.Errorf("open netfilter socket: %w", err))
	}
	return c
}

// chain begins a batch that has a filter chain at a hook, in a table. Both are made by
// flush, where they are not there yet.
func (h *Host) chain(table, name string, hook *nftables.ChainHook) (*nftables.Conn, *nftables.Chain) {
	c := h.nftables()
	t := c.AddTable(&nftables.Table{Family: h.stage.opt.family(), Name: table})
	return c, c.AddChain(&nftables.Chain{
		Name: name, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: nftables.ChainPriorityFilter,
	})
}

// flush sends a batch to the kernel, which takes all of it or nothing.
func (h *Host) flush(c *nftables.Conn, what string) {
	if err := c.Flush(); err != nil {
		h.stage.check(fmt.Errorf("%s on host %q: %w", what, h.name, err))
	}
}

// From matches the source address, To the destination, with a network of the plan (RFC 791 section
// 3.1: from bytes 12 and 16 of the header; RFC 8200 section 3: from 8 and 24).
func From(cidr string) Match { return ipAt(12, 8, cidr) }

// To is beside From.
func To(cidr string) Match { return ipAt(16, 24, cidr) }

// ipAt compares an address of the header, under the network's mask, with the network's.
func ipAt(four, six uint32, cidr string) Match {
	return func(v Variant) []expr.Any {
		if v.hidden {
			panic(failure{fmt.Errorf("match %s behind a translation of addresses: %w", cidr, errVariant)})
		}
		n, offset := v.network(cidr), four
		if v.IPv6 {
			offset = six
		}
		size := uint32(len(n.Mask))
		return []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: n.Mask, Xor: make([]byte, size)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: n.IP},
		}
	}
}

// Port matches TCP and its destination port (RFC 9293 section 3.1: bytes 2 and 3).
func Port(p uint16) Match {
	return either(append(tcp(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p)},
	)...)
}

// TCP matches TCP, and guards the matches on its header, which would read other protocols'
// bytes as well.
func TCP() Match { return either(tcp()...) }

func tcp() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// Flags matches TCP segments whose flags, under mask, are want.
func Flags(mask, want byte) Match {
	return either(append(tcp(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	)...)
}

// Longer matches packets of more than n bytes (RFC 791 section 3.1: bytes 2 and 3; RFC 8200 section 3: bytes 4 and 5,
// without the header's 40).
func Longer(n uint16) Match {
	return func(v Variant) []expr.Any {
		offset, size := uint32(2), n
		if v.IPv6 {
			offset, size = 4, n-40
		}
		return []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 2},
			&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: binaryutil.BigEndian.PutUint16(size)},
		}
	}
}

// Chance matches permille of a thousand packets, at random. The draws are the kernel's:
// how many it will be differs from run to run, in spite of the seed.
func Chance(permille int) Match {
	return either(
		&expr.Numgen{Register: 1, Modulus: 1000, Type: unix.NFT_NG_RANDOM},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 255, 255, 255}, Xor: make([]byte, 4)},
		// Cmp compares bytes, so that "less" wants the network's order.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(permille))},
	)
}
