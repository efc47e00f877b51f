//go:build linux

package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Softirqs are timed while there are few, and where there are many for a tick every ten seconds, while
// somebody wants it, and until an incident's end; and not while it is forbidden.
func TestWhenSoftirqsAreTimed(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	if s.Softirqs.timing.always {
		t.Skip("they are always timed here")
	}
	begin := time.Now()
	now := begin
	s.Softirqs.timing.watched = now
	watch := func(what string, after time.Duration, ran uint64, wanted, want bool) {
		t.Helper()
		now = now.Add(after)
		// A run that lasts is let end: the test is not about it.
		eventually(t, what, func() bool {
			s.Softirqs.timing.ran = ran
			s.Softirqs.timing.watched = now.Add(-after)
			must(t, s.Softirqs.Watch(now, wanted))
			return s.Softirqs.timing.spans.open() == want
		})
	}
	const tick = 250 * time.Millisecond
	few := uint64(s.Softirqs.timing.cpus) * fewRuns / 4
	watch("few are timed", tick, few, false, true)
	watch("many are not", tick, few+1, false, false)
	s.Softirqs.timing.spans[0].To = now // the times are ours
	watch("they rest", timingRest-tick, 0, false, false)
	watch("they are looked at again", tick, 0, false, true)
	watch("there are still many", tick, 10*few, false, false)
	watch("somebody wants them", tick, 0, true, true)
	watch("and still does", tick, 10*few, true, true)
	watch("and no more", tick, 10*few, false, false)
	s.Softirqs.Until(now.Add(2 * tick))
	watch("an incident goes on", tick, 10*few, false, true)
	must(t, s.Shed("softirq", true))
	watch("forbidden", tick/2, 0, true, false)
	must(t, s.Shed("softirq", false))
	watch("allowed again", tick/4, 10*few, false, true)
	watch("it has ended", tick, 10*few, false, false)
	if got := s.Softirqs.Timed(begin.Add(-time.Hour), time.Now()); len(got) < 4 {
		t.Errorf("they were timed %v", got)
	}
}

// Where ticks cannot look all are timed, always, and the probe says so.
func TestWithoutTicksAllAreTimed(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	variant := ""
	for _, r := range s.Results {
		if r.Probe.ID == "softirq" {
			variant = r.Variant
		}
	}
	if s.Softirqs.timing.always {
		if !strings.HasPrefix(variant, "all are timed: the timer's ticks cannot look") {
			t.Errorf("it says %q", variant)
		}
		t.Skip("it is so here: " + variant)
	}
	t.Log(variant)
	s.Softirqs.timing.always = true
	s.Softirqs.timing.ran = 1 << 40
	must(t, s.Softirqs.Watch(time.Now().Add(time.Second), false))
	if !s.Softirqs.timing.spans.open() {
		t.Error("they are not timed")
	}
}

func TestImageOfTheKernel(t *testing.T) {
	const text = `0000000000000000 A fixed_percpu_data
000000000001b440 A kstat
000000000001c100 A hrtimer_bases
ffffffff81000000 T _stext
ffffffff81000100 t run_timer_softirq
ffffffff81000100 t __pfx_of_nothing
ffffffff81000180 t net_rx_action.cold
ffffffff81000200 t net_rx_action
ffffffff81000300 t rcu_core_si
ffffffff81000310 T last
`
	m := image{at: map[string]uint64{}, search: true}
	err := m.parse(strings.NewReader(text))
	if err != nil || m.start[NetRX] != 0xffffffff81000200 || m.size[NetRX] != 0x100 || m.size[1] != 0x80 || m.size[9] != 0x10 || m.size[0] != 0 {
		t.Errorf("%+v, error %v", m, err)
	}
	if len(m.at) != 2 || m.at["hrtimer_bases"]-m.at["kstat"] != 0x1c100-0x1b440 {
		t.Errorf("variables at %x", m.at)
	}
	if err := new(image).parse(strings.NewReader("0000000000000000 t net_rx_action\n0000000000000000 t net_tx_action\n")); err != errHidden {
		t.Errorf("hidden addresses give %v", err)
	}
}

func TestSpans(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	var s spans
	for i := range int64(spansKept) + 10 {
		s.begin(at(10 * i))
		if took := s.end(at(10*i + 2)); took != 2*time.Second {
			t.Errorf("one took %v", took)
		}
	}
	s.begin(at(1000))
	if len(s) != spansKept || !s.open() {
		t.Errorf("%d are kept, open %v", len(s), s.open())
	}
	if got := s.within(at(712), at(720)); len(got) != 2 || got[0].From != at(710) || got[1].From != at(720) {
		t.Errorf("within are %v", got)
	}
	if got := s.overlap(at(711), at(1005)); got != 1*time.Second+2*2*time.Second+5*time.Second {
		t.Errorf("%v lie within", got)
	}
}

// While the kernel takes its time to attach or to start something, the recorder's loop is told at once what it asks for.
func TestNobodyWaitsForHooks(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	s.Softirqs.timing.hooks.Lock()
	s.Stacks.hooks.Lock()
	defer s.Softirqs.timing.hooks.Unlock()
	defer s.Stacks.hooks.Unlock()
	told := make(chan bool)
	go func() {
		now := time.Now()
		s.Softirqs.Until(now)
		s.Softirqs.Timed(now, now)
		s.Softirqs.TimedFor(now, now)
		s.Stacks.Sampled(now, now)
		s.Stacks.Wanted()
		close(told)
	}()
	eventually(t, "what the loop asks for", func() bool {
		select {
		case <-told:
			return true
		default:
			return false
		}
	})
}
