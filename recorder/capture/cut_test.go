//go:build linux

package capture

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// slow is a writer that stands for a disk: before each write it waits for a condition.
type slow struct {
	bytes.Buffer
	wait func()
}

func (s *slow) Write(b []byte) (int, error) {
	s.wait()
	return s.Buffer.Write(b)
}

func TestOneCutAtATime(t *testing.T) { eachWay(t, testOneCutAtATime) }

func testOneCutAtATime(t *testing.T, way Way) {
	ns := testns.New(t)
	s := arm(t, ns, SetConfig{Way: way, Interfaces: []string{"lo"}, Bytes: 1 << 20})
	first, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cut(time.Time{}, nil); !errors.Is(err, ErrCutOpen) {
		t.Errorf("a second cut: %v", err)
	}
	write(t, first, PcapngOptions{})
	if err := first.WritePcapng(&bytes.Buffer{}, PcapngOptions{}); err == nil {
		t.Error("a cut was written twice")
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Cut(time.Time{}, nil); err != nil {
		t.Errorf("a cut after the first was closed: %v", err)
	}
	first.Close() // does not close the second one
	if _, err := s.Cut(time.Time{}, nil); !errors.Is(err, ErrCutOpen) {
		t.Errorf("a third cut: %v", err)
	}
}

// A set that is closed with a cut open leaves the cut readable.
func TestCutOutlivesSet(t *testing.T) { eachWay(t, testCutOutlivesSet) }

func testCutOutlivesSet(t *testing.T, way Way) {
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Way: way, Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	w := openWire(t, a.NS, a.Link)
	for i := range uint64(10) {
		if err := w.send(numbered(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := contiguous(t, write(t, c, PcapngOptions{}))[0]; got != (span{0, 9}) {
		t.Errorf("got %+v", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Cut(time.Time{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a cut of a closed set: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// A disk that fails in the middle costs the cut and nothing else.
func TestFailingWriter(t *testing.T) { eachWay(t, testFailingWriter) }

func testFailingWriter(t *testing.T, way Way) {
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Way: way, Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 1000}})
	w := openWire(t, a.NS, a.Link)
	w.sendFrom(t, 0, 400)
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	full := writerFunc(func([]byte) (int, error) { return 0, unix.ENOSPC })
	if err := c.WritePcapng(full, PcapngOptions{}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	c.Close()
	file, _ := cutNow(t, s)
	if got := contiguous(t, file)[0]; got != (span{0, 399}) {
		t.Errorf("the next cut has %+v", got)
	}
}

// A disk that stands still for longer than the reserve lasts costs the newest packets,
// which are counted, and none of the cut.
func TestSlowDiskKeepsTheCut(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 1000}, countEvery: 10 * time.Millisecond, beforeLook: p.tick})
	w := openWire(t, a.NS, a.Link)
	seq := uint64(0)
	send := func(n int) {
		seq = w.sendFrom(t, seq, n)
		ticks := p.ticks.Load()
		eventually(t, "tick", func() bool { return p.ticks.Load() > ticks })
	}
	send(400)
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stuck := &slow{wait: func() {
		for seq < 2400 {
			send(100)
		}
	}}
	if err := c.WritePcapng(stuck, PcapngOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := contiguous(t, stuck.Bytes())[0]; got != (span{0, 399}) {
		t.Errorf("the cut holds %+v", got)
	}
	if st := s.Status()[0]; st.Drops == 0 || st.Freezes == 0 {
		t.Errorf("2 MiB went into a ring of 1 MiB, and %d packets were lost", st.Drops)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A cut begins where it is asked to, and says what it does not reach.
func TestCutSince(t *testing.T) { eachWay(t, testCutSince) }

func testCutSince(t *testing.T, way Way) {
	a, _ := testns.Pair(t)
	before := time.Now()
	s := arm(t, a.NS, SetConfig{Way: way, Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	w := openWire(t, a.NS, a.Link)
	var marks []time.Time
	for i := range uint64(10) {
		// The tap's clock is put on the wall's between two looks at both, some microseconds apart.
		time.Sleep(time.Millisecond)
		marks = append(marks, time.Now())
		time.Sleep(time.Millisecond)
		if err := w.send(numbered(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []struct {
		since time.Time
		want  span
		from  time.Time
	}{
		{marks[4], span{4, 9}, marks[4]},
		{before, span{0, 9}, s.Status()[0].Armed},
	} {
		c, err := s.Cut(at.since, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := contiguous(t, write(t, c, PcapngOptions{}))[0]; got != at.want {
			t.Errorf("since %v: got %+v, want %+v", at.since, got, at.want)
		}
		if st := c.Stats()[0]; !st.From.Equal(at.from) || !st.To.Equal(c.at) {
			t.Errorf("since %v: the window is %v to %v", at.since, st.From, st.To)
		}
		c.Close()
	}
}
