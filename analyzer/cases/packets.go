package cases

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pcapng makes a capture from packets in words, one a line:
//
//	host 192.0.2.10                                        its packets are outgoing, others incoming
//	drops 12                                               the capture lost so many
//	link 147                                               the link type, a LINKTYPE_ number; Ethernet unless said
//	0.5 198.51.100.1:1000 > 192.0.2.10:80 S                a segment: flags of S A F R P
//	0.6 192.0.2.10:80 > 198.51.100.1:1000 A 1400           with so many bytes of payload
//	0.7 192.0.2.10:80 > 198.51.100.1:1000 A 1400 seq=1     and with header fields, see below
//	0.8 198.51.100.1:51820 > 192.0.2.10:51820 udp 148      a UDP datagram
//	0.9 198.51.100.1:0 > 192.0.2.10:0 proto=50 120         another IP protocol; ports mean nothing
//	0.9 192.0.2.9:0 > 192.0.2.10:0 arp link=020000000009   ARP by which this link address asks for the other, and claims its own
//	exchange 1.0 198.51.100.1:1001 > 192.0.2.10:80 20ms    a whole connection with this round trip
//	exchange 1.0 198.51.100.1:1001 > 192.0.2.10:80 20ms 1s and with so long a wait for the answer
//
// Sequence numbers follow from what each side has sent; a SYN is always the same. Lines
// may come in any order. Without a host it is a plain capture: no packet has a direction, and
// nothing says what was dropped.
//
// Header fields of a segment are seq and ack, which count as Wireshark's relative numbers do, the SYN
// being 0; sack=1001-2001,3001-4001 in the same numbers; id, the IP identification; ts=TSval/TSecr;
// win, unscaled; ttl of the IP header; mss, wscale and sackok of a SYN. data=01000000 gives the first bytes of the
// payload in hexadecimal digits; the others are zero.
//
// A router's packets have in=eth0, where they come in, out=eth1, where they go out 10 µs later, or both; without them
// a packet is on eth0, and the host says its direction.
func Pcapng(text string, start time.Time) ([]byte, error) {
	b := builder{start: start, link: linkEthernet, sent: map[string]uint32{}}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := b.line(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("packets line %d: %w", n+1, err)
		}
	}
	return b.write()
}

// linkEthernet is LINKTYPE_ETHERNET.
const linkEthernet = 1

// segment is one packet.
type segment struct {
	at       time.Duration
	src, dst netip.AddrPort
	proto    uint8  // IP protocol number
	flags    string // TCP's
	payload  int
	data     []byte // the first bytes of the payload
	fields
}

// fields are what a line may say of a packet's headers; nil is what follows from the lines before.
type fields struct {
	seq, ack, win *uint32
	id            uint16
	ttl           uint8      // 0 for the usual 64
	stamps        *[2]uint32 // TSval, TSecr
	sack          [][2]uint32
	mss           uint16
	wscale        *uint8
	sackPermitted bool
	in, out       string // interfaces
	link          []byte // of the sender
}

// builder collects packets.
type builder struct {
	start    time.Time
	host     netip.Addr
	drops    uint64
	link     uint16
	segments []segment
	sent     map[string]uint32 // sequence number that a side sends next, by "src>dst"
}

func (b *builder) line(f []string) (err error) {
	switch f[0] {
	case "host":
		b.host, err = netip.ParseAddr(f[1])
		return err
	case "drops":
		b.drops, err = strconv.ParseUint(f[1], 10, 64)
		return err
	case "link":
		link, err := strconv.ParseUint(f[1], 10, 16)
		b.link = uint16(link)
		return err
	case "exchange":
		return b.exchange(f[1:])
	}
	s, err := parseSegment(f)
	b.segments = append(b.segments, s)
	return err
}

// IP protocol numbers (IANA).
const (
	protoTCP = 6
	protoUDP = 17
	protoARP = 255 // it is none: 255 is reserved
)

func parseSegment(f []string) (s segment, err error) {
	if len(f) < 5 || f[2] != ">" {
		return s, fmt.Errorf("want \"TIME SRC > DST FLAGS [BYTES] [FIELD=VALUE …]\", not %q", strings.Join(f, " "))
	}
	at, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return s, err
	}
	if s.src, err = netip.ParseAddrPort(f[1]); err != nil {
		return s, err
	}
	if s.dst, err = netip.ParseAddrPort(f[3]); err != nil {
		return s, err
	}
	s.at, s.flags, s.proto = seconds(at), f[4], protoTCP
	if number, ok := strings.CutPrefix(f[4], "proto="); ok {
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			return s, err
		}
		s.proto = uint8(n)
	} else if f[4] == "udp" {
		s.proto = protoUDP
	} else if f[4] == "arp" {
		s.proto = protoARP
	}
	f = f[5:]
	if len(f) > 0 && !strings.Contains(f[0], "=") && f[0] != "sackok" {
		if s.payload, err = strconv.Atoi(f[0]); err != nil {
			return s, err
		}
		f = f[1:]
	}
	for _, field := range f {
		if err := s.field(field); err != nil {
			return s, fmt.Errorf("field %q: %w", field, err)
		}
	}
	return s, nil
}

// field takes one header field.
func (s *segment) field(text string) (err error) {
	name, value, _ := strings.Cut(text, "=")
	number := func(bits int) uint32 {
		n, wrong := strconv.ParseUint(value, 10, bits)
		if wrong != nil {
			err = wrong
		}
		return uint32(n)
	}
	switch name {
	case "seq":
		n := number(32)
		s.seq = &n
	case "ack":
		n := number(32)
		s.ack = &n
	case "win":
		n := number(16)
		s.win = &n
	case "id":
		s.id = uint16(number(16))
	case "ttl":
		s.ttl = uint8(number(8))
	case "mss":
		s.mss = uint16(number(16))
	case "wscale":
		n := uint8(number(8))
		s.wscale = &n
	case "sackok":
		s.sackPermitted = true
	case "in":
		s.in = value
	case "out":
		s.out = value
	case "link":
		s.link, err = hex.DecodeString(value)
	case "data":
		s.data, err = hex.DecodeString(value)
		s.payload = max(s.payload, len(s.data))
	case "ts":
		var pair [2]uint32
		pair, err = twoNumbers(value, "/")
		s.stamps = &pair
	case "sack":
		for block := range strings.SplitSeq(value, ",") {
			pair, err := twoNumbers(block, "-")
			if err != nil {
				return err
			}
			s.sack = append(s.sack, pair)
		}
	default:
		return fmt.Errorf("there is no such field")
	}
	return err
}

// twoNumbers reads two numbers with a separator between them.
func twoNumbers(text, separator string) (pair [2]uint32, err error) {
	a, b, ok := strings.Cut(text, separator)
	if !ok {
		return pair, fmt.Errorf("want two numbers with %q between them", separator)
	}
	for i, digits := range [2]string{a, b} {
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return pair, err
		}
		pair[i] = uint32(n)
	}
	return pair, nil
}

// exchange is a connection in which all is well: the tap is beside the server, so that
// the round trip lies between the server's packets and the client's.
func (b *builder) exchange(f []string) error {
	if len(f) != 5 && len(f) != 6 {
		return fmt.Errorf("want \"exchange TIME CLIENT > SERVER RTT [WAIT]\"")
	}
	s, err := parseSegment(append(f[:4:4], "S"))
	if err != nil {
		return err
	}
	rtt, err := time.ParseDuration(f[4])
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	if len(f) == 6 {
		if wait, err = time.ParseDuration(f[5]); err != nil {
			return err
		}
	}
	at := s.at
	client := func(flags string, payload int) {
		b.segments = append(b.segments, segment{at: at, src: s.src, dst: s.dst, proto: protoTCP, flags: flags, payload: payload})
		at += 50 * time.Microsecond
	}
	server := func(flags string, payload int) {
		b.segments = append(b.segments, segment{at: at, src: s.dst, dst: s.src, proto: protoTCP, flags: flags, payload: payload})
		at += rtt
	}
	client("S", 0)
	server("SA", 0)
	client("A", 0)
	client("PA", 200)
	at += wait
	server("PA", 1000)
	client("FA", 0)
	server("FA", 0)
	client("A", 0)
	return nil
}

// isn is the sequence number of a SYN from one end to another: as at random as those of hosts are (RFC 6528), so that
// nobody takes two connections for one, but never near a wrap.
func isn(way string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(way))
	return h.Sum32() >> 1
}

// number gives the sequence and acknowledgement numbers of a segment, and notes what its side sends
// next.
func (b *builder) number(s *segment) (seq, ack uint32) {
	way, back := s.src.String()+">"+s.dst.String(), s.dst.String()+">"+s.src.String()
	seq, ok := b.sent[way]
	if !ok || strings.Contains(s.flags, "S") {
		seq = isn(way)
	}
	if s.seq != nil {
		seq = isn(way) + *s.seq
	}
	if strings.Contains(s.flags, "A") {
		ack = b.sent[back]
		if s.ack != nil {
			ack = isn(back) + *s.ack
		}
	}
	next := seq + uint32(s.payload)
	if strings.ContainsAny(s.flags, "SF") {
		next++
	}
	b.sent[way] = max(b.sent[way], next)
	return seq, ack
}

// sorted gives the packets in the order of their times; of equal times, in that of their lines.
func (b *builder) sorted() []segment {
	slices.SortStableFunc(b.segments, func(x, y segment) int { return int(x.at - y.at) })
	return b.segments
}
