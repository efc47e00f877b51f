package ticks

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/packet"
)

const second = int64(1e9)

// sums are what flows say by themselves, by the names of the series.
type sums map[string]float64

// add adds to a sum; what never happened has none.
func (s sums) add(name string, n uint64) {
	if n > 0 {
		s[Prefix+name] += float64(n)
	}
}

// flow adds what a flow that has ended has counted.
func (s sums) flow(f *flow.Flow) {
	h := &f.Handshake
	s.add("syn", uint64(min(1, len(h.SYNs))))
	s.add("syn.repeated", uint64(h.SYNRetransmits))
	s.add("syn.answered", uint64(min(1, len(h.SYNACKs))))
	s.add("synack.repeated", uint64(h.SYNACKRetransmits))
	if h.Completed {
		s.add("connected", 1)
	}
	for i, side := range []string{"client.", "server."} {
		d := &f.Dirs[i]
		s.add(side+"retrans.timeout", uint64(d.RetransmitsTimeout))
		s.add(side+"retrans.fast", uint64(d.RetransmitsFast))
		s.add(side+"retrans.probe", uint64(d.RetransmitsProbe))
		s.add(side+"retrans.unknown", uint64(d.RetransmitsUnknown))
		s.add(side+"zero_windows", uint64(d.ZeroWindows))
		s.add(side+"resets", uint64(d.Resets))
		s.add(side+"bytes", d.Bytes)
		for _, end := range []netip.Addr{f.Client.Addr(), f.Server.Addr()} {
			s.add("peer."+end.String()+".bytes", d.Bytes)
			s.add("peer."+end.String()+".retrans", uint64(d.Retransmits))
		}
	}
}

// count reads a capture whose times are stretched, into ticks, and calls each for every flow.
func count(t *testing.T, path string, stretch int64, counts *Ticks, each func(*flow.Flow)) (first, last int64) {
	t.Helper()
	src, err := packet.OpenFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	table := flow.NewTable(func(f *flow.Flow) { counts.Flow(f); each(f) }, flow.Options{Events: counts.Event, Beat: counts.Beat})
	for {
		batch, err := src.Batch()
		if err != nil {
			break
		}
		for i := range batch {
			if first == 0 {
				first = batch[i].Time
				counts.Begin(first)
			}
			batch[i].Time = first + (batch[i].Time-first)*stretch
			last = max(last, batch[i].Time)
		}
		table.AddBatch(batch)
	}
	table.Flush()
	return first, last
}

// nobody's sockets are known.
func nobody(netip.AddrPort, bool) string { return "" }

// Whatever the ticks are, and however often they became longer, all of them together are what the flows count.
func TestTicksAddUp(t *testing.T) {
	for _, path := range captures.Ours(t, "linux-6.18/*.pcap*") {
		for _, stretch := range []int64{1, 40, 3000} {
			t.Run(fmt.Sprintf("%s times %d", filepath.Base(path), stretch), func(t *testing.T) {
				want, counts := sums{}, New(nil, 0, 0, nil, false)
				first, last := count(t, path, stretch, counts, want.flow)
				var c column.Columns
				counts.Columns(&c, "packets", first-1, last, nobody)
				if n := len(counts.clock.ends); n > most || counts.clock.start >= first || counts.clock.ends[n-1] < last {
					t.Errorf("%d ticks from %d to %d for packets from %d to %d", n, counts.clock.start, counts.clock.ends[n-1], first, last)
				}
				got := sums{}
				for _, col := range c.All() {
					if col.Kind == column.Events && !strings.HasSuffix(col.Name, ".spurious") {
						for _, v := range col.V[1:] { // the first reading is the begin
							got[col.Name] += v
						}
					}
				}
				for name := range want { // of many peers only some have series
					if _, told := got[name]; !told && strings.HasPrefix(name, Prefix+"peer.") {
						delete(want, name)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("flows say -, ticks say +:\n%s", diff)
				}
			})
		}
	}
}

// Each packet is in one tick: the one that ends with it or later, and begins before it.
func TestClock(t *testing.T) {
	regular := func(n int, step int64) (all []int64) {
		for i := range n {
			all = append(all, int64(i+1)*step)
		}
		return all
	}
	for name, c := range map[string]clock{
		"four a second":        recorderClock(regular(160, usual), 1, 40*second),
		"late, and a gap":      recorderClock([]int64{2 * second, 2*second + usual, 9 * second, 9*second + usual + 1}, second, 10*second),
		"ten minutes":          recorderClock(regular(2400, usual), 0, 600*second),
		"none":                 recorderClock(nil, 0, 3*second),
		"beyond the window":    recorderClock(regular(160, usual), 10*second, 20*second),
		"in another order":     recorderClock([]int64{3 * second, second, 2 * second, 4 * second}, 0, 5*second),
		"a year, as one tells": recorderClock(nil, 0, 365*24*3600*second),
	} {
		if len(c.ends) > most || c.ends[len(c.ends)-1] < 3*second {
			t.Errorf("%s: %d ticks until %d", name, len(c.ends), c.ends[len(c.ends)-1])
		}
		for i, end := range c.ends {
			if end <= c.begin(i) {
				t.Fatalf("%s: tick %d is from %d to %d", name, i, c.begin(i), end)
			}
			for _, at := range []int64{c.begin(i) + 1, end} {
				c.last = (i * 7) % len(c.ends) // whatever was asked for before
				if got, ok := c.find(at); !ok || got != i {
					t.Fatalf("%s: %d lies in tick %d (%v), want %d", name, at, got, ok, i)
				}
			}
		}
		for _, at := range []int64{c.start, c.start - 1, c.ends[len(c.ends)-1] + 1} {
			if _, ok := c.find(at); ok {
				t.Errorf("%s: %d is outside, and lies in a tick", name, at)
			}
		}
	}
}

// A host's addresses tell ways and senders; what the ring did not hold is a gap, not zero.
func TestWaysAndGaps(t *testing.T) {
	path := captures.Ours(t, "linux-6.18/lossy-http-server.pcap.gz")[0]
	own := map[netip.Addr]bool{}
	first, last := count(t, path, 1, New(nil, 0, 0, nil, false), func(f *flow.Flow) { own[f.Server.Addr()] = true })
	begin := first - 5*second
	var times []int64
	for at := begin; at <= last; at += usual {
		times = append(times, at)
	}
	counts := New(times, begin, last, own, true)
	sent := uint64(0)
	count(t, path, 1, counts, func(f *flow.Flow) { sent += f.S2C().Bytes })
	var c column.Columns
	counts.Columns(&c, "packets.pcapng", first, last, func(s netip.AddrPort, offered bool) string { return fmt.Sprint("web:", s.Port(), offered) })
	axis := c.Times("packets.pcapng")
	if axis[0] < first || axis[0] > first+2*usual {
		t.Errorf("the first reading is %d ns after the first packet", axis[0]-first)
	}
	names := map[string]bool{}
	for _, col := range c.All() {
		names[col.Name] = true
		if col.Name == "packets.sent.bytes" {
			n := 0.0
			for _, v := range col.V[1:] {
				n += v
			}
			// What lies before the first whole tick is left out.
			if n > float64(sent) || n < 0.9*float64(sent) {
				t.Errorf("sent %v bytes of %d", n, sent)
			}
		}
	}
	for _, name := range []string{"packets.inbound.syn", "packets.inbound.connect.p99", "packets.inbound.think.max", "packets.sent.retrans.fast", "packets.rtt.over.p50"} {
		if !names[name] {
			t.Errorf("no %s among %v", name, names)
		}
	}
	for name := range names {
		if strings.Contains(name, "outbound") || strings.Contains(name, "client") || strings.HasPrefix(name, "packets.forwarded") {
			t.Errorf("%s in what a server has recorded", name)
		}
	}
}
