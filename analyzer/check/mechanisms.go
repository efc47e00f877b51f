package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

// mechanisms says what made the senders send again.
func (a *again) mechanisms(all uint64) string {
	var parts []string
	for _, m := range []struct {
		of   func(*traffic.Load) uint64
		text string
	}{
		{func(l *traffic.Load) uint64 { return l.Fast }, "after duplicate acknowledgements or SACK"},
		{func(l *traffic.Load) uint64 { return l.Timeout }, "after a timeout"},
		{func(l *traffic.Load) uint64 { return l.Probe }, "as a probe of the tail"},
	} {
		if n := a.sum(m.of); n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", unit.Count(n), m.text))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("In the whole window they sent %s again in %s: %s.", words.Plural(all, "segment", "segments"), a.hits(), words.List(parts))
}

// hits says how many connections were hit.
func (a *again) hits() string {
	hit, flows := a.sum(func(l *traffic.Load) uint64 { return l.Hit }), a.sum(func(l *traffic.Load) uint64 { return l.Flows })
	if a.bothEnds {
		return words.Of(hit, flows, "direction of connections", "directions of connections")
	}
	return words.Of(hit, flows, "connection", "connections")
}
