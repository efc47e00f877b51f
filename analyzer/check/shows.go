package check

import (
	"slices"

	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// shows are the series, beside a check's own evidence and the vitals that it explains, in which its findings can be
// seen: names or patterns of timeline.Set.Match, what says most first.
var shows = map[string][]string{
	"listen-overflow":      {"packets.inbound.syn.repeated", "packets.inbound.connect.max", "packets.inbound.connected", "packets.inbound.synack.repeated"},
	"app-stalled":          {"packets.inbound.think.max", "packets.inbound.connected"},
	"syn-retransmit":       {"packets.*syn.repeated", "packets.*connect.max", "packets.*syn"},
	"synack-retransmit":    {"packets.*synack.repeated", "packets.*connect.max"},
	"syn-recv-pileup":      {"packets.inbound.syn", "packets.inbound.syn.answered", "packets.inbound.connected"},
	"syn-flood":            {"packets.inbound.syn", "packets.inbound.syn.answered", "packets.inbound.connected"},
	"syn-cookies":          {"packets.inbound.syn", "packets.inbound.syn.answered", "packets.inbound.connected"},
	"local-drop":           {"packets.*syn.repeated", "packets.*synack.repeated", "drop.*"},
	"conntrack-full":       {"packets.*syn.repeated", "conntrack.count"},
	"rtt-spike":            {"packets.rtt.over.p99", "packets.rtt.over.max", "packets.rtt.p50"},
	"retransmission-burst": {"packets.*retrans.timeout", "packets.*retrans.fast", "packets.*retrans.probe", "packets.peer.*.retrans"},
	"loss-ratio":           {"packets.*retrans.timeout", "packets.*retrans.fast", "packets.*retrans.probe", "packets.peer.*.retrans"},
	"slow-application":     {"packets.*think.p99", "packets.*think.p50", "packets.rtt.p99"},
	"slow-upstream":        {"packets.outbound.think.p99", "packets.inbound.think.p99", "packets.outbound.think.p50"},
	"zero-window":          {"packets.*zero_windows"},
	"reset-storm":          {"packets.*resets"},
	"middlebox-reset":      {"packets.*resets"},
	"connection-refused":   {"packets.*resets", "packets.*syn"},
	"connect-failed":       {"packets.outbound.syn", "packets.outbound.syn.repeated", "packets.outbound.connected"},
	"port-exhaustion":      {"packets.outbound.connected"},
	"peer-vanished":        {"packets.*retrans.timeout"},
	"pmtu-blackhole":       {"packets.*retrans.timeout"},
	"echo-delayed":         {"packets.rtt.over.max"},
	"softirq-stall":        {"packets.rtt.over.max"},
	"tcp-collapse":         {"packets.rtt.over.max"},
}

// Shown gives the series in which a finding can be seen, what says most first: the one that it rests on, what packets show
// of it, what else its evidence names, and the vitals that its check explains. A series that does not change shows nothing.
func (f *Finding) Shown(lines *timeline.Set) (all []*timeline.Series) {
	var named []string
	for _, item := range f.Evidence {
		if item.Kind != "counter" && item.Kind != "series" {
			continue
		}
		name := item.Where
		if known := moved.Known(name); lines.Get(known) != nil { // four times as fine
			name = known
		}
		named = append(named, name)
	}
	first := min(1, len(named)) // what the finding rests on
	patterns := slices.Concat(named[:first], shows[f.ID], named[first:])
	if k := Find(f.ID); k != nil {
		patterns = append(patterns, k.Explains...)
	}
	for _, pattern := range patterns {
		found, _ := lines.Match(pattern) // what is no pattern names no series
		for _, s := range found {
			if s.Changes() && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}
