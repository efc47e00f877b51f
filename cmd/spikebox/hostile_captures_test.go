//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// captureBombs are captures, compressed where they repeat themselves.
var captureBombs = []bomb{
	packets("flows-of-one-packet", func(p *packetBomb, i uint32) { p.segment(i, 1, i, 0, tcpACK, 100) }),
	packets("syn-flood", func(p *packetBomb, i uint32) { p.segment(i*2654435761, 1, 7, 0, tcpSYN, 0) }),
	packets("syns-again-at-many-servers", func(p *packetBomb, i uint32) {
		p.time = uint64(i%4) * 1_000_000
		p.segment(i/4%50, i/4/50, 7, 0, tcpSYN, 0)
	}),
	packets("retransmissions-of-many-senders", func(p *packetBomb, i uint32) { p.segment(i/2, 1, 7, 1, tcpACK, 100) }),
	packets("holes", func(p *packetBomb, i uint32) { p.segment(1, 1, i*1000, 0, tcpACK, 100) }),
	packets("holes-in-many-flows", func(p *packetBomb, i uint32) { p.segment(i%20_000, 1, i/20_000*1000, 0, tcpACK, 100) }),
	packets("split-segments", func(p *packetBomb, i uint32) {
		if n := i % 60_000; n == 0 {
			p.segment(i/60_000, 1, 1, 0, tcpACK, 60_000)
		} else {
			p.segment(i/60_000, 1, n*7919%60_000, 0, tcpACK, 1)
		}
	}),
	packets("sacks", func(p *packetBomb, i uint32) {
		if i%2 == 0 {
			p.segment(1, 1, i*1000, 0, tcpACK, 100)
			return
		}
		p.options = []byte{1, 1, 5, 34}
		for n := range uint32(4) {
			p.options = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(p.options, (i-n)*1000), (i-n)*1000+50)
		}
		p.answer(1, 1, 0, i, tcpACK)
		p.options = nil
	}),
	packets("round-trips-of-centuries", func(p *packetBomb, i uint32) {
		p.time = uint64(1<<31-i) * 1_000_000
		if i%2 == 0 {
			p.segment(1, 1, i*50, 0, tcpACK, 100)
		} else {
			p.answer(1, 1, 0, i*50+50, tcpACK)
		}
	}),
	packets("fins", func(p *packetBomb, i uint32) { p.segment(i%10_000, 1, i, 0, tcpACK|tcpFIN, 1) }),
	packets("options", func(p *packetBomb, i uint32) {
		p.options = bytes.Repeat([]byte{byte(i), 2}, 20)
		p.segment(1, 1, i, 0, tcpACK, 1)
	}),
	packets("tunnels", func(p *packetBomb, i uint32) {
		gre := []byte{0, 0, 0x08, 0x00}
		frame := append(bytes.Repeat([]byte{0}, 12), 0x08, 0x00)
		for range 30 {
			frame = append(append(frame, ipv4(47, 1, 1, 1000)...), gre...)
		}
		p.record(frame)
	}),
	packets("datagrams", func(p *packetBomb, i uint32) { p.time++; p.datagram(i, 1, uint16(i), 514) }),
	packets("datagrams-to-many", func(p *packetBomb, i uint32) { p.time++; p.datagram(1, i, uint16(i), 514) }),
	packets("datagrams-and-answers", func(p *packetBomb, i uint32) {
		if p.time += 100_000; i%3 < 2 {
			p.datagram(i%100_000, 1, 4000, 514)
		} else {
			p.datagram(1, i%100_000, 514, 4000)
		}
	}),
	packets("questions-for-names", func(p *packetBomb, i uint32) { p.time += 50; p.datagram(i%2000, i%100, uint16(i), 53) }),
	packets("pings", func(p *packetBomb, i uint32) { p.time++; p.icmp(i, 1, 8, i) }),
	packets("errors-of-icmp", func(p *packetBomb, i uint32) { p.time++; p.icmp(i, i, 3, i) }),
	packets("fragments", func(p *packetBomb, i uint32) { p.time++; p.fragment(i, 1, uint16(i)) }),
	packets("claims", func(p *packetBomb, i uint32) { p.time++; p.claim(i) }),
	packets("records-of-nothing", func(p *packetBomb, i uint32) { p.record(nil) }),
	blocks("interfaces", func(i int) []byte { return block(1, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }),
	blocks("interfaces-of-long-names", func(i int) []byte {
		name := binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0, 0, 0, 0, 0}, 2|0xfff0<<16)
		return block(1, append(name, make([]byte, 0xfff0)...))
	}),
	blocks("long-blocks", func(i int) []byte { return block(0xbad, make([]byte, 16<<20-16)) }),
	blocks("sections", func(i int) []byte {
		return append(section(), block(1, []byte{1, 0, 0, 0, 0, 0, 0, 0})...)
	}),
}

const (
	tcpFIN, tcpSYN, tcpACK = 1, 2, 16
)

// packetBomb writes packets to a classic capture.
type packetBomb struct {
	out     *bufio.Writer
	n       int64
	time    uint64 // µs
	options []byte
}

// packets is a compressed capture of packets, each written with its number. It unpacks to
// at least size bytes.
func packets(name string, put func(p *packetBomb, i uint32)) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		return compressed(t, filepath.Join(dir, name+".pcap.zst"), func(w io.Writer) error {
			p := &packetBomb{out: bufio.NewWriter(w)}
			head := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
			head = append(head, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0)
			p.out.Write(head)
			for i := uint32(0); p.n < size; i++ {
				put(p, i)
			}
			return p.out.Flush()
		})
	}}
}

// blocks is a compressed pcapng file of the same block again and again.
func blocks(name string, next func(i int) []byte) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		return compressed(t, filepath.Join(dir, name+".pcapng.zst"), func(w io.Writer) error {
			n, err := w.Write(section())
			for i := 0; int64(n) < size && err == nil; i++ {
				var more int
				more, err = w.Write(next(i))
				n += more
			}
			return err
		})
	}}
}

func compressed(t *testing.T, path string, write func(io.Writer) error) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A small window: the memory of this process counts as that of those it starts.
	enc, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(enc); err != nil {
		t.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// segment writes a TCP segment from a client to port 80 of a server, both named by numbers.
func (p *packetBomb) segment(client, server, seq, ack uint32, flags byte, payload uint16) {
	p.tcp(client, server, uint16(client>>8|1024), 80, seq, ack, flags, payload)
}

// answer writes one on the way back.
func (p *packetBomb) answer(client, server, seq, ack uint32, flags byte) {
	p.tcp(server, client, 80, uint16(client>>8|1024), seq, ack, flags, 0)
}

func (p *packetBomb) tcp(src, dst uint32, sport, dport uint16, seq, ack uint32, flags byte, payload uint16) {
	frame := ethernet(6, src, dst, uint16(40+len(p.options))+payload)
	frame = binary.BigEndian.AppendUint16(frame, sport)
	frame = binary.BigEndian.AppendUint16(frame, dport)
	frame = binary.BigEndian.AppendUint32(frame, seq)
	frame = binary.BigEndian.AppendUint32(frame, ack)
	frame = append(frame, byte(5+len(p.options)/4)<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	p.record(append(frame, p.options...))
}

// ipv4 is a header with addresses in 10.0.0.0/8 and 172.0.0.0/8.
func ipv4(proto byte, src, dst uint32, length uint16) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, length)
	b = append(b, 0, 0, 0, 0, 64, proto, 0, 0)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 10<<24|src&0xffffff), 172<<24|dst&0xffffff)
}

func (p *packetBomb) datagram(src, dst uint32, sport, dport uint16) {
	p.record(append(ethernet(17, src, dst, 36), byte(sport>>8), byte(sport), byte(dport>>8), byte(dport), 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))
}

// icmp writes an echo, or an error about a datagram.
func (p *packetBomb) icmp(src, dst uint32, kind byte, number uint32) {
	frame := append(ethernet(1, src, dst, 56), kind, 0, 0, 0, byte(number>>24), byte(number>>16), byte(number>>8), byte(number))
	p.record(append(append(frame, ipv4(17, dst, src, 28)...), byte(number>>8), byte(number), 2, 2, 0, 8, 0, 0))
}

// fragment writes a first one, that no other follows.
func (p *packetBomb) fragment(src, dst uint32, id uint16) {
	frame := ethernet(17, src, dst, 60)
	frame[14+4], frame[14+5], frame[14+6] = byte(id>>8), byte(id), 0x20
	p.record(append(frame, make([]byte, 40)...))
}

// claim writes a gratuitous ARP request.
func (p *packetBomb) claim(who uint32) {
	frame := append(bytes.Repeat([]byte{0xff}, 12), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	for range 2 {
		frame = append(frame, 2, 0, byte(who>>24), byte(who>>16), byte(who>>8), byte(who))
		frame = append(frame, 10, byte(who>>16), byte(who>>8), byte(who))
	}
	p.record(frame)
}

// ethernet is a header of it, and one of IPv4.
func ethernet(proto byte, src, dst uint32, length uint16) []byte {
	return append(append(bytes.Repeat([]byte{0}, 12), 0x08, 0x00), ipv4(proto, src, dst, length)...)
}

func (p *packetBomb) record(frame []byte) {
	b := binary.LittleEndian.AppendUint32(nil, uint32(p.time/1_000_000))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.time%1_000_000))
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(len(frame))), uint32(len(frame)))
	p.out.Write(b)
	n, _ := p.out.Write(frame)
	p.n += int64(n + len(b))
}

// block is a block of pcapng.
func block(kind uint32, body []byte) []byte {
	n := uint32(len(body) + 12)
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, kind), n)
	return binary.LittleEndian.AppendUint32(append(b, body...), n)
}

func section() []byte {
	return block(0x0a0d0d0a, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
}
