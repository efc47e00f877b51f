package flow

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/internal/pkt"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// FuzzTable feeds packets with arbitrary headers of one connection: nothing may panic, the counts
// must add up, and no flow may get lost.
func FuzzTable(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 0, 18, 0, 1, 0, 0, 0, 16, 1, 1, 0, 0, 0, 24, 1, 1, 9, 0, 0})
	// A hole, filled later, and reported twice; both sides open at once; a timeout with a wrapped number.
	f.Add([]byte{16, 0, 1, 1, 10, 0, 16, 0, 3, 1, 10, 0, 16, 0, 2, 1, 10, 1, 16, 5, 1, 4, 0, 1, 16, 5, 1, 4, 0, 2})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 2, 1, 9, 0, 0, 0, 18, 1, 9, 0, 0, 1, 18, 0, 0, 9, 0, 1, 2, 1, 9, 0, 0, 20})
	f.Add([]byte{16, 16, 1, 1, 10, 0, 16, 48, 2, 1, 10, 0, 16, 96, 4, 1, 10, 0, 16, 32, 3, 1, 10, 90})
	f.Add([]byte{16, 1, 1, 200, 1, 7, 16, 1, 5, 200, 1, 7, 16, 1, 3, 200, 200, 7, 17, 0, 9, 0, 90, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		ended := uint32(0)
		table := NewTable(func(fl *Flow) {
			ended += consistent(t, fl)
		}, Options{Events: func(*Event) {}})
		packets := uint32(0)
		for ; len(data) >= 6; data = data[6:] {
			p := fuzzed(data)
			table.Add(&p)
			packets++
		}
		table.Flush()
		if ended != packets {
			t.Fatalf("%d packets, %d in flows", packets, ended)
		}
	})
}

// fuzzed makes a packet of six bytes: flags, direction and options, sequence and acknowledgement
// numbers, payload and time. Numbers are small, so that they meet.
func fuzzed(b []byte) packet.Packet {
	p := packet.Packet{
		Kind: packet.TCP, Flags: packet.Flags(b[0]), HeaderLen: 20, SrcPort: 40000, DstPort: 80,
		Seq: uint32(int8(b[2])) * 10, Ack: uint32(int8(b[3])) * 10, Payload: uint32(b[4]),
		Window: uint16(b[3]) * uint16(b[1]>>7), Time: int64(int8(b[5])) * 50 * ms,
		IPID: uint16(b[1] >> 4), Src: packet.Addr{1}, Dst: packet.Addr{2},
	}
	if b[1]&1 != 0 {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	if b[1]&2 != 0 {
		p.Opts, p.TSval, p.TSecr = packet.OptTS, uint32(b[5]), uint32(b[4])
	}
	if b[1]&4 != 0 {
		p.NSACK = 2
		p.SACKs[0] = packet.SACK{Left: p.Ack + 10, Right: p.Ack + 30}
		p.SACKs[1] = packet.SACK{Left: p.Seq, Right: p.Ack + 50}
	}
	return p
}

// consistent fails on a flow whose numbers contradict each other, and gives its packets.
func consistent(t *testing.T, fl *Flow) (packets uint32) {
	row := fl.Row()
	for i := range fl.Dirs {
		d := &fl.Dirs[i]
		packets += d.Packets
		mechanisms := d.RetransmitsTimeout + d.RetransmitsFast + d.RetransmitsProbe + d.RetransmitsUnknown
		rtt := d.RTT()
		switch {
		case d.UniqueBytes > d.Bytes+uint64(d.Packets), d.Retransmits > d.Segments, d.Retransmits != mechanisms,
			d.Ambiguous+d.Reordered+d.CaptureDuplicates > d.Packets, d.ZeroWindowTime < 0, d.srtt < 0, d.trip.now < 0,
			rtt.Min > rtt.P50 || rtt.P50 > rtt.P99 || rtt.P99 > rtt.Max:
			t.Fatalf("%v: %+v", Side(i), row)
		}
	}
	return packets
}

// FuzzCapture takes files all the way: what a reader and the decoder make of them goes into a table.
func FuzzCapture(f *testing.F) {
	var traffic bytes.Buffer
	if _, err := pkt.Traffic(&traffic, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(traffic.Bytes())
	paths, _ := filepath.Glob("testdata/conversations/*.txt")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		packets := wantLine.ReplaceAll(text, nil)
		capture, err := cases.Pcapng(string(packets), time.Unix(1e9, 0))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(capture)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		src, err := packet.Open(packet.Input{Reader: bytes.NewReader(data)})
		if err != nil {
			return
		}
		defer src.Close()
		var ended, tcp uint64
		table := NewTable(func(fl *Flow) {
			ended += uint64(consistent(t, fl))
			row := fl.Row()
			if _, err := json.Marshal(&row); err != nil {
				t.Fatal(err)
			}
		}, Options{Events: func(*Event) {}})
		for {
			batch, err := src.Batch()
			if err != nil {
				break
			}
			for i := range batch {
				if batch[i].Kind == packet.TCP {
					tcp++
				}
			}
			table.AddBatch(batch)
		}
		table.Flush()
		if ended != tcp || table.Totals().TCPPackets != tcp {
			t.Fatalf("%d segments, %d in flows, %d in the totals", tcp, ended, table.Totals().TCPPackets)
		}
	})
}

// wantLine is what a conversation says beside its packets.
var wantLine = regexp.MustCompile(`(?m)^want .*$`)

// FuzzSchedules matches any waits: at least one schedule, the first of the set and no other answer than
// "none" without any.
func FuzzSchedules(f *testing.F) {
	f.Add(1.0, 2.0, 4.0, uint8(3), false)
	f.Add(2.78, 6.01, 12.0, uint8(2), false)
	f.Add(0.5, 0.5, 0.0, uint8(2), true)
	f.Fuzz(func(t *testing.T, a, b, c float64, n uint8, reset bool) {
		gaps := []float64{a, b, c}[:n%4]
		set := matchSchedules(gaps, reset)
		list := set.List()
		if len(list) == 0 || list[0] != set.first() || set.Has(ScheduleNone) != (len(gaps) == 0) || set.Names()[0] != list[0].String() {
			t.Fatalf("%v of %v", list, gaps)
		}
	})
}
