package report

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/format/unit"
)

// Between is what the packets tell that were seen at several places.
type Between struct {
	Places []BetweenPlace `json:"places"`
	Pairs  []BetweenPair  `json:"pairs"`
	Clocks []BetweenClock `json:"clocks"` // of each input; empty for a single one
	// Renumbered counts connections whose segments cannot be found again.
	Renumbered uint64 `json:"renumbered"`

	several bool // inputs
}

// BetweenPlace is an interface of an input.
type BetweenPlace struct {
	Name    string `json:"name"`
	Input   string `json:"input"`
	Packets uint64 `json:"packets"`
	Dropped uint64 `json:"dropped"`
}

// BetweenPair is two places that follow each other on the way of some connections.
type BetweenPair struct {
	Connections uint64        `json:"connections"`
	RoundTrip   *float64      `json:"round_trip_ms,omitempty"`
	Translated  []Translated  `json:"translated"`
	Ways        [2]BetweenWay `json:"ways"`

	clock *BetweenClock // nil within one input
}

// Translated is a service before and behind a translation.
type Translated struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// BetweenWay is [taps.Way].
type BetweenWay struct {
	From         int    `json:"from"`
	To           int    `json:"to"`
	Passed       uint64 `json:"passed"`
	Lost         uint64 `json:"lost"`
	Unseen       uint64 `json:"unseen"`
	Extra        uint64 `json:"extra"`
	Resets       uint64 `json:"resets"`
	Silent       uint64 `json:"silent"`
	AttemptsLost uint64 `json:"attempts_lost"`
	SYNsLost     uint64 `json:"syns_lost"`
	Held         *Held  `json:"held_ms,omitempty"`

	least time.Duration // on the clocks as they were put
}

// Held is how much longer segments took than the quickest, in ms.
type Held struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// BetweenClock is [taps.Alignment].
type BetweenClock struct {
	Input  string  `json:"input"`
	With   string  `json:"with"`
	Shared int     `json:"shared"`
	Ahead  float64 `json:"ahead_ms"`
	Error  float64 `json:"error_ms"`
	Drift  float64 `json:"drift_ms"`
	OneWay bool    `json:"one_way"`
	Uneven bool    `json:"uneven"`

	astray, itself, known bool
}

// between takes over what was found; nil where no packet was seen at two places and one input is all.
func between(e *evidence.Evidence) *Between {
	if e.Packets == nil || e.Packets.Between == nil {
		return nil
	}
	b := e.Packets.Between
	if len(b.Pairs) == 0 && len(b.Clocks) < 2 {
		return nil
	}
	d := &Between{Places: []BetweenPlace{}, Pairs: []BetweenPair{}, Clocks: []BetweenClock{}, Renumbered: b.Renumbered, several: len(b.Clocks) > 1}
	names := map[int]string{}
	for i := range b.Places {
		p := &b.Places[i]
		d.Places = append(d.Places, BetweenPlace{p.Name, p.Member, p.Packets, p.Lost})
		names[p.Input] = p.Source
	}
	for i, c := range b.Clocks {
		if names[i] == "" || names[c.With] == "" {
			continue // an input without a packet
		}
		d.Clocks = append(d.Clocks, BetweenClock{
			Input: names[i], With: names[c.With], Shared: c.Shared, Ahead: ms(c.Ahead), Error: ms(c.Error), Drift: ms(c.Drift),
			OneWay: c.OneWay, Uneven: c.Uneven, astray: c.Astray, itself: c.With == i && c.Known(), known: c.Known(),
		})
	}
	for _, p := range b.Pairs {
		d.Pairs = append(d.Pairs, d.pair(b, p))
	}
	return d
}

// ms gives ns as ms.
func ms(ns int64) float64 { return float64(ns) / 1e6 }

// pair takes over two places.
func (d *Between) pair(b *evidence.Between, p *taps.Pair) BetweenPair {
	pair := BetweenPair{Connections: p.Conns, Translated: []Translated{}}
	for _, t := range p.Translated {
		pair.Translated = append(pair.Translated, Translated{t.A.String(), t.B.String()})
	}
	for i := range p.Ways {
		w := &p.Ways[i]
		way := BetweenWay{
			From: w.From, To: w.To, Passed: w.Passed, Lost: w.Lost, Unseen: w.Unseen, Extra: w.Extra, Resets: w.Reset,
			Silent: w.Silent, AttemptsLost: w.Refused, SYNsLost: w.SYNs, least: time.Duration(w.Delay.Min),
		}
		if w.Delay.N > 0 {
			beyond := func(share float64) float64 { return ms(w.Delay.Quantile(share) - w.Delay.Min) }
			way.Held = &Held{beyond(0.5), beyond(0.99), ms(w.Delay.Max - w.Delay.Min)}
		}
		pair.Ways[i] = way
	}
	if pair.Ways[0].Held != nil && pair.Ways[1].Held != nil {
		trip := ms(int64(pair.Ways[0].least + pair.Ways[1].least))
		pair.RoundTrip = &trip
	}
	one, other := b.Places[p.A].Source, b.Places[p.B].Source
	for i := range d.Clocks {
		if c := &d.Clocks[i]; one != other && (c.Input == one && c.With == other || c.Input == other && c.With == one) {
			pair.clock = c
		}
	}
	return pair
}

// between sets the section about places, where there is more to say than that one host's interfaces see
// the same packets.
func (p *page) between(b *Between) {
	if b == nil {
		return
	}
	titled := false
	title := func() {
		if !titled {
			p.section("From place to place")
		}
		titled = true
	}
	for i := range b.Pairs {
		if pair := &b.Pairs[i]; b.several || len(pair.Translated) > 0 || pair.Ways[0].Lost+pair.Ways[1].Lost > 0 {
			title()
			p.pair(b, pair)
		}
	}
	for i := range b.Clocks {
		if text := b.Clocks[i].Text(); text != "" {
			title()
			p.named("clock of "+b.Clocks[i].Input, text)
		}
	}
	if b.Renumbered > 0 {
		title()
		p.named("", words.Plural(b.Renumbered, "connection has", "connections have")+" other sequence numbers at another input, as behind a firewall that chooses them anew: their segments cannot be found again, and they are told of as the first input has them")
	}
}

// pair sets two places.
func (p *page) pair(b *Between, pair *BetweenPair) {
	for i := range pair.Ways {
		w := &pair.Ways[i]
		text := "nothing seen"
		if w.Lost+w.Passed+w.AttemptsLost > 0 {
			text = words.Of(w.Lost, w.Lost+w.Passed, "segment", "segments") + " lost"
		}
		if w.AttemptsLost > 0 {
			text += fmt.Sprintf(", and all %s of %s", words.Plural(w.SYNsLost, "SYN", "SYNs"), words.Plural(w.AttemptsLost, "connection attempt", "connection attempts"))
		}
		if w.Unseen > 0 {
			text += fmt.Sprintf("; %s acknowledged without having been seen behind", unit.Count(w.Unseen))
		}
		if w.Extra > 0 {
			text += fmt.Sprintf("; %s seen behind only", unit.Count(w.Extra))
			if w.Resets > 0 {
				text += fmt.Sprintf(", %s of them", words.Plural(w.Resets, "RST", "RSTs"))
			}
		}
		if w.Silent > 0 {
			text += fmt.Sprintf("; %s sent after the last packet behind, and not counted", unit.Count(w.Silent))
		}
		if w.Held != nil {
			text += fmt.Sprintf("; held up beyond the quickest: p50 %s, p99 %s, at most %s", duration(w.Held.P50), duration(w.Held.P99), duration(w.Held.Max))
		}
		p.named(b.Places[w.From].Name+" → "+b.Places[w.To].Name, text)
	}
	about := words.Plural(pair.Connections, "connection", "connections")
	if pair.RoundTrip != nil {
		about += fmt.Sprintf(", there and back %s at least", duration(*pair.RoundTrip)) + pair.split()
	}
	for _, t := range pair.Translated {
		about += fmt.Sprintf("; %s is %s there", t.From, t.To)
	}
	p.named("", about)
}

// split says how long each way takes, where the clocks tell.
func (pair *BetweenPair) split() string {
	c := pair.clock
	switch {
	case c == nil:
		return fmt.Sprintf(", %s and %s", unit.Duration(pair.Ways[0].least), unit.Duration(pair.Ways[1].least))
	case c.Uneven || c.OneWay:
		return ""
	case c.Error > *pair.RoundTrip/4: // of what each way takes, half is not known
		return "; how much of it each way takes only clocks could tell that are kept to better than that"
	}
	return fmt.Sprintf(", %s and %s, ± %s", unit.Duration(pair.Ways[0].least), unit.Duration(pair.Ways[1].least), duration(c.Error))
}

// Text says how a clock runs beside the one that all are put on; empty for that one.
func (c *BetweenClock) Text() string {
	switch {
	case c.itself:
		return ""
	case !c.known:
		return "it has no packet in common with another input, or can be read only once: its times are taken as they are"
	case c.OneWay:
		return fmt.Sprintf("%s in common with %s, all of one way: how far the clocks are apart cannot be told", words.Plural(c.Shared, "packet", "packets"), c.With)
	case c.Uneven:
		return fmt.Sprintf("no constant offset and drift to that of %s suits all packets: one of the two was set or slewed", c.With)
	}
	side, ahead := "ahead of", c.Ahead
	if ahead < 0 {
		side, ahead = "behind", -ahead
	}
	text := fmt.Sprintf("%s %s that of %s, ± %s", duration(ahead), side, c.With, duration(c.Error))
	if c.Drift != 0 {
		text += fmt.Sprintf("; it gains %s meanwhile", duration(c.Drift))
	}
	if c.astray {
		text += "; the hosts say that their clocks are right to less than that"
	}
	return text
}

// duration writes ms.
func duration(ms float64) string { return unit.Duration(time.Duration(ms * 1e6)) }
