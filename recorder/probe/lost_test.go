//go:build linux

package probe

import (
	"sync/atomic"
	"testing"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// What the programs count as lost, on whichever CPU and for whichever reason, is told.
func TestLostSamples(t *testing.T) {
	testns.New(t) // only for its gate
	s := Open(Options{})
	defer s.Close()
	if err := s.Refusal("rtt"); err != nil {
		t.Skipf("the probe of round trips is not armed: %v", err)
	}
	before := s.RTT.Lost()
	slots := s.RTT.cpus.slots
	atomic.AddUint64(&slots[0].Unsplit, 3)
	atomic.AddUint64(&slots[len(slots)-1].Unkept, 4)
	if got := s.RTT.Lost() - before; got < 7 || got > 1000 { // the machine's own connections may lose some, too
		t.Errorf("%d lost, want 7", got)
	}
}
