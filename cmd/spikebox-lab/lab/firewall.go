//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Bits of the TCP header's flags byte, RFC 9293 section 3.1.
const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// drop lets the firewall of a host silently drop what all matches match, at an
// nftables hook. The matches are "from", "to", "port", "flags" and "chance" below.
func (h *host) drop(hook *nftables.ChainHook, matches ...[]expr.Any) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
	chain := c.AddChain(&nftables.Chain{
		Name: fmt.Sprintf("hook%d", *hook), Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: nftables.ChainPriorityFilter,
	})
	var rule []expr.Any
	for _, m := range matches {
		rule = append(rule, m...)
	}
	rule = append(rule, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("add firewall rule on host %q: %w", h.name, err)
	}
	return nil
}

// ballast lets every packet that comes in walk through n rules that match nothing.
func (h *host) ballast(n int) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)), nftables.WithSockOptions(
		func(conn *netlink.Conn) error { // a batch goes out as one message and has one answer a rule
			return errors.Join(conn.SetReadBuffer(8<<20), conn.SetWriteBuffer(8<<20))
		}))
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "ballast"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	for i := range n {
		nobody := &net.IPNet{IP: net.IPv4(240, 0, byte(i>>8), byte(i)), Mask: net.CIDRMask(32, 32)}
		c.AddRule(&nftables.Rule{Table: t, Chain: chain,
			Exprs: append(from(nobody), &expr.Verdict{Kind: expr.VerdictDrop})})
		if i%2000 == 1999 || i == n-1 {
			if err := c.Flush(); err != nil {
				return fmt.Errorf("add %d firewall rules on host %q: %w", n, h.name, err)
			}
		}
	}
	return nil
}

// permit removes every rule that drop made.
func (h *host) permit() error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove firewall rules on host %q: %w", h.name, err)
	}
	return nil
}

// from matches the source address, to the destination (RFC 791 section 3.1: bytes 12
// to 15 and 16 to 19 of the header).
func from(n *net.IPNet) []expr.Any { return ipAt(12, n) }
func to(n *net.IPNet) []expr.Any   { return ipAt(16, n) }

// ipAt compares 4 bytes of the IPv4 header, under the network's mask, with its address.
func ipAt(offset uint32, n *net.IPNet) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: n.Mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: n.IP.To4()},
	}
}

// dport matches TCP and its destination port (RFC 9293 section 3.1: bytes 2 and 3).
func dport(p uint16) []expr.Any {
	return append(tcp(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p)},
	)
}

// tcp guards the matches on TCP's header, which would read other protocols' bytes as well.
func tcp() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// flags matches TCP segments whose flags, under mask, are want.
func flags(mask, want byte) []expr.Any {
	return append(tcp(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	)
}

// chance matches permille of a thousand packets, at random.
func chance(permille uint32) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: 1000, Type: unix.NFT_NG_RANDOM},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 255, 255, 255}, Xor: make([]byte, 4)},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(permille)},
	}
}
