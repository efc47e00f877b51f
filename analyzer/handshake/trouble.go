package handshake

import (
	"slices"

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
	troubles
)

// synTrouble says what repeated SYNs mean. Repetition after a RST is a client that
// will not take no for an answer (Windows), and no loss.
func synTrouble(h *flow.Handshake) (Trouble, bool) {
	if h.SYNRetransmits == 0 || h.SYNSchedule == flow.ScheduleAfterReset {
		return 0, false
	}
	if late(h) {
		return SYNLate, true
	}
	for _, s := range h.SYNs[1:] {
		if !s.Answered {
			return SYNUnanswered, true
		}
	}
	return SYNAnswered, true
}

// late says that the first SYN-ACK answers a SYN that the client had repeated before the
// answer came. Only a timestamp tells which SYN was answered.
func late(h *flow.Handshake) bool {
	if h.ServerRTT < 0 || len(h.SYNACKs) == 0 {
		return false
	}
	came := h.SYNACKs[0].Time
	return slices.ContainsFunc(h.SYNs, func(s flow.Sent) bool { return s.Time > came-h.ServerRTT && s.Time < came })
}

// bunched says that no repetition was a timer's, whose first wait is a second: something
// held the SYN-ACKs back and let them go together.
func bunched(sent []flow.Sent) bool {
	const wait = 900_000_000 // ns; timers fire late, and never early
	for i := range sent[1:] {
		if sent[i+1].Time-sent[i].Time > wait {
			return false
		}
	}
	return true
}

// synackTrouble says what repeated SYN-ACKs mean, by what was captured of the client.
func synackTrouble(h *flow.Handshake) (Trouble, bool) {
	switch {
	case h.SYNACKRetransmits == 0:
		return 0, false
	case late(h) && bunched(h.SYNACKs):
		return SYNACKLate, true
	case h.Answered() > 0:
		return SYNACKAnswered, true
	case h.SYNRetransmits > 0 || h.Completed:
		return SYNACKLost, true
	}
	return SYNACKSilent, true
}
