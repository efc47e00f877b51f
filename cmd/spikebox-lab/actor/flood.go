//go:build linux

package actor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

var flood = &Actor{
	Name: "flood",
	Doc:  "sends SYNs, or UDP datagrams, from made-up addresses",
	run:  sendFlood,
}

// Flood is what the flood actor is told at its start.
type Flood struct {
	Comm string `json:"comm"`
	To   string `json:"to"`  // address and port
	Net  string `json:"net"` // network that the source addresses are drawn from
	UDP  bool   `json:"udp"` // empty datagrams in place of SYNs
	Rate int    `json:"rate"`
	// Burst is how many packets are sent at once; the rate holds over many bursts.
	Burst int `json:"burst,omitempty"`
	// Pin keeps the sender, and with it the softirqs of its packets, on CPU.
	Pin  bool   `json:"pin,omitempty"`
	CPU  int    `json:"cpu,omitempty"`
	Seed uint64 `json:"seed"`
}

// sendFlood sends at p.Rate until it is told to stop, and notes how many it sent.
func sendFlood(ctx context.Context, c *Cue) error {
	var p Flood
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(p.To)
	if err != nil {
		return err
	}
	family, _ := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	// A burst is larger than the default, and a full queue must not stop the flood.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 32<<20)
	ctx, cancel := context.WithCancel(ctx)
	sent := make(chan int)
	go func() { sent <- p.send(ctx, fd) }()
	c.ready("")
	err = c.commands(func(verb, _ string) error { return fmt.Errorf("no such command %q", verb) })
	cancel()
	c.note("sent %d packets from made-up addresses in %s", <-sent, p.Net)
	return err
}

// send catches up with the rate every 2 ms. What the kernel refuses is not counted.
func (p *Flood) send(ctx context.Context, fd int) (sent int) {
	if p.Pin {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var set unix.CPUSet
		set.Set(p.CPU)
		_ = unix.SchedSetaffinity(0, &set) // refused by a cpuset: then it stays where it is
	}
	draw := rand.New(rand.NewPCG(p.Seed, 0))
	to, source := netip.MustParseAddrPort(p.To), netip.MustParsePrefix(p.Net)
	_, dst := sockaddr(netip.AddrPortFrom(to.Addr(), 0)) // of a raw socket the port is the protocol, if any
	buf := gopacket.NewSerializeBuffer()
	for start := time.Now(); ctx.Err() == nil; wait(ctx, 2*time.Millisecond) {
		due := int(time.Since(start).Seconds() * float64(p.Rate))
		due -= due % max(1, p.Burst)
		for ; sent < due && ctx.Err() == nil; sent++ {
			p.packet(buf, draw, source, to)
			_ = unix.Sendto(fd, buf.Bytes(), 0, dst)
		}
	}
	return sent
}

// ipLayer is a header that knows the checksum of what it carries.
type ipLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// header draws a source and gives the header of the network layer.
func (p *Flood) header(draw *rand.Rand, source netip.Prefix, to netip.Addr) ipLayer {
	from, kept := source.Addr().AsSlice(), source.Bits()
	first := kept / 8
	for i := range 4 { // 32 bits from the network's end on
		if first+i < len(from) {
			mask := byte(0xff)
			if i == 0 {
				mask >>= kept % 8
			}
			from[first+i] |= byte(draw.Uint32()) & mask
		}
	}
	protocol := layers.IPProtocolTCP
	if p.UDP {
		protocol = layers.IPProtocolUDP
	}
	if to.Is6() {
		return &layers.IPv6{Version: 6, HopLimit: 64, SrcIP: from, DstIP: to.AsSlice(), NextHeader: protocol}
	}
	return &layers.IPv4{Version: 4, TTL: 64, Id: uint16(draw.Uint32()), Flags: layers.IPv4DontFragment,
		SrcIP: from, DstIP: to.AsSlice(), Protocol: protocol}
}

// packet writes one packet with its IP header into buf.
func (p *Flood) packet(buf gopacket.SerializeBuffer, draw *rand.Rand, source netip.Prefix, to netip.AddrPort) {
	ip := p.header(draw, source, to.Addr())
	port := uint16(1024 + draw.IntN(60000))
	var l gopacket.SerializableLayer
	if p.UDP {
		udp := &layers.UDP{SrcPort: layers.UDPPort(port), DstPort: layers.UDPPort(to.Port())}
		udp.SetNetworkLayerForChecksum(ip)
		l = udp
	} else {
		tcp := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: layers.TCPPort(to.Port()),
			Seq: draw.Uint32(), SYN: true, Window: 64240,
			Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}}
		tcp.SetNetworkLayerForChecksum(ip)
		l = tcp
	}
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, ip, l); err != nil {
		panic(err) // the layers above are complete
	}
}
