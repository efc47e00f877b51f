package check

import (
	"slices"

	"github.com/spikebox/spikebox/analyzer/handshake"
)

// A counter is read once a second, and what a listener drops shows at the client one
// RTO later: findings whose times are no further apart than this may belong together.
const causeSlack = int64(3e9)

// rule says that findings of one check cause those of another if they overlap in time
// and share an object.
type rule struct {
	cause, effect string
	shares        func(cause, effect *Finding) bool
	because       string
}

// rules lists every causal link that the analyzer may draw.
var rules = []rule{
	{
		cause: "listen-overflow", effect: "syn-retransmit", shares: sameListener,
		because: "a SYN that finds the accept queue full is dropped, and the client repeats it",
	},
	{
		cause: "listen-overflow", effect: "synack-retransmit", shares: sameListener,
		because: "an ACK that finds the accept queue full is dropped, and the SYN-ACK is repeated",
	},
	{
		cause: "listen-overflow", effect: "rtt-spike",
		shares: func(_, effect *Finding) bool { return effect.Object == insideHost },
		because: "the kernel times a connection's first round trip from its SYN-ACK on, " +
			"so an ACK that the full accept queue dropped makes it as long as the wait",
	},
	{
		cause: "rtt-spike", effect: "syn-retransmit", shares: waitedInside,
		because: "a SYN-ACK that waits inside this host for a second comes after the client has repeated its SYN",
	},
	{
		cause: "rtt-spike", effect: "synack-retransmit", shares: waitedInside,
		because: "a SYN-ACK that waits inside this host for a second is repeated before it has left",
	},
	{
		cause: "synack-retransmit", effect: "syn-retransmit", shares: lostAnswer,
		because: "a client that never sees the SYN-ACK repeats its SYN",
	},
}

// link draws the causes between findings.
func link(findings []*Finding) {
	for _, r := range rules {
		for _, effect := range findings {
			if effect.ID != r.effect {
				continue
			}
			for _, cause := range findings {
				if cause.ID == r.cause && cause.span().Overlaps(effect.span(), causeSlack) && r.shares(cause, effect) {
					effect.causedBy(cause, r.because)
				}
			}
		}
	}
}

// causedBy links an effect to its cause. What remedies the cause remedies the effect.
func (f *Finding) causedBy(cause *Finding, because string) {
	f.Remedy = []Remedy{}
	f.Causes = append(f.Causes, Cause{ID: cause.ID, Object: cause.Object, Because: because})
	f.roots = append(f.roots, cause)
	if !slices.Contains(f.CausedBy, cause.ID) {
		f.CausedBy = append(f.CausedBy, cause.ID)
	}
}

// sameListener: a service of the effect is served by a listener of the cause, which may
// be bound to all addresses. A listener that could not be named shares with none.
func sameListener(cause, effect *Finding) bool {
	for _, l := range cause.services {
		for _, s := range effect.services {
			if l.Port() == s.Port() && (l.Addr() == s.Addr() || l.Addr().IsUnspecified()) {
				return true
			}
		}
	}
	return false
}

// sameService: both are about the same server address and port.
func sameService(cause, effect *Finding) bool {
	for _, s := range effect.services {
		if slices.Contains(cause.services, s) {
			return true
		}
	}
	return false
}

// lostAnswer: the cause is that SYN-ACKs were lost behind the tap, and the effect that
// SYNs were repeated although a SYN-ACK had been captured.
func lostAnswer(cause, effect *Finding) bool {
	return cause.trouble == handshake.SYNACKLost && effect.trouble == handshake.SYNAnswered && sameService(cause, effect)
}

// waitedInside: round trips were long on this side of the tap only, and the handshakes'
// answers were late and not lost.
func waitedInside(cause, effect *Finding) bool {
	return cause.Object == insideHost && (effect.trouble == handshake.SYNLate || effect.trouble == handshake.SYNACKLate)
}

// Root says whether nothing that was found causes this.
func (f *Finding) Root() bool { return len(f.Causes) == 0 }

// Ordered gives findings as a reader wants them: roots first, the worst before the
// others, each followed by its effects.
func Ordered(findings []*Finding) []*Finding {
	roots := slices.Clone(findings)
	slices.SortStableFunc(roots, func(a, b *Finding) int { return b.Severity.Rank() - a.Severity.Rank() })
	var ordered []*Finding
	var visit func(f *Finding)
	visit = func(f *Finding) {
		if slices.Contains(ordered, f) {
			return
		}
		ordered = append(ordered, f)
		for _, effect := range roots {
			if slices.Contains(effect.roots, f) {
				visit(effect)
			}
		}
	}
	for _, f := range roots {
		if f.Root() {
			visit(f)
		}
	}
	for _, f := range roots { // a circle of causes has no root, and is still to be shown
		visit(f)
	}
	return ordered
}

// Effects gives the findings that a finding causes.
func (f *Finding) Effects(all []*Finding) []*Finding {
	var effects []*Finding
	for _, e := range all {
		if slices.Contains(e.roots, f) {
			effects = append(effects, e)
		}
	}
	return effects
}

// Effect says in a few words what the finding means, for a sentence about its cause.
func (f *Finding) Effect() string { return f.effect }
