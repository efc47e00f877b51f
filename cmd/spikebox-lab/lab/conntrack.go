//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Track switches connection tracking on for a host, by an nftables rule that looks at the
// state of what comes in, as most firewalls do.
func (h *Host) Track() {
	c, chain := h.chain("stateful", "input", Input)
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Counter{},
	}})
	h.flush(c, "track connections")
}

// ConntrackMax is how many connections a host tracks at most. The kernel lets only
// the machine's own namespace set it.
func (h *Host) ConntrackMax() (n int) {
	h.must(func() error {
		text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
		if err != nil {
			return fmt.Errorf("read the limit of tracked connections: %w", err)
		}
		n, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	return n
}

// Attributes of a conntrack entry (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaProtoInfo  = 4
	ctaTimeout    = 7

	ctaTupleIP, ctaTupleProto                        = 1, 2
	ctaIPv4Src, ctaIPv4Dst                           = 1, 2
	ctaIPv6Src, ctaIPv6Dst                           = 3, 4
	ctaProtoNum, ctaProtoSrc, ctaProtoDst            = 1, 2, 3
	ctaProtoInfoTCP, ctaTCPState, ctTCPEstablished   = 1, 1, 3
	ipsSeenReply, ipsAssured, ipsConfirmed           = 1 << 1, 1 << 2, 1 << 3
	establishedTimeout                               = 5 * 24 * 3600 // s, the kernel's default
	nfnlSubsysCtnetlink, ipctnlMsgCtNew, nfgenmsgLen = 1, 0, 4
)

// Remember enters n established connections to the host's port into its connection
// tracking, from the addresses of net on, as if they had been there for long and
// their clients had gone without a word. skip leaves out the first ones. It ends early
// where there is no more room, which is what it is for.
func (h *Host) Remember(net string, skip, n int, port uint16) {
	h.stage.check(h.remember(net, skip, n, port))
}

// remember is Remember with an error.
func (h *Host) remember(net string, skip, n int, port uint16) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(h.ns)})
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	defer c.Close()
	base := binary.BigEndian.Uint32(netip.MustParsePrefix(net).Addr().AsSlice())
	server := netip.MustParseAddr(h.Addr)
	for i := skip; i < skip+n; i++ {
		// 16 ports an address, so that one address does not hold most of the table.
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], base+uint32(i/16))
		from := netip.MustParseAddr(h.stage.opt.address(netip.AddrFrom4(client).String()))
		data, err := entry(from, server, uint16(20000+i%16), port)
		if err != nil {
			return fmt.Errorf("encode conntrack entry: %w", err)
		}
		m := netlink.Message{
			Header: netlink.Header{
				Type:  nfnlSubsysCtnetlink<<8 | ipctnlMsgCtNew,
				Flags: netlink.Request | netlink.Create | netlink.Acknowledge,
			},
			Data: data,
		}
		// What a full table says to ctnetlink (nf_conntrack_core.c, __nf_conntrack_alloc).
		if _, err := c.Execute(m); errors.Is(err, unix.ENOMEM) {
			return nil
		} else if err != nil {
			return fmt.Errorf("add conntrack entry %d: %w", i, err)
		}
	}
	return nil
}

// entry encodes one connection; an assured one is never evicted for a newer one.
func entry(client, server netip.Addr, cport, sport uint16) ([]byte, error) {
	family, from, to := byte(unix.AF_INET), uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if server.Is6() {
		family, from, to = unix.AF_INET6, ctaIPv6Src, ctaIPv6Dst
	}
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	tuple := func(src, dst netip.Addr, sp, dp uint16) func(*netlink.AttributeEncoder) error {
		return func(e *netlink.AttributeEncoder) error {
			e.ByteOrder = binary.BigEndian
			e.Nested(ctaTupleIP, func(e *netlink.AttributeEncoder) error {
				e.Bytes(from, src.AsSlice())
				e.Bytes(to, dst.AsSlice())
				return nil
			})
			e.Nested(ctaTupleProto, func(e *netlink.AttributeEncoder) error {
				e.ByteOrder = binary.BigEndian
				e.Uint8(ctaProtoNum, unix.IPPROTO_TCP)
				e.Uint16(ctaProtoSrc, sp)
				e.Uint16(ctaProtoDst, dp)
				return nil
			})
			return nil
		}
	}
	e.Nested(ctaTupleOrig, tuple(client, server, cport, sport))
	e.Nested(ctaTupleReply, tuple(server, client, sport, cport))
	e.Uint32(ctaStatus, ipsSeenReply|ipsAssured|ipsConfirmed)
	e.Uint32(ctaTimeout, establishedTimeout)
	e.Nested(ctaProtoInfo, func(e *netlink.AttributeEncoder) error {
		e.Nested(ctaProtoInfoTCP, func(e *netlink.AttributeEncoder) error {
			e.Uint8(ctaTCPState, ctTCPEstablished)
			return nil
		})
		return nil
	})
	attrs, err := e.Encode()
	head := [nfgenmsgLen]byte{family} // struct nfgenmsg: family, version, resource
	return append(head[:], attrs...), err
}
