package flow

import (
	"fmt"
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/tcpsim"
)

// judgement is what the table said about one packet.
type judgement struct {
	kind  EventKind
	value int64
	by    Evidence
	never bool
}

// judged runs packets through a table and returns what it said of each frame, and the only flow.
func judged(t testing.TB, packets []tcpsim.Captured) (map[uint64]judgement, []Row, Totals) {
	t.Helper()
	said := map[uint64]judgement{}
	var rows []Row
	table := NewTable(func(f *Flow) { rows = append(rows, f.Row()) }, Options{Events: func(e *Event) {
		switch e.Kind {
		case EventRetransmit, EventReordered, EventAmbiguous, EventCaptureDuplicate:
			said[e.Frame] = judgement{e.Kind, e.Value, e.Evidence, e.Never}
		}
	}})
	for i := range packets {
		table.Add(&packets[i].Packet)
	}
	table.Flush()
	return said, rows, table.Totals()
}

// options are all combinations of what tells packets apart.
func options(f func(name string, stamps, sack, ids bool)) {
	for n := range 8 {
		stamps, sack, ids := n&1 != 0, n&2 != 0, n&4 != 0
		f(fmt.Sprintf("timestamps=%v,sack=%v,ipid=%v", stamps, sack, ids), stamps, sack, ids)
	}
}

// Where the tap is at the sender and misses nothing, every retransmission is counted and nothing
// else, whatever the network does behind the tap.
func TestSimulatedAtSender(t *testing.T) {
	options(func(name string, stamps, sack, ids bool) {
		t.Run(name, func(t *testing.T) {
			total := 0
			for seed := range uint64(40) {
				packets, n := tcpsim.Run(tcpsim.Config{
					Seed: seed, Segments: 300, Window: 5 + int(seed), ISN: uint32(seed)*1e9 - 5000,
					ToTap: 1000, FromTap: 20e6, Timestamps: stamps, SACK: sack, IPID: ids,
					LossAfter: 0.05, LossACK: 0.05,
				})
				total += n
				said, rows, totals := judged(t, packets)
				if got := rows[0].S2C.Retransmits; int(got) != n || totals.Ambiguous+totals.Reordered != 0 {
					t.Fatalf("seed %d: %d retransmissions, want %d; totals %+v", seed, got, n, totals)
				}
				for _, p := range packets {
					if (p.Label == tcpsim.Retransmission) != (said[p.Frame].kind == EventRetransmit) {
						t.Fatalf("seed %d: frame %d is %d, said %v", seed, p.Frame, p.Label, said[p.Frame])
					}
				}
			}
			if total < 500 {
				t.Errorf("only %d retransmissions were simulated", total)
			}
		})
	})
}

// Wherever the tap is, whatever is missing and whatever its clock does: what is called a
// retransmission or a copy is one, and no retransmission is passed over or called a reordered
// original that the headers tell from one.
func TestSimulatedNeverWrong(t *testing.T) {
	hard := tcpsim.Config{
		Segments: 300, ToTap: 8e6, FromTap: 12e6, LossBefore: 0.03, LossAfter: 0.03, LossACK: 0.03,
	}
	for name, change := range map[string]func(*tcpsim.Config){
		"loss before the tap": func(c *tcpsim.Config) {},
		"reordering":          func(c *tcpsim.Config) { c.Reorder, c.ReorderBy = 0.05, 5e6 },
		"capture copies":      func(c *tcpsim.Config) { c.CaptureCopy = 0.1 },
		"half is missing":     func(c *tcpsim.Config) { c.CaptureLoss = 0.5 },
		"some is missing":     func(c *tcpsim.Config) { c.CaptureLoss = 0.05 },
		"clock steps":         func(c *tcpsim.Config) { c.ClockStep = 0.01 },
	} {
		t.Run(name, func(t *testing.T) {
			options(func(options string, stamps, sack, ids bool) {
				var sum tally
				for seed := range uint64(60) {
					c := hard
					c.Seed, c.Window, c.ISN = seed, 5+int(seed), uint32(seed)*1e9-5000
					c.Timestamps, c.SACK, c.IPID = stamps, sack, ids
					change(&c)
					packets, _ := tcpsim.Run(c)
					said, _, _ := judged(t, packets)
					sum.add(packets, said)
				}
				sum.check(t, options, stamps || ids)
			})
		})
	}
}

// A duplicate that the network made has the identification of the first: it is no retransmission.
func TestSimulatedDuplicates(t *testing.T) {
	duplicates := 0
	for seed := range uint64(60) {
		packets, n := tcpsim.Run(tcpsim.Config{
			Seed: seed, Segments: 300, Window: 20, ToTap: 8e6, FromTap: 12e6, IPID: true,
			Timestamps: seed%2 == 0, SACK: true, LossAfter: 0.02, Duplicate: 0.05,
		})
		said, rows, _ := judged(t, packets)
		for _, p := range packets {
			if p.Label == tcpsim.Duplicate {
				duplicates++
			}
			if j := said[p.Frame]; j.kind == EventRetransmit && p.Label != tcpsim.Retransmission {
				t.Fatalf("seed %d: frame %d is %d, said %v", seed, p.Frame, p.Label, j)
			}
		}
		if d := rows[0].S2C; int(d.Retransmits) > n || int(d.Retransmits+d.Ambiguous) < n {
			t.Fatalf("seed %d: %d retransmissions, %d ambiguous, want %d", seed, d.Retransmits, d.Ambiguous, n)
		}
	}
	if duplicates < 100 {
		t.Errorf("only %d duplicates were simulated", duplicates)
	}
}

// tally counts right and wrong judgements.
type tally struct {
	retransmissions, found, ambiguous int
	hidden                            int // that nobody can know from the headers
	missed, called                    int // passed over; originals called retransmissions or copies
	worst                             string
}

// add judges one run.
func (s *tally) add(packets []tcpsim.Captured, said map[uint64]judgement) {
	seen := map[uint32]bool{}
	highest, latest := uint32(0), int64(0)
	for _, p := range packets {
		if p.Payload == 0 {
			continue
		}
		j := said[p.Frame]
		switch p.Label {
		case tcpsim.Retransmission:
			s.retransmissions++
			first := latest == 0 || !before(p.Seq, highest)
			switch {
			case j.kind == EventRetransmit:
				s.found++
			case j.kind == EventAmbiguous:
				s.ambiguous++
			case !seen[p.Seq] && (first || p.Sent <= latest):
				// Its original never reached the capture, and it is either the newest there or came
				// late itself: it looks like an original in every respect.
				s.hidden++
			default:
				s.missed++
				s.worst = fmt.Sprint("frame ", p.Frame, " said ", j)
			}
		case tcpsim.Original:
			if j.kind == EventRetransmit || j.kind == EventCaptureDuplicate {
				s.called++
				s.worst = fmt.Sprint("frame ", p.Frame, " said ", j)
			}
		}
		seen[p.Seq] = true
		if end := p.Seq + p.Payload; latest == 0 || after(end, highest) {
			highest = end
		}
		latest = max(latest, p.Sent)
	}
}

// check fails on any wrong judgement. Where packets carry neither timestamps nor identification,
// only time is left, and a clock that is stepped forward unnoticed takes that too: one in a thousand
// is allowed.
func (s *tally) check(t *testing.T, name string, told bool) {
	t.Helper()
	allowed := 0
	if !told {
		allowed = s.retransmissions / 1000
	}
	if s.missed+s.called > allowed {
		t.Errorf("%s: %+v", name, *s)
	}
	if s.found < 200 || told && s.ambiguous*10 > s.found {
		t.Errorf("%s: too little was decided: %+v", name, *s)
	}
}
