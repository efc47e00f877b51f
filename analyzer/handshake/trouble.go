package handshake

import (
	"github.com/spikebox/spikebox/analyzer/flow"
)

// Trouble is a kind of repetition in a handshake, by what the capture shows around it.
type Trouble uint8

// The kinds of trouble.
const (
	// SYNUnanswered: the SYN was repeated, and nothing had answered it.
	SYNUnanswered Trouble = iota
	// SYNAnswered: the SYN was repeated although its SYN-ACK had been captured.
	SYNAnswered
	// SYNACKAnswered: the SYN-ACK was repeated although the client's ACK had been captured.
	SYNACKAnswered
	// SYNACKLost: no ACK came before the repetition, but then the client repeated its SYN
	// or answered after all: the SYN-ACK or its ACK was lost between it and the tap.
	SYNACKLost
	// SYNACKSilent: no ACK ever came, and nothing else from the client.
	SYNACKSilent
	// SYNLate: the SYN-ACK came, and by its timestamp answers a SYN that had been repeated
	// since: nothing was lost, the answer was late.
	SYNLate
	// SYNACKLate: SYN-ACKs that were late left together, faster than any timer repeats them.
	SYNACKLate
	// SYNUnseen: the SYN was repeated, and the client went on as if it had been answered, though nothing of the server was captured.
	SYNUnseen
	// SYNHeld: the SYN was repeated although its SYN-ACK had been captured, which the client did get, but late: it
	// was held back between the tap and the client, or the client's answer was.
	SYNHeld
	// SYNACKHeld: the SYN-ACK was repeated, and the client's ACK answers one that had been repeated by then.
	SYNACKHeld
	troubles
)

// synTrouble says what repeated SYNs mean. Repetition after a RST is a client that
// will not take no for an answer (Windows), and no loss.
func synTrouble(f *flow.Flow) (Trouble, bool) {
	h := &f.Handshake
	if h.SYNRetransmits == 0 || h.SYNSchedule == flow.ScheduleAfterReset {
		return 0, false
	}
	if late(f) {
		return SYNLate, true
	}
	// Who acknowledges or sends data has had an answer: it goes another way than the tap sees.
	if c, s := f.C2S(), f.S2C(); s.Packets == 0 && c.Distinct() > uint32(len(h.SYNs)) && c.Resets == 0 {
		return SYNUnseen, true
	}
	for _, s := range h.SYNs[1:] {
		if !s.Answered {
			return SYNUnanswered, true
		}
	}
	if held(f) {
		return SYNHeld, true
	}
	return SYNAnswered, true
}

// late says that the first SYN-ACK answers a SYN that the client had repeated before the
// answer came. Only a timestamp tells which SYN was answered, and not even that where the answer came as soon behind the
// last SYN as answers come: Linux echoes the first SYN in each (net/ipv4/tcp_minisocks.c, tcp_check_req, leaves ts_recent as it
// is, Linux 6.18), so that it may be the answer to the last, and those before it lost.
func late(f *flow.Flow) bool {
	h := &f.Handshake
	if h.ServerRTT < 0 || len(h.SYNACKs) == 0 {
		return false
	}
	came, last := h.SYNACKs[0].Time, int64(0)
	for _, s := range h.SYNs {
		if s.Time > came-h.ServerRTT && s.Time < came {
			last = max(last, s.Time)
		}
	}
	return last > 0 && came-last > 2*usual(f.C2S(), h.ServerRTT)+jitter
}

// held says that the client's ACK answers, by its timestamp, a SYN-ACK that had been repeated when the ACK came, and comes too late to
// have been called for by the repetition: a client that has sent its ACK answers the next SYN-ACK with the same timestamp
// (net/ipv4/tcp_input.c, tcp_validate_incoming, does not come to take a new one from it, Linux 6.18), so that the first ACK may be the one that was lost.
func held(f *flow.Flow) bool {
	h := &f.Handshake
	if !h.Completed || h.ClientRTT < 0 || len(h.SYNACKs) < 2 {
		return false
	}
	last := int64(0)
	for _, s := range h.SYNACKs {
		if s.Time > h.AckTime-h.ClientRTT && s.Time < h.AckTime {
			last = max(last, s.Time)
		}
	}
	return last > 0 && h.AckTime-last > 2*usual(f.S2C(), h.ClientRTT)+jitter
}

// jitter is of the timers of both sides, and of the path.
const jitter = 20_000_000 // ns

// usual is the least round trip of a direction's segments, 0 where none was measured but that of the handshake.
func usual(d *flow.Direction, handshake int64) int64 {
	if least := d.LeastRTT(); least < handshake {
		return least
	}
	return 0
}

// copied says that SYN-ACKs followed each other faster than any timer, and no SYN was repeated: the server answered copies of
// one, which the path had made.
func copied(h *flow.Handshake) bool {
	const together = 100_000_000 // ns; the shortest first timeout of a SYN is 300 ms
	for i := range h.SYNACKs[1:] {
		if h.SYNACKs[i+1].Time-h.SYNACKs[i].Time > together {
			return false
		}
	}
	return h.SYNRetransmits == 0
}

// timerWait is less than any timer's first wait, a second: timers fire late, and never early.
const timerWait = 900_000_000 // ns

// bunched says that no repetition was a timer's: something held the SYN-ACKs back and let them go together.
func bunched(sent []flow.Sent) bool {
	for i := range sent[1:] {
		if sent[i+1].Time-sent[i].Time > timerWait {
			return false
		}
	}
	return true
}

// underway says that each repetition came by behind the client's ACK and tells nothing of that: it was sent for a repeated SYN, which who
// has sent its ACK does not repeat, or follows the one before it sooner than a timer fires. It had been sent before the ACK came, and waited
// for the tap in this host's own queue.
func underway(sent []flow.Sent) bool {
	for i, s := range sent[1:] {
		if !s.Answered || !s.Asked && s.Time-sent[i].Time > timerWait {
			return false
		}
	}
	return true
}

// synackTrouble says what repeated SYN-ACKs mean, by what was captured of the client.
func synackTrouble(f *flow.Flow) (Trouble, bool) {
	h := &f.Handshake
	switch {
	case h.SYNACKRetransmits == 0, copied(h):
		return 0, false
	case late(f) && bunched(h.SYNACKs):
		return SYNACKLate, true
	case underway(h.SYNACKs):
		return 0, false
	case h.Answered() > 0:
		return SYNACKAnswered, true
	case held(f):
		return SYNACKHeld, true
	case h.SYNRetransmits > 0 || h.Completed:
		return SYNACKLost, true
	}
	return SYNACKSilent, true
}
