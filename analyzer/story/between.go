package story

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/format/unit"
)

// mostHops bounds the pairs of places that are drawn: those between which most was lost.
const mostHops = 5

// seen gives what was seen at several places, nil without any such packet.
func (t *teller) seen() *evidence.Between {
	if p := t.Case.Evidence.Packets; p != nil && p.Between != nil && len(p.Between.Pairs) > 0 {
		return p.Between
	}
	return nil
}

// places draws the places with what was lost and held up between them.
func (t *teller) places(f *check.Finding) *Exhibit {
	b := t.seen()
	if b == nil {
		return nil
	}
	pairs := slices.Clone(b.Pairs)
	lost := func(p *taps.Pair) uint64 { return p.Ways[0].Lost + p.Ways[1].Lost }
	slices.SortStableFunc(pairs, func(p, q *taps.Pair) int {
		return cmp.Or(cmp.Compare(lost(q), lost(p)), cmp.Compare(q.Ways[0].Refused, p.Ways[0].Refused))
	})
	h := plot.Hops{Name: "places", Title: "From place to place: what passed, and what was lost"}
	for _, p := range pairs[:min(mostHops, len(pairs))] {
		h.Hops = append(h.Hops, t.hop(b, p))
		for i, w := range []string{"to", "back to"} {
			h.Alt += fmt.Sprintf("%s %s %s: %s. ", h.Hops[len(h.Hops)-1].From, w, h.Hops[len(h.Hops)-1].To, wayText(&p.Ways[i]))
		}
	}
	e := &Exhibit{Caption: "Arrows are the ways between places at which the same segments were seen; a cross stands where some of them did not arrive."}
	if n := len(pairs) - mostHops; n > 0 {
		e.Caption += fmt.Sprintf(" %s with less are not drawn.", words.Plural(uint64(n), "pair of places", "pairs of places"))
	}
	if f != nil && len(f.Flows) > 0 {
		e.Filter = f.Flows[0].Filter
	}
	e.Picture = h.Picture()
	return e
}

// hop is a pair as it is drawn.
func (t *teller) hop(b *evidence.Between, p *taps.Pair) plot.Hop {
	h := plot.Hop{From: b.Places[p.A].Name, To: b.Places[p.B].Name, Note: words.Plural(p.Conns, "connection", "connections")}
	for i, to := range []*plot.Way{&h.Forth, &h.Back} {
		w := &p.Ways[i]
		*to = plot.Way{Label: wayText(w), Lost: w.Lost > 0 || w.Refused > 0, Empty: w.Lost+w.Passed == 0}
		for _, f := range t.Doc.Findings { // as bad as a check calls it
			if f.ID == "lost-between" && f.Object == b.Places[w.From].Name+" → "+b.Places[w.To].Name {
				to.Level = max(to.Level, level(f.Severity))
			}
		}
	}
	if one, other := &p.Ways[0].Delay, &p.Ways[1].Delay; one.N > 0 && other.N > 0 {
		h.Note += fmt.Sprintf("; there and back %s at least", unit.Duration(time.Duration(one.Min+other.Min)))
	}
	if n := len(p.Translated); n > 0 {
		h.Note += fmt.Sprintf("; %v is %v there", p.Translated[0].A, p.Translated[0].B)
	}
	return h
}

// joins says whether a finding is about one of two ways between places.
func joins(f *check.Finding, from, to string) bool {
	has := func(name string) bool {
		return slices.Contains(f.Subjects, subject.Subject(subject.Interface{Name: name}))
	}
	return has(from) && has(to)
}

// wayText says what became of the segments of a way.
func wayText(w *taps.Way) string {
	if w.Lost+w.Passed == 0 && w.Refused == 0 {
		return "nothing seen"
	}
	text := words.Of(w.Lost, w.Lost+w.Passed, "segment", "segments") + " lost"
	if w.Refused > 0 {
		text += fmt.Sprintf(", and all SYNs of %s", words.Plural(w.Refused, "attempt", "attempts"))
	}
	return text
}

// lostBySecond draws when segments were lost, of the pair that a finding is about.
func (t *teller) lostBySecond(f *check.Finding) *Exhibit {
	return t.bySecond(f, "lost-by-second", "Segments lost from place to place, by second", unit.PerSecond,
		"Each segment is counted in the second in which the place before saw it.",
		func(_ *taps.Way, s *taps.Second) float64 { return float64(s.Lost) })
}

// heldBySecond draws by how much the quickest segment of each second was held up.
func (t *teller) heldBySecond(f *check.Finding) *Exhibit {
	return t.bySecond(f, "held-by-second", "How much longer the quickest segment of each second took than the quickest of all", unit.Seconds,
		"A standing queue holds up every segment, and so the quickest, too; it does not depend on how far the clocks are apart.",
		func(w *taps.Way, s *taps.Second) float64 {
			if s.Passed == 0 {
				return math.NaN()
			}
			return float64(s.Min-w.Delay.Min) / 1e9
		})
}

// bySecond draws a number of both ways of the pair that a finding is about.
func (t *teller) bySecond(f *check.Finding, name, title, unitName, caption string, value func(*taps.Way, *taps.Second) float64) *Exhibit {
	b := t.seen()
	if b == nil {
		return nil
	}
	at := slices.IndexFunc(b.Pairs, func(p *taps.Pair) bool { return joins(f, b.Places[p.A].Name, b.Places[p.B].Name) })
	if at < 0 {
		return nil
	}
	r := t.base(name, title, unitName)
	r.Height = 190
	for i := range b.Pairs[at].Ways {
		w := &b.Pairs[at].Ways[i]
		l := plot.Line{Name: b.Places[w.From].Name + " → " + b.Places[w.To].Name, Step: unitName == unit.PerSecond}
		if l.Step { // the first second, too, begins somewhere
			l.T, l.V = append(l.T, t.window.Start), append(l.V, math.NaN())
		}
		for s := t.window.Start / 1e9; s <= t.window.End/1e9; s++ {
			second := w.Seconds[s]
			if second == nil {
				second = &taps.Second{} // nothing went this way
			}
			l.T, l.V = append(l.T, min((s+1)*1e9, t.window.End)), append(l.V, value(w, second))
		}
		r.Lines = append(r.Lines, l)
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: caption}
}

// placeTable lists every way between places.
func (t *teller) placeTable() *Table {
	b := t.Doc.Between
	if b == nil || len(b.Pairs) == 0 {
		return nil
	}
	table := &Table{Name: "places", Title: "From place to place", Columns: []Column{
		{"From", false}, {"To", false}, {"Passed", true}, {"Lost", true}, {"Part", true}, {"Attempts lost", true}, {"Acknowledged unseen", true}, {"Seen behind only", true}, {"Held p50", true}, {"Held p99", true}, {"Held at most", true},
	}, Note: "Segments with data, SYN or FIN, repetitions included. Held is how much longer they took than the quickest."}
	for i := range b.Pairs {
		for j := range b.Pairs[i].Ways {
			w := &b.Pairs[i].Ways[j]
			part := float64(w.Lost) / float64(max(1, w.Lost+w.Passed))
			held := []Cell{{Sort: -1}, {Sort: -1}, {Sort: -1}}
			if h := w.Held; h != nil {
				held = []Cell{millis(h.P50), millis(h.P99), millis(h.Max)}
			}
			table.Rows = append(table.Rows, append([]Cell{word(b.Places[w.From].Name), word(b.Places[w.To].Name), count(w.Passed), count(w.Lost),
				{unit.Percent(part), part}, count(w.AttemptsLost), count(w.Unseen), count(w.Extra)}, held...))
		}
	}
	for i := range b.Clocks {
		if text := b.Clocks[i].Text(); text != "" {
			table.Note += fmt.Sprintf(" Clock of %s: %s.", b.Clocks[i].Input, text)
		}
	}
	return table
}
