//go:build linux

package budget

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// exchange has one small message go to and fro n times.
func exchange(t *testing.T, n int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go io.Copy(server, server)
	for buf := make([]byte, 64); n > 0; n-- {
		client.Write(buf)
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
	}
}

// measure ticks until a measure is done, with an exchange before each tick.
func measure(t *testing.T, m *Meter) Measure {
	t.Helper()
	for range 100 {
		exchange(t, 300)
		if out, ok := m.Tick(time.Now()); ok {
			return out
		}
	}
	t.Fatal("no measure in 100 ticks")
	return Measure{}
}

func tierOf(id string) int {
	return slices.IndexFunc(Tiers, func(t *Tier) bool { return t.ID == id })
}

// What the recorder costs under a real load is told by tier; what is shed costs nothing; and
// where the kernel does not time programs the packets tell.
func TestMeter(t *testing.T) {
	testns.Run(t, func() {
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		if err := probes.Refusal("rtt"); err != nil {
			t.Skipf("the probe of round trips is not armed: %v", err)
		}
		shed := map[int]bool{}
		m := NewMeter("/", 2, probes, nil, func(tier int) bool { return !shed[tier] })
		defer m.Close()
		if m.untimed != nil {
			t.Skipf("programs are not timed: %v", m.untimed)
		}
		m.Period = 4
		rtt, stacks := tierOf("rtt"), tierOf("stacks")
		if probes.Stacks != nil {
			if got := measure(t, m); got.Cost[stacks] > 0 || !got.Idle[stacks] { // functions run in trouble only
				t.Errorf("clocks that do not run: %+v", got)
			}
			if err := probes.Stacks.Watch(true); err != nil {
				t.Fatal(err)
			}
			m.Skip()
		}
		got := measure(t, m)
		sum := 0.0
		for _, c := range got.Cost {
			sum += c
		}
		if got.Own <= 0 || got.Load <= 0 || got.Cost[rtt] <= 0 || got.Cost[tierOf("softirq")] <= 0 || sum > got.Programs*1.001 {
			t.Errorf("under a load: %+v", got)
		}
		if probes.Stacks != nil && (got.Cost[stacks] <= 0 || got.Idle[stacks]) {
			t.Errorf("clocks that run: %+v", got)
		}
		if probes.Response != nil && got.Cost[tierOf("response")] <= 0 {
			t.Error("response times cost nothing")
		}
		for _, id := range []string{"rtt", "stacks"} {
			if err := probes.Shed(id, true); err != nil {
				t.Fatal(err)
			}
		}
		shed[rtt], shed[stacks] = true, true
		m.Skip()
		if got := measure(t, m); got.Cost[rtt] != 0 || got.Cost[stacks] != 0 {
			t.Errorf("what is shed costs %+v", got.Cost)
		}
		shed[rtt] = false
		m.untimed = errors.New("it is not")
		m.Skip()
		got = measure(t, m)
		if want := got.Load * Tiers[rtt].PerPacket.Seconds() / 2; got.Cost[rtt] != want || want == 0 {
			t.Errorf("estimated from %v packets/s: %v, want %v", got.Load, got.Cost[rtt], want)
		}
	})
}

// Programs are timed in a tick of a period only, and not at all while an incident is recorded.
func TestMeterTimesShortly(t *testing.T) {
	testns.Run(t, func() {
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		m := NewMeter("/", 2, probes, nil, func(int) bool { return true })
		defer m.Close()
		if m.untimed != nil {
			t.Skipf("programs are not timed: %v", m.untimed)
		}
		places := map[int]bool{}
		for n := range 39 * Period {
			m.Tick(time.Now())
			if m.timed == nil {
				continue
			}
			if places[n%Period] {
				t.Fatalf("timed twice at tick %d of a period", n%Period)
			}
			places[n%Period] = true
		}
		if len(places) != Period-1 {
			t.Errorf("39 measures were timed at %d places, want each at another of %d", len(places), Period-1)
		}
		for m.timed == nil {
			m.Tick(time.Now())
		}
		if m.Skip(); m.timed != nil {
			t.Error("programs are timed while nothing is measured")
		}
	})
}
