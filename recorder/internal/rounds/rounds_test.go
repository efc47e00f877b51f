package rounds

import (
	"testing"
	"time"
)

// late bounds a wait for what must happen, however busy the machine is.
const late = 30 * time.Second

// One thing of three hangs: the others are read in the same round and in those that follow,
// which wait for nothing any more, and when it is back it is read again.
func TestOneThatHangsCostsItselfOnly(t *testing.T) {
	r := New()
	defer r.Close()
	hold := make(chan struct{})
	read := [3]int{}
	things := []*Thing{
		{Read: func() { read[0]++ }},
		{Read: func() { <-hold; read[1]++ }},
		{Read: func() { read[2]++ }},
	}
	r.Do(10*time.Millisecond, things)
	for round := range 20 {
		if !things[1].Hung() || things[1].Done() || !things[2].Done() {
			t.Fatalf("round %d: hung %v, done %v and %v", round, things[1].Hung(), things[1].Done(), things[2].Done())
		}
		r.Do(late, things) // would wait for so long
	}
	close(hold)
	for end := time.Now().Add(late); things[1].Hung() && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	r.Do(late, things)
	if read != [3]int{22, 2, 22} || !things[1].Done() {
		t.Errorf("read %v times, done %v", read, things[1].Done())
	}
}

// All hang at once, as when /proc itself does: a round still ends.
func TestAllHang(t *testing.T) {
	r := New()
	hold := make(chan struct{})
	defer close(hold)
	var things []*Thing
	for range 100 {
		things = append(things, &Thing{Read: func() { <-hold }})
	}
	begin := time.Now()
	r.Do(10*time.Millisecond, things)
	if took := time.Since(begin); took > late {
		t.Errorf("the round took %v", took)
	}
	hung := 0
	for _, thing := range things {
		if thing.Done() {
			t.Error("done")
		}
		if thing.Hung() {
			hung++
		}
	}
	if hung == 0 || hung > 3 {
		t.Errorf("%d hung in a round that has time for three at most", hung)
	}
}

func TestRoundAllocatesNothing(t *testing.T) {
	r := New()
	defer r.Close()
	things := []*Thing{{Read: func() {}}, {Read: func() {}}}
	if n := testing.AllocsPerRun(1000, func() { r.Do(late, things) }); n != 0 {
		t.Errorf("%v allocations in a round", n)
	}
}

func BenchmarkRound(b *testing.B) {
	r := New()
	defer r.Close()
	things := []*Thing{{Read: func() {}}, {Read: func() {}}}
	b.ReportAllocs()
	for b.Loop() {
		r.Do(late, things)
	}
}
