package story

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

// impact says what users noticed: who waited to be connected, or else the effects that are critical.
func (t *teller) impact() []string {
	all := t.waited()
	if len(all) > 0 {
		return all
	}
	const most = 3
	for _, f := range t.incident()[min(1, len(t.incident())):] {
		if f.Severity == check.Critical && len(all) < most {
			all = append(all, f.Headline)
		}
	}
	return all
}

// waited says of the services whose clients waited most how long that was.
func (t *teller) waited() (all []string) {
	if t.Flows == nil {
		return nil
	}
	type entry struct {
		at netip.AddrPort
		*wait
	}
	var list []entry
	for at, w := range t.Flows.waits {
		if w.late+w.never > 0 {
			list = append(list, entry{at, w})
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.late+b.never, a.late+a.never), a.at.Compare(b.at))
	})
	for _, e := range list[:min(len(list), 2)] {
		all = append(all, e.text(e.at))
	}
	return all
}

// text is the sentence about a service.
func (w *wait) text(at netip.AddrPort) string {
	short := func(ns int64) string { return unit.Duration(time.Duration(ns)) }
	switch {
	case w.late == 0:
		return fmt.Sprintf("%s to %s sent SYNs again and were not connected when the capture ended.", words.Sentence(words.Of(w.never, w.attempts, "connection attempt", "connection attempts")), at)
	case w.never == 0:
		return fmt.Sprintf("%s to %s waited %s to connect.", words.Sentence(words.Of(w.late, w.attempts, "connection attempt", "connection attempts")), at, between(short(w.least), short(w.most)))
	}
	return fmt.Sprintf("%s to %s waited %s to connect; %s more were not connected when the capture ended.",
		words.Sentence(words.Of(w.late, w.attempts, "connection attempt", "connection attempts")), at, between(short(w.least), short(w.most)), unit.Count(w.never))
}

// between writes a range, or one value.
func between(least, most string) string {
	if least == most {
		return least
	}
	return least + " to " + most
}
