package check

import (
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/subject"
)

// Link says that findings of another check may cause those of the check that lists it. The
// cause is named by its variable, so that the compiler refuses a circle of causes.
type Link struct {
	Cause   *Check
	On      subject.Kind  // on which they must meet
	Slack   time.Duration // how far apart in time they may be
	Because string        // the reasoning, as a clause: the report prints it behind the cause

	// Where not empty, only findings of these variants are linked.
	CauseVariant, EffectVariant Variant
	// If, where there is one, holds that the cause is large enough for the effect.
	If func(cause, effect *Finding) bool
}

// harmful says whether the cause is more than worth knowing: a few packets that were dropped on
// one of many CPUs do not explain what befell every connection.
func harmful(cause, _ *Finding) bool { return cause.Severity != Info }

// severe says whether the cause hurts most of those whom it hits.
func severe(cause, _ *Finding) bool { return cause.Severity == Critical }

// lostHere says whether what this host lost on its way in can be what connections from outside lack.
// Those that it opens itself wait for packets, too, but what went out was never in that place.
func lostHere(cause, effect *Finding) bool {
	return harmful(cause, effect) && effect.way == handshake.Inbound
}

// lostEach says the same of a cause that counts what it dropped: a connection attempt that failed for it has lost a packet there.
func lostEach(cause, effect *Finding) bool {
	return lostHere(cause, effect) && cause.count >= effect.count
}

// thrownAway says whether a neighbour that did not answer can be why connections from outside, or through this host, lack
// something: each has lost a packet that waited for it.
func thrownAway(cause, effect *Finding) bool {
	return harmful(cause, effect) && effect.way != handshake.Outbound && cause.count >= effect.count
}

// fallsBehind says whether an upstream answers, though late, while attempts to reach it fail: one that is gone answers none.
func fallsBehind(cause, effect *Finding) bool {
	return harmful(cause, effect) && cause.Variant == "" && effect.way == handshake.Outbound
}

// lostOnTheWay says whether a path's loss can be what SYNs lack: of those that the tap saw come in, none was lost before
// it, and a path that loses a few of hundred segments does not lose most SYNs.
func lostOnTheWay(cause, effect *Finding) bool {
	return harmful(cause, effect) && (effect.way == handshake.Outbound || effect.way == handshake.WayUnknown) && effect.Severity != Critical && onItsPath(cause, effect)
}

// onlyWayOut says whether an interface carried most of what this host sends, so that connections that it opens have no other
// way. Those that come in were captured, and had one.
func onlyWayOut(cause, effect *Finding) bool {
	return harmful(cause, effect) && cause.most && effect.way == handshake.Outbound
}

// onlyWay says whether an interface carried most of what this host sends and receives.
func onlyWay(cause, effect *Finding) bool { return harmful(cause, effect) && cause.most }

// wayOut says whether an interface that hardly carries anything any more can be on the way of what this host passes on.
func wayOut(cause, effect *Finding) bool {
	return severe(cause, effect) && effect.way == handshake.Forwarded
}

// onItsPath says whether what loses segments is on the way of handshakes: where it hit one peer or one network only, one of
// their ends must be it. That a copy to another host loses says nothing of clients whose SYN-ACKs are lost meanwhile.
func onItsPath(cause, effect *Finding) bool {
	return !cause.narrow.IsValid() || slices.ContainsFunc(effect.ends, func(a netip.Addr) bool { return cause.narrow.Contains(a.Unmap()) })
}

// harmfulThere says whether a cause that hurts is on the way of what it may have hit.
func harmfulThere(cause, effect *Finding) bool {
	return harmful(cause, effect) && onItsPath(cause, effect)
}

// ofOneInterface says whether two findings can be about the same interface: where both name some, they have one in common.
func ofOneInterface(cause, effect *Finding) bool {
	names := func(f *Finding) bool {
		return slices.ContainsFunc(f.Subjects, func(s subject.Subject) bool { return s.Kind() == subject.KindInterface })
	}
	return harmful(cause, effect) && (!names(cause) || !names(effect) || subject.AnyMeet(subject.KindInterface, cause.Subjects, effect.Subjects))
}

// losesAsMuch says whether what an interface loses can be what is sent again: a few damaged frames in a thousand are not the
// quarter of its segments that one peer lacks.
func losesAsMuch(cause, effect *Finding) bool {
	const chance = 3 // fold: the one is of all packets of the interface, the other of those to some peers
	return harmful(cause, effect) && chance*cause.lost >= effect.lost
}

// ofMostPeers says whether a cause is about half of the peers of what it may have caused, at least: one that fell silent is not why
// ten others are sent everything again.
func ofMostPeers(cause, effect *Finding) bool {
	peers, met := 0, 0
	for _, s := range effect.Subjects {
		if s.Kind() != subject.KindPeer {
			continue
		}
		peers++
		if subject.AnyMeet(subject.KindPeer, []subject.Subject{s}, cause.Subjects) {
			met++
		}
	}
	return 2*met >= peers
}

// heldUp says whether one delay can have made the other: packets that wait behind each other wait
// together, so that half of it is taken for enough, but no short one makes a long one.
func heldUp(cause, effect *Finding) bool { return cause.delay >= effect.delay/2 }

// counterSlack is the slack of what is told by counters and timers: a counter is read once
// a second, and what a listener drops shows at the client one RTO later.
const counterSlack = 3 * time.Second

// link draws the causes between findings. The order of an effect's causes is that of its
// check's literal, and does not depend on the order of checks.
func link(results []Result) {
	byCheck := map[*Check][]*Finding{}
	for _, r := range results {
		byCheck[r.Check] = r.Findings
	}
	for _, r := range results {
		for _, effect := range r.Findings {
			for i := range r.Check.Causes {
				l := &r.Check.Causes[i]
				for _, cause := range byCheck[l.Cause] {
					if l.joins(cause, effect) {
						effect.causedBy(cause, l.Because)
					}
				}
			}
		}
	}
}

// joins says whether one finding caused the other: they are of the variants that the link
// is about, at the same time, the effect did not begin first, and they meet on a subject.
func (l *Link) joins(cause, effect *Finding) bool {
	return (l.CauseVariant == "" || l.CauseVariant == cause.Variant) &&
		(l.EffectVariant == "" || l.EffectVariant == effect.Variant) &&
		cause.span().Overlaps(effect.span(), l.Slack.Nanoseconds()) && !effect.precedes(cause) &&
		subject.AnyMeet(l.On, cause.Subjects, effect.Subjects) &&
		(l.If == nil || l.If(cause, effect))
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

// Root says whether nothing that was found causes this.
func (f *Finding) Root() bool { return len(f.Causes) == 0 }

// Remark says whether the finding is about the evidence, and not about what happened.
func (f *Finding) Remark() bool { return f.remark }

// Ordered gives findings as a reader wants them: roots first, the worst before the
// others, each followed by its effects, and remarks behind all that happened. Every finding
// has a root above it, as causes make no circle. Effects of one cause stand in the order in which they began.
func Ordered(findings []*Finding) []*Finding {
	worst := slices.Clone(findings)
	ranks := map[*Finding]int{}
	for _, f := range findings {
		// What it causes first, then itself.
		ranks[f] = (Critical.Rank()+1)*f.Worst(findings).Rank() + f.Severity.Rank()
		if f.remark {
			ranks[f] = f.Severity.Rank() - Critical.Rank()
		}
	}
	slices.SortStableFunc(worst, func(a, b *Finding) int { return ranks[b] - ranks[a] })
	var ordered []*Finding
	var visit func(f *Finding, below map[*Finding]bool)
	visit = func(f *Finding, below map[*Finding]bool) {
		// An effect of two roots stands below the first; one of two causes below the same root behind both.
		if slices.Contains(ordered, f) || slices.ContainsFunc(f.roots, func(r *Finding) bool { return below[r] && !slices.Contains(ordered, r) }) {
			return
		}
		ordered = append(ordered, f)
		for _, effect := range InTime(f.Effects(worst)) {
			visit(effect, below)
		}
	}
	for _, f := range worst {
		if f.Root() {
			below := map[*Finding]bool{}
			f.descend(worst, below)
			visit(f, below)
		}
	}
	return ordered
}

// descend adds a finding and all that it causes, by one step or several.
func (f *Finding) descend(all []*Finding, to map[*Finding]bool) {
	if to[f] {
		return
	}
	to[f] = true
	for _, e := range f.Effects(all) {
		e.descend(all, to)
	}
}

// Worst gives the highest severity of a finding and of all that it causes, by one step or several: what is a remark by itself may
// be the root of an outage.
func (f *Finding) Worst(all []*Finding) Severity {
	worst := f.Severity
	for _, e := range f.Effects(all) { // causes make no circle
		if s := e.Worst(all); s.Rank() > worst.Rank() {
			worst = s
		}
	}
	return worst
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
