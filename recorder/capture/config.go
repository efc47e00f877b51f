//go:build linux

package capture

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Defaults and bounds of a SetConfig.
const (
	DefaultBytes = 64 << 20
	// DefaultPackCPU packs some 300,000 packets/s.
	DefaultPackCPU = 0.03
	// DefaultSnapLen holds every header that the filter knows: two VLAN tags, IPv6 and
	// the longest TCP header are 122 bytes, as is an ICMPv6 error with what it quotes.
	// The rest is for tunnels and extension headers.
	DefaultSnapLen = 192

	maxBlock = 1 << 20
	// minBlock keeps the unused end of a block (less than one packet) below 2 %.
	minBlock = 16 << 10
	// minBlocks keeps the granularity of giving history back near 3 % of the ring.
	minBlocks = 32
	// maxCapture is what fits four times into the smallest block.
	maxCapture = minBlock / 4
	// retireTimeout is the longest that fits the 16-bit milliseconds of kernels before 6.18.
	retireTimeout = 60 * time.Second
)

// Filter says which packets are recorded, and how much of each.
type Filter struct {
	// SnapLen caps the headers that are kept of a packet, in bytes; 0 is DefaultSnapLen.
	SnapLen int
	// Payload is how many bytes are kept beyond the headers.
	Payload int
	// Ports keeps TCP, UDP and SCTP from or to these ports, inside an encapsulation too;
	// empty keeps all.
	Ports []uint16
	// Peers keeps IP packets from or to these prefixes, by the outer addresses of an
	// encapsulation; empty keeps all.
	//
	// ARP, neighbour discovery and ICMP errors are kept under any restriction: they
	// explain what happens to the rest.
	Peers []netip.Prefix
}

// SetConfig describes the rings of several interfaces.
type SetConfig struct {
	// Interfaces are the names to record. Empty: see choose.
	Interfaces []string
	// Bytes is the memory of all rings together, which the kernel allocates and locks at
	// once; 0 is DefaultBytes.
	Bytes int
	// Way is how packets are captured; empty is Auto.
	Way Way
	Filter
	// Before and After are how far a cut reaches back from a trigger, and how much later it
	// comes: what an interface that was removed, and that nobody named, left in its ring may go
	// after Before where others want the memory, and goes after both.
	Before, After time.Duration
	// PackCPU is the share of one CPU, of 1, that the packing of packets may take which would be forgotten
	// although a cut would ask for them, of all interfaces together; 0: nothing is packed.
	PackCPU float64
	// Notify is told of the changes of interfaces' states, one call at a time: of the first few
	// in ten seconds by themselves, of the others by their number. It may be nil.
	Notify func(Event)

	// For tests: beforeLook is called by the goroutine that serves the rings, before it does,
	// and countEvery is how often it does so without a block that was finished.
	beforeLook func()
	countEvery time.Duration
}

// Check says what no packets can be recorded with.
func (f Filter) Check() error {
	_, err := f.withDefaults()
	return err
}

// withDefaults returns f with its zero values replaced, or says what cannot be.
func (f Filter) withDefaults() (Filter, error) {
	if f.SnapLen == 0 {
		f.SnapLen = DefaultSnapLen
	}
	if f.SnapLen < 64 {
		return f, fmt.Errorf("use snaplen %d: at least 64 bytes are needed for addresses and ports",
			f.SnapLen)
	}
	if f.Payload < 0 {
		return f, fmt.Errorf("use payload %d: want 0 or more bytes", f.Payload)
	}
	if f.SnapLen > maxCapture || f.Payload > maxCapture-f.SnapLen { // no sum of them: it may overflow
		return f, fmt.Errorf("use snaplen %d with %d bytes of payload: at most %d bytes of a packet can be kept",
			f.SnapLen, f.Payload, maxCapture)
	}
	for _, p := range f.Peers {
		if !p.IsValid() {
			return f, fmt.Errorf("use peer %v: not a prefix", p)
		}
	}
	return f, nil
}

// capture is the largest number of bytes kept of a packet, before a VLAN tag is restored.
func (f Filter) capture() int { return f.SnapLen + f.Payload }

// String is the restriction in the syntax of pcap-filter(7); empty where all is kept.
func (f Filter) String() string {
	var all []string
	if len(f.Ports) > 0 {
		any := make([]string, 0, len(f.Ports))
		for _, p := range f.Ports {
			any = append(any, fmt.Sprintf("port %d", p))
		}
		all = append(all, "("+strings.Join(any, " or ")+" or icmp or icmp6)")
	}
	if len(f.Peers) > 0 {
		any := make([]string, 0, len(f.Peers))
		for _, p := range f.Peers {
			any = append(any, "net "+p.Masked().String())
		}
		all = append(all, "("+strings.Join(any, " or ")+")")
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, " and ") + " or arp"
}

// geometry is how a ring's memory is cut into blocks.
type geometry struct {
	size   int // of a block, bytes
	blocks int
	// reserve is how many blocks are kept free for the kernel, beside the open one:
	// a quarter of the ring and one (package comment), and spare.
	reserve int
	// spare is what the kernel may fill between two looks at the ring without
	// touching the quarter.
	spare int
}

// plan cuts bytes into blocks of at most 1 MiB, and smaller ones rather than fewer
// than minBlocks.
func plan(bytes int) (geometry, error) {
	g := geometry{size: maxBlock}
	for bytes/g.size < minBlocks && g.size > smallestBlock() {
		g.size /= 2
	}
	g.blocks = bytes / g.size
	if g.blocks < minBlocks {
		return g, fmt.Errorf("cut a ring of %d bytes: at least %d are needed", bytes, minRing())
	}
	g.spare = max(2, g.blocks/8)
	g.reserve = g.blocks/4 + 1 + g.spare
	return g, nil
}

// bytes is the memory of the ring.
func (g geometry) bytes() int { return g.size * g.blocks }

// history is how many finished blocks are held at most.
func (g geometry) history() int { return g.blocks - 1 - g.reserve }

// smallestBlock is minBlock, or a page where pages are larger (arm64 with 64 KiB).
func smallestBlock() int { return max(minBlock, os.Getpagesize()) }

// minRing is the smallest memory of a ring.
func minRing() int { return smallestBlock() * minBlocks }
