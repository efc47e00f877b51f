//go:build linux

package vital

import (
	"errors"
	"testing"
	"time"
)

// A dump that waits, for a CPU or a lock, has cost nothing, and the next one is as soon as any.
func TestPaceByCost(t *testing.T) {
	p := pace{every: time.Second, share: countShare, ask: func() error { time.Sleep(20 * time.Millisecond); return nil }}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if d := p.dumped(); d.took < 20*time.Millisecond || p.next.Sub(p.began) >= countShare*d.took/2 {
		t.Errorf("took %v, and the next comes after %v", d.took, p.next.Sub(p.began))
	}
}

// A dump of sockets that hangs in the kernel: no tick waits for it, what is shown is the last
// that has ended, and after a while the reader says so; what comes back late is taken.
func TestPaceWaitsForNothing(t *testing.T) {
	answers := make(chan error, 1)
	p := pace{every: time.Second, share: countShare, ask: func() error { return <-answers }}
	answers <- nil
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	began := p.next // the time itself is due
	step := func(now time.Time, fresh bool, want error) {
		t.Helper()
		if got, err := p.run(now); got != fresh || !errors.Is(err, want) {
			t.Errorf("%v after the begin: fresh %v, error %v; want %v, %v", now.Sub(began), got, err, fresh, want)
		}
	}
	step(began.Add(-time.Nanosecond), false, nil)
	first := p.dumped()
	step(began, false, nil)
	step(began.Add(pacePatience), false, nil)
	if p.dumped() != first {
		t.Error("a dump that goes on is told of as the last")
	}
	step(began.Add(pacePatience+1), false, errUncounted)
	answers <- nil
	for len(p.done) == 0 {
		time.Sleep(time.Millisecond)
	}
	step(began.Add(2*pacePatience), true, nil)
	if p.dumped() == first {
		t.Error("the dump that ended is not the last")
	}
	refused := errors.New("refused")
	answers <- refused
	began = p.next
	step(began, false, nil)
	for len(p.done) == 0 {
		time.Sleep(time.Millisecond)
	}
	step(began, false, refused)
	step(began, false, nil) // said once; the next one is asked for in its time
}
