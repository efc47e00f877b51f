package cases

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Pcapng makes a capture from packets in words, one a line:
//
//	host 192.0.2.10                                        its packets are outgoing, others incoming
//	drops 12                                               the capture lost so many
//	0.5 198.51.100.1:1000 > 192.0.2.10:80 S                a segment: flags of S A F R P
//	0.6 192.0.2.10:80 > 198.51.100.1:1000 A 1400           with so many bytes of payload
//	0.7 192.0.2.10:80 > 198.51.100.1:1000 SA 0 900 500     with a timestamp and the one that it echoes
//	exchange 1.0 198.51.100.1:1001 > 192.0.2.10:80 20ms    a whole connection with this round trip
//
// Sequence numbers follow from what each side has sent; a SYN is always the same. Lines
// may come in any order. Without a host it is a plain capture: no packet has a direction, and
// nothing says what was dropped.
func Pcapng(text string, start time.Time) ([]byte, error) {
	b := builder{start: start, sent: map[string]uint32{}}
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

type segment struct {
	at       time.Duration
	src, dst netip.AddrPort
	flags    string
	payload  int
	stamps   []byte // TSval and TSecr; nil without the option
}

type builder struct {
	start    time.Time
	host     netip.Addr
	drops    uint64
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
	case "exchange":
		return b.exchange(f[1:])
	}
	s, err := parseSegment(f)
	b.segments = append(b.segments, s)
	return err
}

func parseSegment(f []string) (s segment, err error) {
	if len(f) < 5 || f[2] != ">" {
		return s, fmt.Errorf("want \"TIME SRC > DST FLAGS [BYTES]\", not %q", strings.Join(f, " "))
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
	s.at, s.flags = seconds(at), f[4]
	if len(f) > 5 {
		s.payload, err = strconv.Atoi(f[5])
	}
	for _, stamp := range f[min(len(f), 6):] {
		v, perr := strconv.ParseUint(stamp, 10, 32)
		s.stamps, err = binary.BigEndian.AppendUint32(s.stamps, uint32(v)), errors.Join(err, perr)
	}
	return s, err
}

// exchange is a connection in which all is well: the tap is beside the server, so that
// the round trip lies between the server's packets and the client's.
func (b *builder) exchange(f []string) error {
	if len(f) != 5 {
		return fmt.Errorf("want \"exchange TIME CLIENT > SERVER RTT\"")
	}
	s, err := parseSegment(append(f[:4:4], "S"))
	if err != nil {
		return err
	}
	rtt, err := time.ParseDuration(f[4])
	if err != nil {
		return err
	}
	at := s.at
	client := func(flags string, payload int) {
		b.segments = append(b.segments, segment{at: at, src: s.src, dst: s.dst, flags: flags, payload: payload})
		at += 50 * time.Microsecond
	}
	server := func(flags string, payload int) {
		b.segments = append(b.segments, segment{at: at, src: s.dst, dst: s.src, flags: flags, payload: payload})
		at += rtt
	}
	client("S", 0)
	server("SA", 0)
	client("A", 0)
	client("PA", 200)
	server("PA", 1000)
	client("FA", 0)
	server("FA", 0)
	client("A", 0)
	return nil
}

// write lays the segments out as pcapng (draft-ietf-opsawg-pcapng): a section, one
// interface with nanoseconds, enhanced packet blocks with their direction, statistics.
func (b *builder) write() ([]byte, error) {
	slices.SortStableFunc(b.segments, func(x, y segment) int { return int(x.at - y.at) })
	var out bytes.Buffer
	block(&out, 0x0A0D0D0A, le32(0x1A2B3C4D), le16(1, 0), le32(0xFFFFFFFF, 0xFFFFFFFF))
	block(&out, 1, le16(1, 0), le32(0), option(2, []byte("eth0")), option(9, []byte{9}), option(0, nil))
	for _, s := range b.segments {
		frame, err := b.frame(s)
		if err != nil {
			return nil, err
		}
		at := uint64(b.start.Add(s.at).UnixNano())
		parts := [][]byte{le32(0, uint32(at>>32), uint32(at), uint32(len(frame)), uint32(len(frame))), padded(frame)}
		if b.host.IsValid() {
			direction := uint32(1) // epb_flags: 1 inbound, 2 outbound
			if s.src.Addr() == b.host {
				direction = 2
			}
			parts = append(parts, option(2, le32(direction)), option(0, nil))
		}
		block(&out, 6, parts...)
	}
	if !b.host.IsValid() {
		return out.Bytes(), nil
	}
	received := binary.LittleEndian.AppendUint64(nil, uint64(len(b.segments)))
	dropped := binary.LittleEndian.AppendUint64(nil, b.drops)
	block(&out, 5, le32(0, 0, 0), option(4, received), option(5, dropped), option(0, nil))
	return out.Bytes(), nil
}

// frame encodes one segment.
func (b *builder) frame(s segment) ([]byte, error) {
	way, back := s.src.String()+">"+s.dst.String(), s.dst.String()+">"+s.src.String()
	const isn = 1000
	seq, ok := b.sent[way]
	if !ok || strings.Contains(s.flags, "S") {
		seq = isn // also of a SYN that is sent again: its number makes it a repetition
	}
	has := func(flag string) bool { return strings.Contains(s.flags, flag) }
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(s.src.Port()), DstPort: layers.TCPPort(s.dst.Port()), Seq: seq, Window: 64000,
		SYN: has("S"), ACK: has("A"), FIN: has("F"), RST: has("R"), PSH: has("P"),
	}
	if tcp.ACK {
		tcp.Ack = b.sent[back]
	}
	if s.stamps != nil {
		tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: s.stamps}}
	}
	next := seq + uint32(s.payload)
	if tcp.SYN || tcp.FIN {
		next++
	}
	b.sent[way] = max(b.sent[way], next)
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: s.src.Addr().AsSlice(), DstIP: s.dst.Addr().AsSlice()}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		eth, ip, tcp, gopacket.Payload(make([]byte, s.payload)))
	return buf.Bytes(), err
}

// block writes a pcapng block around its parts.
func block(out *bytes.Buffer, kind uint32, parts ...[]byte) {
	body := bytes.Join(parts, nil)
	length := uint32(12 + len(body))
	out.Write(le32(kind, length))
	out.Write(body)
	out.Write(le32(length))
}

func option(code uint16, value []byte) []byte {
	return append(le16(code, uint16(len(value))), padded(value)...)
}

func padded(b []byte) []byte { return append(bytes.Clone(b), make([]byte, -len(b)&3)...) }

func le16(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func le32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
