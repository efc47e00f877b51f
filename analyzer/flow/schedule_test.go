package flow

import (
	"slices"
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

func TestSchedules(t *testing.T) {
	const (
		exp1, linear, exp3 = ScheduleExponential1, ScheduleLinear, ScheduleExponential3
	)
	for name, c := range map[string]struct {
		offsets []float64
		reset   bool
		want    []Schedule
	}{
		"nothing repeated": {nil, false, []Schedule{ScheduleNone}},
		"one after 1 s":    {[]float64{1.01}, false, []Schedule{exp1, linear}},
		"two, doubling":    {[]float64{1.01, 3.03}, false, []Schedule{exp1}},
		"two, linear":      {[]float64{1.01, 2.03}, false, []Schedule{linear}},
		"Linux 6.18, measured": {
			[]float64{1.017, 2.041, 3.065, 4.089, 5.113, 7.129, 11.197, 19.385, 35.513, 69.049},
			false, []Schedule{linear},
		},
		"SYN-ACK of Linux 6.18, measured": {
			[]float64{1.009, 3.025, 7.185, 15.377, 31.505}, false, []Schedule{exp1},
		},
		"old stack":             {[]float64{3.0, 9.1, 21.3, 45.9}, false, []Schedule{exp3}},
		"an eighth late":        {[]float64{1.125, 3.375, 7.87}, false, []Schedule{exp1}},
		"later than an eighth":  {[]float64{1.2}, false, []Schedule{ScheduleOther}},
		"early":                 {[]float64{0.9}, false, []Schedule{ScheduleOther}},
		"a tick early":          {[]float64{0.985, 2.985}, false, []Schedule{exp1}},
		"Windows, seen":         {[]float64{2.93}, false, []Schedule{exp3}},
		"Windows, half a tick":  {[]float64{2.78, 8.78}, false, []Schedule{exp3}},
		"second wait early":     {[]float64{3.0, 8.6}, false, []Schedule{ScheduleOther}},
		"first ones missing":    {[]float64{2.02, 6.05, 14.2}, false, []Schedule{exp1, linear}},
		"linear, first missing": {[]float64{1.02, 2.04, 4.1}, false, []Schedule{linear}},
		"Windows, refused":      {[]float64{0.5, 1.0}, true, []Schedule{ScheduleAfterReset}},
		"0.5 s without a RST":   {[]float64{0.5, 1.0}, false, []Schedule{ScheduleOther}},
		"1 s after a RST":       {[]float64{1.0}, true, []Schedule{ScheduleOther}},
		"one lost in between":   {[]float64{1.0, 7.1}, false, []Schedule{ScheduleOther}},
	} {
		t.Run(name, func(t *testing.T) {
			gaps := slices.Clone(c.offsets)
			for i := len(gaps) - 1; i > 0; i-- {
				gaps[i] -= gaps[i-1]
			}
			set := matchSchedules(gaps, c.reset)
			if got := set.List(); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if set.first() != c.want[0] {
				t.Errorf("first is %v", set.first())
			}
		})
	}
}

// The host received the answers and did not take them.
func TestAnsweredSYNACKs(t *testing.T) {
	s := play(t).open()
	s.at(second).synack()
	s.ack()
	s.at(2 * second).synack()
	f := s.one()
	h := &f.Handshake
	if h.SYNACKRetransmits != 2 || h.Answered() != 2 || h.SYNACKSchedule != ScheduleExponential1 {
		t.Errorf("handshake %+v", h)
	}
	if got := f.S2C().Retransmits; got != 2 {
		t.Errorf("%d retransmissions, the kernel counts 2", got)
	}
}

// The client never saw the SYN-ACK: both sides repeat. What a SYN asked for is not on the timer.
func TestLostSYNACKs(t *testing.T) {
	s := play(t)
	s.syn()
	s.synack()
	s.at(second).synack()
	s.at(40 * ms).syn()
	s.synack()
	s.at(2 * second).synack()
	f := s.one()
	h := &f.Handshake
	if !h.SYNACKsLost || h.Answered() != 0 || h.SYNACKRetransmits != 3 || !h.SYNACKs[2].Asked {
		t.Errorf("handshake %+v", h)
	}
	if h.SYNACKSchedule != ScheduleExponential1 {
		t.Errorf("schedule %v", h.SYNACKSchedule)
	}
}

func TestAfterReset(t *testing.T) {
	s := play(t)
	for range 3 {
		s.syn()
		s.send(true, rstToSYN)
		s.at(500 * ms)
	}
	f := s.one()
	if f.Handshake.SYNSchedule != ScheduleAfterReset || f.End != Refused {
		t.Errorf("schedule %v, end %v", f.Handshake.SYNSchedule, f.End)
	}
}

// A SYN that comes again makes Linux answer at once, beside the SYN-ACK that the timer sends; both
// bear identification 0 and may bear the same timestamp. The kernel counts both.
func TestTwoSYNACKs(t *testing.T) {
	s := play(t)
	s.syn()
	s.synack()
	s.at(second).syn()
	s.at(20_000).synack()
	s.at(20_000).synack()
	if d := s.one().S2C(); d.Retransmits != 2 || d.CaptureDuplicates != 0 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
	s = play(t)
	s.syn()
	s.synack()
	s.at(20_000).synack() // the capture has it twice
	if d := s.one().S2C(); d.Retransmits != 0 || d.CaptureDuplicates != 1 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
}

// Two hosts' captures in one file hold each SYN twice, as far apart as their clocks are: with the same identification it is no
// repetition, however its options were cut. No timer is so soon; what is numbered anew, or comes a second later, has been sent again.
func TestSYNOfTwoCaptures(t *testing.T) {
	for name, tt := range map[string]struct {
		after    int64
		id       uint16
		want     uint32
		schedule Schedule
		answered bool
	}{
		"12 ms later":               {12 * ms, 7, 0, ScheduleNone, false},
		"behind the answer":         {12 * ms, 7, 0, ScheduleNone, true},
		"numbered anew, by program": {12 * ms, 8, 1, ScheduleOther, false},
		"by the timer":              {second, 8, 1, ScheduleExponential1, false},
		"by a timer, unnumbered":    {second, 7, 1, ScheduleExponential1, false},
	} {
		s := play(t)
		syn := packet.Packet{Flags: packet.SYN, Seq: s.client, IPID: 7, Opts: packet.OptTS, TSval: 5}
		s.send(false, syn)
		if tt.answered {
			s.at(ms).synack()
		}
		syn.IPID, syn.TSval = tt.id, 0 // its options are cut
		s.at(tt.after).send(false, syn)
		f := s.one()
		if h := &f.Handshake; h.SYNRetransmits != tt.want || h.SYNSchedule != tt.schedule || f.C2S().CaptureDuplicates != 1-tt.want {
			t.Errorf("%s: %d repeated (%v), %d copies; want %d (%v)", name, h.SYNRetransmits, h.SYNSchedule, f.C2S().CaptureDuplicates, tt.want, tt.schedule)
		}
	}
}
