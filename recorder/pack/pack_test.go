package pack

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"
)

// packed packs records in one block, unpacks it, and wants them back.
func packed(t *testing.T, link Link, records []Record) (bytesEach float64) {
	t.Helper()
	p := NewPacker(link)
	for i := range records {
		p.Add(&records[i])
	}
	u := NewUnpacker(link, p.Bytes())
	var got Record
	for i := range records {
		want := &records[i]
		if ok, err := u.Next(&got); !ok || err != nil {
			t.Fatalf("packet %d of %d: %v, %v", i, len(records), ok, err)
		}
		if got.Time != want.Time || got.Wire != want.Wire || got.Kind != want.Kind || got.VLAN != want.VLAN || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("packet %d is\n%+v, was\n%+v", i, got, *want)
		}
	}
	if ok, err := u.Next(&got); ok || err != nil {
		t.Fatalf("behind the last: %v, %v", ok, err)
	}
	return float64(len(p.Bytes())) / float64(max(1, len(records)))
}

// FuzzRoundTrip cuts its input into packets, most of them variations of the one before: what is near to a
// prediction is where a packer errs.
func FuzzRoundTrip(f *testing.F) {
	f.Add(frame(false, 443, 5, 7, 0x10, 100, 1, 2), uint64(1))
	f.Add(frame(true, 443, 5, 7, 0x10, 100, 1, 2), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		link := Link(seed % 2)
		var records []Record
		at := int64(seed)
		for range 1 + rnd.IntN(50) {
			b := bytes.Clone(data)
			for range rnd.IntN(4) {
				if len(b) > 0 {
					b[rnd.IntN(len(b))] = byte(rnd.Uint32())
				}
			}
			if rnd.IntN(8) == 0 {
				b = b[:rnd.IntN(len(b)+1)]
			}
			at += int64(rnd.IntN(1000)) - 100
			records = append(records, Record{at, uint32(rnd.IntN(1 << rnd.IntN(20))), byte(rnd.IntN(5)), uint32(rnd.IntN(2)) * 0x81000007, b})
			if rnd.IntN(3) == 0 && len(b) > 0 {
				data = b
			}
		}
		packed(t, link, records)
	})
}

// frame is an Ethernet frame of a TCP segment with timestamps, of which only headers were captured.
func frame(v6 bool, port uint16, seq, ack uint32, flags byte, payload int, tsval, tsecr uint32) []byte {
	b := make([]byte, 14, longest)
	tcp := binary.BigEndian.AppendUint16(nil, port)
	tcp = binary.BigEndian.AppendUint16(tcp, 50000)
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(tcp, 8<<4, flags, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10)
	tcp = binary.BigEndian.AppendUint32(tcp, tsval)
	tcp = binary.BigEndian.AppendUint32(tcp, tsecr)
	if v6 {
		b[12], b[13] = 0x86, 0xdd
		b = append(b, 0x60, 0, 0, 0, 0, byte(len(tcp)+payload), protoTCP, 64)
		return append(append(b, make([]byte, 32)...), tcp...)
	}
	b[12] = 8
	b = append(b, 0x45, 0, 0, byte(20+len(tcp)+payload), 0, 1, 0x40, 0, 64, protoTCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	binary.BigEndian.PutUint16(b[24:], ipChecksum(b[14:34]))
	return append(b, tcp...)
}

// FuzzUnpack reads what no packer made.
func FuzzUnpack(f *testing.F) {
	p := NewPacker(Ethernet)
	r := Record{Data: frame(false, 443, 5, 7, 0x10, 100, 1, 2)}
	p.Add(&r)
	p.Add(&r)
	f.Add(p.Bytes())
	f.Fuzz(func(t *testing.T, block []byte) {
		u := NewUnpacker(Ethernet, block)
		for {
			if ok, err := u.Next(&r); !ok || err != nil {
				return
			}
		}
	})
}

// captured reads the packets of a capture as the ring would have kept them: without what is behind TCP's
// and UDP's headers.
func captured(t testing.TB, path string) (records []Record) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	r, err := pcapgo.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := 14; n <= len(data); n++ { // the shortest that is all headers
			if _, ok := parse(data[:n], Ethernet); ok {
				data = data[:n]
				break
			}
		}
		records = append(records, Record{Time: ci.Timestamp.UnixNano(), Wire: uint32(ci.Length), Data: data})
	}
}

// Every packet of every capture comes back as it was.
func TestCaptures(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/captures/linux-6.18/*.pcap*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d captures, %v", len(paths), err)
	}
	for _, path := range paths {
		records := captured(t, path)
		t.Logf("%s: %d packets, %.1f bytes each", filepath.Base(path), len(records), packed(t, Ethernet, records))
	}
}

// BenchmarkPack is the cost a packet of real traffic, in blocks of as many packets as a ring's block holds.
func BenchmarkPack(b *testing.B) {
	path := os.Getenv("SPIKEBOX_BENCH_PCAP")
	if path == "" {
		path = "../../testdata/captures/linux-6.18/lossy-http-server.pcap.gz"
	}
	records := captured(b, path)
	const block = 1 << 20 / 152
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		b.Fatal(err)
	}
	for _, squeezed := range []bool{false, true} {
		b.Run(map[bool]string{false: "deltas", true: "zstd"}[squeezed], func(b *testing.B) {
			p, n, size, out := NewPacker(Ethernet), 0, 0, []byte(nil)
			for b.Loop() {
				for i := range records {
					p.Add(&records[i])
					if n++; n%block == 0 || i == len(records)-1 {
						if squeezed {
							out = enc.EncodeAll(p.Bytes(), out[:0])
							size += len(out)
						} else {
							size += len(p.Bytes())
						}
						p.Begin()
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			b.ReportMetric(float64(size)/float64(n), "B/packet")
		})
	}
}

// The connections of many clients to one server begin like each other: what their first packets cost is what
// nobody can predict, the addresses, ports, sequence numbers and timestamps.
func TestConnectionsBeginLikeOthers(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		rnd := rand.New(rand.NewPCG(7, 7))
		var records []Record
		add := func(out bool, b []byte) {
			records = append(records, Record{Time: int64(len(records)) * 1000, Wire: uint32(len(b)), Kind: map[bool]uint8{true: 4}[out], Data: b})
		}
		for n := range 300 {
			client, port := byte(rnd.IntN(200)), uint16(32768+n)
			mine, theirs, clock := rnd.Uint32(), rnd.Uint32(), rnd.Uint32()
			mss := []byte{2, 4, 5, 0xb4, 4, 2}
			add(false, segment(v6, client, port, true, mine, 0, 2, mss, clock, 0))
			add(true, segment(v6, client, port, false, theirs, mine+1, 0x12, mss, ^clock, clock))
			for range 3 {
				add(false, segment(v6, client, port, true, mine+1, theirs+1, 0x10, []byte{1, 1}, clock, ^clock))
				add(true, segment(v6, client, port, false, theirs+1, mine+1, 0x10, []byte{1, 1}, ^clock, clock))
			}
		}
		if each := packed(t, Ethernet, records); each > 16 { // twice that, were they kept whole
			t.Errorf("IPv6 %v: %.1f bytes a packet", v6, each)
		}
	}
}

// segment is one between a client and port 443 of a server, its timestamps behind other options.
func segment(v6 bool, client byte, port uint16, asks bool, seq, ack uint32, flags byte, options []byte, tsval, tsecr uint32) []byte {
	from, to, peer, server := port, uint16(443), client, byte(1)
	if !asks {
		from, to, peer, server = to, from, server, peer
	}
	options = append(bytes.Clone(options), 8, 10)
	options = binary.BigEndian.AppendUint32(options, tsval)
	options = binary.BigEndian.AppendUint32(options, tsecr)
	options = append(options, make([]byte, -len(options)&3)...)
	tcp := binary.BigEndian.AppendUint16(nil, from)
	tcp = binary.BigEndian.AppendUint16(tcp, to)
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(append(tcp, byte(20+len(options))<<2, flags, 0xfa, 0xf0, 0, 0, 0, 0), options...)
	b := make([]byte, 14, longest)
	if v6 {
		b[12], b[13] = 0x86, 0xdd
		b = append(b, 0x60, byte(port>>8)&15, byte(port*31), client, 0, byte(len(tcp)), protoTCP, 64) // a flow label of its own
		b = append(append(b, make([]byte, 15)...), peer)
		b = append(append(b, make([]byte, 15)...), server)
		return append(b, tcp...)
	}
	b[12] = 8
	b = append(b, 0x45, 0, 0, byte(20+len(tcp)), 0, 0, 0x40, 0, 64, protoTCP, 0, 0, 10, 0, 0, peer, 10, 0, 0, server)
	binary.BigEndian.PutUint16(b[24:], ipChecksum(b[14:34]))
	return append(b, tcp...)
}
