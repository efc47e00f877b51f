package flow

import (
	"fmt"
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/tcpsim"
)

// Wherever the tap is, the mechanism of a retransmission is what made the sender send it: at the sender
// an acknowledgement came just before it, at the receiver the duplicate ACKs left a round trip before,
// and where a queue fills that is far more than the handshake took. Without timestamps nothing shows
// how the queue grows but the retransmissions themselves: there one in twenty may be taken for a timeout.
func TestSimulatedMechanisms(t *testing.T) {
	const way = 30e6 // ns
	for name, at := range map[string][2]int64{
		"sender": {100_000, way}, "middle": {way / 2, way / 2}, "receiver": {way, 100_000},
	} {
		for _, queue := range []int64{0, 250e6} {
			options(func(options string, stamps, sack, ids bool) {
				t.Run(fmt.Sprintf("%s,queue=%dms,%s", name, queue/1e6, options), func(t *testing.T) {
					var fast, timeouts score
					for seed := range uint64(40) {
						packets, _ := tcpsim.Run(tcpsim.Config{
							Seed: seed, Segments: 300, Window: 5 + int(seed)%20, ISN: uint32(seed)*1e9 - 5000,
							ToTap: at[0], FromTap: at[1], Queue: queue,
							Timestamps: stamps, SACK: sack, IPID: ids, LossBefore: 0.01, LossAfter: 0.01, LossACK: 0.01,
						})
						compareMechanisms(packets, &fast, &timeouts)
					}
					allowed := 0
					if queue > 0 {
						allowed = 1
						if !stamps {
							allowed = fast.n / 20
						}
					}
					if fast.wrong > allowed || timeouts.wrong > min(allowed, 1) || fast.n < 150 || timeouts.n < 25 {
						t.Errorf("fast %+v, timeouts %+v", fast, timeouts)
					}
				})
			})
		}
	}
}

// score counts retransmissions of one kind.
type score struct{ n, wrong int }

// compareMechanisms counts what a table says of a run's retransmissions beside what they are.
func compareMechanisms(packets []tcpsim.Captured, fast, timeouts *score) {
	said := mechanisms(packets)
	for _, p := range packets {
		m, ok := said[p.Frame]
		if p.Label != tcpsim.Retransmission || !ok {
			continue
		}
		s, right := fast, m == Fast
		if p.ByTimer {
			// The first repetition of the last segment passes for a probe.
			s, right = timeouts, m == Timeout || m == Probe
		}
		s.n++
		if !right {
			s.wrong++
		}
	}
}

// mechanisms runs packets through a table and returns what it said of each retransmission.
func mechanisms(packets []tcpsim.Captured) map[uint64]Mechanism {
	said := map[uint64]Mechanism{}
	table := NewTable(func(*Flow) {}, Options{Events: func(e *Event) {
		if e.Kind == EventRetransmit && e.Evidence != ByDSACK {
			said[e.Frame] = e.Mechanism
		}
	}})
	for i := range packets {
		table.Add(&packets[i].Packet)
	}
	table.Flush()
	return said
}
