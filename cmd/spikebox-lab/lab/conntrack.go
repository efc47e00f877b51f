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

// track switches connection tracking on for a host, by a firewall rule that looks at
// the state of what comes in, as most firewalls do.
func (h *host) track() error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "stateful"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Counter{},
	}})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("track connections on host %q: %w", h.name, err)
	}
	return nil
}

// conntrackMax is how many connections a host tracks at most. The kernel lets only
// the machine's own namespace set it.
func (h *host) conntrackMax() (n int, err error) {
	err = h.do(func() error {
		text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
		if err != nil {
			return fmt.Errorf("read the limit of tracked connections: %w", err)
		}
		n, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	return n, err
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
	ctaProtoNum, ctaProtoSrc, ctaProtoDst            = 1, 2, 3
	ctaProtoInfoTCP, ctaTCPState, ctTCPEstablished   = 1, 1, 3
	ipsSeenReply, ipsAssured, ipsConfirmed           = 1 << 1, 1 << 2, 1 << 3
	establishedTimeout                               = 5 * 24 * 3600 // s, the kernel's default
	nfnlSubsysCtnetlink, ipctnlMsgCtNew, nfgenmsgLen = 1, 0, 4
)

// remember enters n established connections to the host's port into its connection
// tracking, from the addresses of net on, as if they had been there for long and
// their clients had gone without a word. skip leaves out the first ones. It ends early
// where there is no more room, which is what it is for.
func (h *host) remember(net string, skip, n int, port uint16) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(h.ns)})
	if err != nil {
		return fmt.Errorf("open netfilter socket: %w", err)
	}
	defer c.Close()
	base := binary.BigEndian.Uint32(netip.MustParsePrefix(net).Addr().AsSlice())
	server := netip.MustParseAddr(h.addr).As4()
	for i := skip; i < skip+n; i++ {
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], base+uint32(i/16))
		data, err := entry(client, server, uint16(20000+i%16), port)
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
		if _, err := c.Execute(m); errors.Is(err, unix.ENOMEM) {
			return nil
		} else if err != nil {
			return fmt.Errorf("add conntrack entry %d: %w", i, err)
		}
	}
	return nil
}

// entry encodes one connection; an assured one is never evicted for a newer one.
func entry(client, server [4]byte, cport, sport uint16) ([]byte, error) {
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	tuple := func(src, dst [4]byte, sp, dp uint16) func(*netlink.AttributeEncoder) error {
		return func(e *netlink.AttributeEncoder) error {
			e.ByteOrder = binary.BigEndian
			e.Nested(ctaTupleIP, func(e *netlink.AttributeEncoder) error {
				e.Bytes(ctaIPv4Src, src[:])
				e.Bytes(ctaIPv4Dst, dst[:])
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
	head := [nfgenmsgLen]byte{unix.AF_INET} // struct nfgenmsg: family, version, resource
	return append(head[:], attrs...), err
}
