package evidence_test

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/taps"
)

// truth is what the forwarder between the two taps counted: segments that it was given each way, and those
// that it dropped; connection attempts of which it let no SYN pass.
type truth struct {
	There       uint64 `json:"there"`
	LostThere   uint64 `json:"lost_there"`
	Back        uint64 `json:"back"`
	LostBack    uint64 `json:"lost_back"`
	Attempts    uint64 `json:"attempts"`
	AttemptSYNs uint64 `json:"attempt_syns"`
}

// taken is one packet of a pcap file in ns.
type taken struct {
	time   int64
	length [2]uint32 // captured, on the wire
	data   []byte
}

// tcp gives what of a raw IPv4 packet the tests choose by.
func (p *taken) tcp() (dstPort uint16, takesSpace bool) {
	header := int(p.data[0]&15) * 4
	t := p.data[header:]
	payload := int(binary.BigEndian.Uint16(p.data[2:])) - header - int(t[12]>>4)*4
	return binary.BigEndian.Uint16(t[2:]), payload > 0 || t[13]&7 != 0
}

// place is one of the two captures.
type place struct {
	name    string
	head    []byte
	packets []taken
}

// load reads a capture of testdata/captures/two-places.
func load(t *testing.T, run, name string) *place {
	t.Helper()
	packed, err := os.ReadFile(captures.Ours(t, filepath.Join("two-places", run, name+".pcap.zst"))[0])
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	file, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{name: name, head: file[:24]}
	for rest := file[24:]; len(rest) > 0; {
		n := func(i int) uint32 { return binary.LittleEndian.Uint32(rest[4*i:]) }
		end := 16 + n(2)
		p.packets = append(p.packets, taken{int64(n(0))*1e9 + int64(n(1)), [2]uint32{n(2), n(3)}, rest[16:end]})
		rest = rest[end:]
	}
	return p
}

// shift moves a capture's clock.
func (p *place) shift(clock func(t int64) int64) *place {
	for i := range p.packets {
		p.packets[i].time = clock(p.packets[i].time)
	}
	return p
}

// without drops packets from a capture, as one that cannot keep up.
func (p *place) without(drop func(i int, p *taken) bool) *place {
	var kept []taken
	for i := range p.packets {
		if !drop(i, &p.packets[i]) {
			kept = append(kept, p.packets[i])
		}
	}
	p.packets = kept
	return p
}

// cut leaves so many bytes of each packet, as a snapshot length does.
func (p *place) cut(most uint32) *place {
	for i := range p.packets {
		pkt := &p.packets[i]
		pkt.length[0] = min(pkt.length[0], most)
		pkt.data = pkt.data[:pkt.length[0]]
	}
	return p
}

// write puts captures into files.
func write(t *testing.T, places ...*place) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range places {
		file := slices.Clone(p.head)
		for _, pkt := range p.packets {
			file = binary.LittleEndian.AppendUint32(file, uint32(pkt.time/1e9))
			file = binary.LittleEndian.AppendUint32(file, uint32(pkt.time%1e9))
			file = binary.LittleEndian.AppendUint32(file, pkt.length[0])
			file = binary.LittleEndian.AppendUint32(file, pkt.length[1])
			file = append(file, pkt.data...)
		}
		path := filepath.Join(dir, p.name+".pcap")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// read reads captures together.
func read(t *testing.T, places ...*place) *evidence.Evidence {
	t.Helper()
	e, err := evidence.Read(write(t, places...), evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// compared gives what was seen at several places.
func compared(t *testing.T, places ...*place) *evidence.Between {
	t.Helper()
	return read(t, places...).Packets.Between
}

// counted is what the analyzer says of both ways, there and back.
func counted(t *testing.T, b *evidence.Between) (there, back *taps.Way) {
	t.Helper()
	if len(b.Pairs) != 1 {
		t.Fatalf("%d pairs of places, want 1", len(b.Pairs))
	}
	there, back = &b.Pairs[0].Ways[0], &b.Pairs[0].Ways[1]
	if b.Places[there.From].Name == "server.pcap" {
		return back, there
	}
	return there, back
}

// exact compares with what the forwarder counted.
func exact(t *testing.T, run string, there, back *taps.Way) {
	t.Helper()
	text, err := os.ReadFile(captures.Ours(t, filepath.Join("two-places", run, "truth.json"))[0])
	if err != nil {
		t.Fatal(err)
	}
	var want truth
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := truth{there.Passed + there.Lost, there.Lost, back.Passed + back.Lost, back.Lost, there.Refused, there.SYNs}
	if got != want || there.Unseen+there.Extra+back.Unseen+back.Extra > 0 {
		t.Errorf("%s: counted %+v (unseen %d and %d, extra %d and %d), the forwarder %+v",
			run, got, there.Unseen, back.Unseen, there.Extra, back.Extra, want)
	}
}

// What a forwarder dropped between two taps is counted exactly, also behind a translation of addresses and
// ports, in either order of the inputs, and with one of them in two files.
func TestLostBetweenTwoPlaces(t *testing.T) {
	for _, run := range []string{"plain", "nat"} {
		there, back := counted(t, compared(t, load(t, run, "client"), load(t, run, "server")))
		exact(t, run, there, back)

		there, back = counted(t, compared(t, load(t, run, "server"), load(t, run, "client")))
		exact(t, run, there, back)
	}
	first, second := load(t, "plain", "client"), load(t, "plain", "client")
	half := len(first.packets) / 2
	first.packets, second.packets = first.packets[:half], second.packets[half:]
	second.name += "1" // as tcpdump -C calls it
	there, back := counted(t, compared(t, first, load(t, "plain", "server"), second))
	exact(t, "plain", there, back)
}

// Behind a firewall that gives connections other sequence numbers nothing is found again, and they are told of as the
// first input has them, not as two connections or as one of two numberings.
func TestRenumberedBetween(t *testing.T) {
	alone := read(t, load(t, "plain", "client")).Packets.Totals
	behind := load(t, "plain", "server")
	for i := range behind.packets {
		ip := behind.packets[i].data
		const protoTCP = 6
		if ip[9] != protoTCP {
			continue
		}
		tcp := ip[int(ip[0]&15)*4:]
		number := tcp[4:] // of what the clients send; the server acknowledges it
		client := binary.BigEndian.Uint16(tcp)
		if client == 443 {
			number, client = tcp[8:], binary.BigEndian.Uint16(tcp[2:])
		}
		binary.BigEndian.PutUint32(number, binary.BigEndian.Uint32(number)+uint32(client)*0x9e3779b1)
	}
	p := read(t, load(t, "plain", "client"), behind).Packets
	if b := p.Between; b.Renumbered != 12 || len(b.Pairs) > 0 {
		t.Errorf("%d connections renumbered and %d pairs of places, want 12 and none", b.Renumbered, len(b.Pairs))
	}
	if got := p.Totals; got.Flows != alone.Flows || !maps.Equal(got.Retransmitted, alone.Retransmitted) {
		t.Errorf("%d connections and %v segments sent again, want %d and %v as in the first alone", got.Flows, got.Retransmitted, alone.Flows, alone.Retransmitted)
	}
}

// Two places in one file, as dumpcap -i lan -i wan or mergecap -I none write it, are two places from the first packet
// on; without names they are told apart by number.
func TestTwoPlacesInOneFile(t *testing.T) {
	block := func(kind uint32, body []byte) []byte {
		length := uint32(12 + len(body))
		b := binary.LittleEndian.AppendUint32(nil, kind)
		b = append(binary.LittleEndian.AppendUint32(b, length), body...)
		return binary.LittleEndian.AppendUint32(b, length)
	}
	le := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	const rawIPv4, nanoseconds = 228, 9
	file := block(0x0a0d0d0a, le(0x1a2b3c4d, 1, 0xffffffff, 0xffffffff))
	type at struct {
		taken
		iface uint32
	}
	var all []at
	for i, name := range []string{"client", "server"} {
		file = append(file, block(1, append(le(rawIPv4, 96, 9|1<<16, nanoseconds), le(0)...))...)
		for _, p := range load(t, "plain", name).packets {
			all = append(all, at{p, uint32(i)})
		}
	}
	slices.SortStableFunc(all, func(a, b at) int { return cmp.Compare(a.time, b.time) })
	for _, p := range all {
		body := append(le(p.iface, uint32(p.time>>32), uint32(p.time), p.length[0], p.length[1]), p.data...)
		file = append(file, block(6, append(body, make([]byte, -len(body)&3)...))...)
	}
	path := filepath.Join(t.TempDir(), "both.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := evidence.Read([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := e.Packets.Between
	if len(b.Pairs) != 1 || b.Places[0].Name != "interface 0" || b.Places[1].Name != "interface 1" {
		t.Fatalf("%d pairs of %v, want one of interfaces 0 and 1", len(b.Pairs), b.Places)
	}
	exact(t, "plain", &b.Pairs[0].Ways[0], &b.Pairs[0].Ways[1])
}

// Where one capture holds no more of a packet than 40 bytes, none of them a timestamp, and the other all of its headers,
// the same is counted; so it is where both do, and timestamps were never asked for.
func TestCutHeadersBetween(t *testing.T) {
	for _, run := range []string{"plain", "nat"} {
		for _, cut := range [][2]uint32{{40, 96}, {96, 48}, {40, 40}} {
			there, back := counted(t, compared(t, load(t, run, "client").cut(cut[0]), load(t, run, "server").cut(cut[1])))
			exact(t, run, there, back)
			whole, wholeBack := counted(t, compared(t, load(t, run, "client"), load(t, run, "server")))
			for i, held := range []taps.Histogram{there.Delay, back.Delay} { // a SYN-ACK sent again is not one that was held up
				want := []taps.Histogram{whole.Delay, wholeBack.Delay}[i]
				if got, want := held.Max-held.Min, want.Max-want.Min; got != want {
					t.Errorf("%s cut to %d: held up at most %d ns, want %d", run, cut, got, want)
				}
			}
		}
	}
}

// The offset of a clock, and its drift, are found to within the error that is told; what was lost does not
// depend on them.
func TestClocksOfTwoPlaces(t *testing.T) {
	for _, run := range []string{"plain", "nat"} {
		right := compared(t, load(t, run, "client"), load(t, run, "server")).Clocks[1]
		begin := load(t, run, "server").packets[0].time
		for _, tt := range []struct {
			ahead time.Duration
			drift float64
		}{
			{3200 * time.Microsecond, 0}, {-2 * time.Second, 0}, {45 * time.Minute, 0}, {-400 * time.Hour, 0},
			{0, 80e-6}, {time.Second, -300e-6}, {3 * time.Hour, 1000e-6},
		} {
			moved := load(t, run, "server").shift(func(at int64) int64 {
				return at + int64(tt.ahead) + int64(tt.drift*float64(at-begin))
			})
			lasted := float64(moved.packets[len(moved.packets)-1].time - moved.packets[0].time)
			b := compared(t, load(t, run, "client"), moved)
			there, back := counted(t, b)
			exact(t, run, there, back)
			c := b.Clocks[1]
			// Half of the round trip cannot be told from an offset, in either comparison; where there is no
			// drift, both have it alike.
			gained := tt.drift * lasted
			off := float64(c.Ahead-right.Ahead-int64(tt.ahead)) - gained/2
			most := 100e3 + float64(max(gained, -gained))/10
			if off > most || off < -most {
				t.Errorf("%s: moved by %v and %g, and found %v ahead, was %v ahead ± %v", run, tt.ahead, tt.drift,
					time.Duration(c.Ahead), time.Duration(right.Ahead), time.Duration(right.Error))
			}
			if d := float64(c.Drift) - gained; d > 500e3 || d < -500e3 {
				t.Errorf("%s: drifts by %v, and found %v", run, time.Duration(gained), time.Duration(c.Drift))
			}
			if c.Uneven || c.OneWay {
				t.Errorf("%s: moved by %v and %g: uneven %v, one way %v", run, tt.ahead, tt.drift, c.Uneven, c.OneWay)
			}
		}
	}
}

// A clock that is set within the window is told, and what was lost is counted all the same.
func TestClockSetBetween(t *testing.T) {
	server := load(t, "plain", "server")
	middle := server.packets[len(server.packets)/2].time
	server.shift(func(at int64) int64 {
		if at > middle {
			at += 1e9
		}
		return at
	})
	b := compared(t, load(t, "plain", "client"), server)
	if c := b.Clocks[1]; c.Uneven || c.Step < 1e9-20e6 || c.Step > 1e9+20e6 {
		t.Errorf("clock %+v, want set by 1 s", c)
	}
	there, back := counted(t, b)
	exact(t, "plain", there, back)
}

// What a capture loses itself is not taken for lost between the two: the receiver acknowledges it.
func TestCaptureLosesBetween(t *testing.T) {
	missed := uint64(0)
	server := load(t, "plain", "server").without(func(i int, p *taken) bool {
		port, takes := p.tcp()
		if i%9 != 4 || port != 443 || !takes {
			return false
		}
		missed++
		return true
	})
	whole, _ := counted(t, compared(t, load(t, "plain", "client"), load(t, "plain", "server")))
	there, _ := counted(t, compared(t, load(t, "plain", "client"), server))
	// One that was lost, and whose repetition was missed, looks as if it were missed itself; and of a repetition
	// that is missed nobody knows whether it got there, as its original may have.
	if d := int64(there.Lost) - int64(whole.Lost); d < -3 || d > 3 || there.Lost+there.Unseen != whole.Lost+missed {
		t.Errorf("%d lost and %d unseen, want %d and %d", there.Lost, there.Unseen, whole.Lost, missed)
	}
}

// One way alone tells nothing of the clocks.
func TestOneWayBetween(t *testing.T) {
	there := func(_ int, p *taken) bool {
		port, _ := p.tcp()
		return port != 443
	}
	b := compared(t, load(t, "plain", "client").without(there), load(t, "plain", "server").without(there))
	if !b.Clocks[1].OneWay {
		t.Errorf("clock %+v, want one way", b.Clocks[1])
	}
	way, back := counted(t, b)
	whole, _ := counted(t, compared(t, load(t, "plain", "client"), load(t, "plain", "server")))
	if way.Lost != whole.Lost || way.Passed != whole.Passed || back.Passed+back.Lost > 0 {
		t.Errorf("%d lost of %d, and %d back, want %d of %d", way.Lost, way.Passed, back.Passed, whole.Lost, whole.Passed)
	}
}

// Inputs of the same time without a packet in common are told of; those of other times follow each other.
func TestStrangersBetween(t *testing.T) {
	client := load(t, "plain", "client")
	later := client.packets[0].time - load(t, "nat", "server").packets[0].time
	b := compared(t, client, load(t, "nat", "server").shift(func(at int64) int64 { return at + later }))
	if one, other, ok := b.Strangers(); !ok || one.Name != "client.pcap" || other.Name != "server.pcap" || len(b.Pairs) > 0 {
		t.Errorf("strangers %v %v %v, and %d pairs", one, other, ok, len(b.Pairs))
	}
	b = compared(t, client, load(t, "nat", "server").shift(func(at int64) int64 { return at + later + 3600e9 }))
	if one, other, ok := b.Strangers(); ok {
		t.Errorf("strangers %v %v of another time", one, other)
	}
}

// Of what each end's input hook drops, behind both taps, nothing is lost between them.
func TestNothingLostBetween(t *testing.T) {
	for _, order := range [][2]string{{"client", "server"}, {"server", "client"}} {
		var paths []string
		for _, end := range order {
			paths = append(paths, captures.Ours(t, "linux-6.18/lossy-http-"+end+".pcap.gz")...)
		}
		e, err := evidence.Read(paths, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range e.Packets.Between.Pairs {
			for _, w := range p.Ways {
				if w.Lost+w.Unseen+w.Extra+w.Silent > 0 || w.Passed < 100 {
					t.Errorf("%d passed, %d lost, %d unseen, %d extra, %d silent", w.Passed, w.Lost, w.Unseen, w.Extra, w.Silent)
				}
			}
		}
	}
}

// A router's translated connections pass two of its interfaces, and are one each; what its packet filter
// dropped between them is counted, and their service is one that it forwards.
func TestTranslatedWithinAHost(t *testing.T) {
	e, err := evidence.Read(captures.Ours(t, "two-places/router/packets.pcapng.zst"), evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(captures.Ours(t, "two-places/router/truth.json")[0])
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Lost        uint64 `json:"lost_there"`
		Connections uint64 `json:"connections"`
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	b := e.Packets.Between
	if e.Packets.Totals.Flows != want.Connections || len(b.Pairs) != 1 || b.Pairs[0].Conns != want.Connections {
		t.Fatalf("%d flows and %d pairs, want %d connections of one pair", e.Packets.Totals.Flows, len(b.Pairs), want.Connections)
	}
	for _, w := range b.Pairs[0].Ways {
		lost := uint64(0)
		if b.Places[w.From].Name == "wan" {
			lost = want.Lost
		}
		if w.Lost != lost || w.Unseen+w.Extra+w.Silent > 0 {
			t.Errorf("%s to %s lost %d, unseen %d, extra %d, silent %d, want %d lost", b.Places[w.From].Name, b.Places[w.To].Name, w.Lost, w.Unseen, w.Extra, w.Silent, lost)
		}
	}
	service, server := netip.MustParseAddrPort("198.51.100.1:443"), netip.MustParseAddrPort("10.2.0.2:8443")
	if list := b.Pairs[0].Translated; len(list) != 1 || list[0] != (taps.Translation{A: service, B: server}) && list[0] != (taps.Translation{A: server, B: service}) {
		t.Errorf("translated %v, want %v to %v", list, service, server)
	}
}
