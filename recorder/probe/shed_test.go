//go:build linux

package probe

import (
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Programs that are shed do not run, and run again when they are back; a softirq that began
// before is not taken for one that ran all the while.
func TestShed(t *testing.T) {
	testns.Run(t, func() {
		s := Open(Options{})
		defer s.Close()
		timing, err := TimeRuns()
		if err != nil {
			t.Skip(err)
		}
		defer timing.Close()
		runs := func(id string) (n time.Duration) {
			n, err := s.RunTime(id)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		ids := []string{"softirq", "drop", "rtt", "state"}
		for _, id := range ids {
			if err := s.Refusal(id); err != nil {
				t.Skipf("probe %s is not armed: %v", id, err)
			}
		}
		for _, id := range []string{"function", "response"} { // not every kernel has them
			if s.Refusal(id) == nil {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			must(t, s.Shed(id, true))
		}
		for cpu := range s.Softirqs.cpus.slots {
			for v := range Vectors { // as if one had begun an instant after boot
				atomic.StoreUint64(&s.Softirqs.cpus.slots[cpu].Start[v], 1)
			}
		}
		must(t, s.Softirqs.Watch(time.Now(), true)) // whoever asks
		client, server := connected(t)
		work := func() {
			for buf, n := make([]byte, 64), 0; n < 50; n++ {
				client.Write(buf)
				if _, err := io.ReadFull(server, buf); err != nil {
					t.Fatal(err)
				}
			}
		}
		work() // and whatever ran when they were taken off has ended
		before := map[string]time.Duration{}
		for _, id := range ids {
			before[id] = runs(id)
		}
		work()
		for _, id := range ids {
			if now := runs(id); now != before[id] {
				t.Errorf("probe %s ran for %v while it was shed", id, now-before[id])
			}
		}
		for _, id := range ids {
			must(t, s.Shed(id, false))
		}
		for _, id := range ids {
			before[id] = runs(id)
		}
		work()
		for _, id := range ids {
			if !slices.Contains([]string{"drop", "state", "function"}, id) && runs(id) == before[id] { // those need not have run
				t.Errorf("probe %s does not run again", id)
			}
		}
		var booted unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &booted))
		must(t, s.Softirqs.Read(func(cpu, vector int, d *Durations) {
			if d.Max > time.Duration(booted.Nano())/2 {
				t.Errorf("CPU %d: %s took %v", cpu, VectorName(vector), d.Max)
			}
		}))
	})
}

// Echo is not attached while it is forbidden, whoever asks.
func TestShedEcho(t *testing.T) {
	testns.Run(t, func() {
		s := Open(Options{})
		defer s.Close()
		if err := s.Refusal("echo"); err != nil {
			t.Skip(err)
		}
		attached := func() bool { return len(s.Echo.loaded.links) > 0 }
		must(t, s.Echo.Watch(true))
		must(t, s.Shed("echo", true))
		must(t, s.Echo.Watch(true))
		if attached() {
			t.Error("it is attached while it is shed")
		}
		must(t, s.Shed("echo", false))
		if attached() {
			t.Error("it is attached though nobody asked since")
		}
		if must(t, s.Echo.Watch(true)); !attached() {
			t.Error("it does not come back")
		}
	})
}
