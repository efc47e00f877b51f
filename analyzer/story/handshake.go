package story

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/format/unit"
)

func endsOf(f *check.Flow) ends {
	return ends{netip.AddrPortFrom(f.Client, f.ClientPort), netip.AddrPortFrom(f.Server, f.ServerPort)}
}

func rowEnds(r *listing.Row) ends {
	return ends{netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort)}
}

// mostRungs is how many packets of a connection a ladder shows.
const mostRungs = 18

// handshake draws the example connection of a finding, or of what it causes, as a ladder: its repeated SYNs
// or SYN-ACKs with the gaps to scale.
func (t *teller) handshake(f *check.Finding) *Exhibit {
	for _, g := range append([]*check.Finding{f}, t.Doc.Caused(f)...) {
		for i := range g.Flows {
			x := &g.Flows[i]
			if len(x.SYNOffsets)+len(x.SYNACKOffsets) == 0 { // nothing was sent again
				continue
			}
			return t.ladder("One client's handshake, to scale", x, g)
		}
	}
	return nil
}

// attempt draws how one connection attempt of a finding failed: its SYNs, and the ICMP error that came back.
func (t *teller) attempt(f *check.Finding) *Exhibit {
	for i := range f.Flows {
		if w := t.wanted[endsOf(&f.Flows[i])]; w != nil && len(w.lines) > 0 {
			return t.ladder("One connection attempt, to scale", &f.Flows[i], f)
		}
	}
	return nil
}

// ladder draws an example connection of a finding from its first SYN on.
func (t *teller) ladder(title string, x *check.Flow, f *check.Finding) *Exhibit {
	l := plot.Ladder{Name: "ladder", Title: title, From: endsOf(x).first(), To: endsOf(x).second()}
	caption := t.openingCaption(x, f)
	l.Rungs = t.opening(x)
	if p := t.complaint(x); p != nil {
		from := p.Src.Netip(p.V6)
		if from != x.Server {
			l.Via = from.String()
			if e := t.Case.Evidence.Packets; e != nil && e.Local[from] {
				l.Via += " (this host)"
			}
		}
		caption += fmt.Sprintf(" %s sent an ICMP error about it (type %d, code %d) after %s.", from, p.ICMPType, p.ICMPCode, unit.Duration(time.Duration(p.Time-x.First.UnixNano())))
	}
	return exhibit(&l, t.filter(x), caption)
}

// complaint is the first ICMP error about an example connection, nil where none is known.
func (t *teller) complaint(x *check.Flow) *packet.Packet {
	w := t.wanted[endsOf(x)]
	if w == nil {
		return nil
	}
	for i := range w.lines {
		if p := &w.lines[i].p; p.Kind != packet.TCP && p.Time >= x.First.UnixNano() {
			return p
		}
	}
	return nil
}

// filter shows an example connection in Wireshark, and the ICMP errors about it, which may come after its own last packet.
func (t *teller) filter(x *check.Flow) string {
	if t.complaint(x) == nil {
		return x.Filter
	}
	w := t.wanted[endsOf(x)]
	return string(flow.AppendFilter(nil, w.client, w.server, w.lines[0].Time, w.lines[len(w.lines)-1].Time))
}

func (e ends) first() string  { return e.client.String() + " (client)" }
func (e ends) second() string { return e.server.String() }

// openingCaption says what the ladder shows.
func (t *teller) openingCaption(x *check.Flow, f *check.Finding) string {
	text := fmt.Sprintf("%v asked %v to connect at %s.", endsOf(x).client, endsOf(x).server, words.Clock(x.First))
	if len(x.SYNOffsets) > 0 {
		text += fmt.Sprintf(" Its SYN was sent again after %s.", words.Seconds(x.SYNOffsets))
	}
	text += answersText(x.SYNACKOffsets)
	if n := len(f.Flows); n > 1 {
		text += fmt.Sprintf(" It is one of %d examples of %s.", n, f.ID)
	}
	return text
}

// opening gives the rungs of a handshake: of its packets, or of what the finding lists where these could not
// be read again.
func (t *teller) opening(x *check.Flow) (rungs []plot.Rung) {
	w := t.wanted[endsOf(x)]
	if w == nil || len(w.lines) == 0 {
		return listed(x)
	}
	begin := x.First.UnixNano()
	begun := false
	for _, line := range w.lines {
		if line.Time < begin-1e6 {
			continue
		}
		r := w.rung(&line.p, line.Time-begin)
		if line.p.Flags.Has(packet.SYN) || line.p.Kind != packet.TCP {
			r.Loud = true
		}
		if rungs = append(rungs, r); line.p.Payload > 0 && !r.Right {
			begun = true
		}
		if begun && len(rungs) > 6 || len(rungs) >= mostRungs {
			break
		}
	}
	return unanswered(rungs)
}

// listed makes rungs of a finding's own lists.
func listed(x *check.Flow) (rungs []plot.Rung) {
	for _, s := range append([]float64{0}, x.SYNOffsets...) { // since the first, which they leave out
		rungs = append(rungs, plot.Rung{At: int64(s * 1e9), Right: true, Label: "SYN", Loud: true})
	}
	for _, s := range x.SYNACKOffsets {
		rungs = append(rungs, plot.Rung{At: int64(s * 1e9), Label: "SYN, ACK", Loud: true})
	}
	slices.SortStableFunc(rungs, func(a, b plot.Rung) int { return int(min(max(a.At-b.At, -1), 1)) })
	return unanswered(rungs)
}

// unanswered marks SYNs behind which the same side sends the next one without anything in between, and those that came no further
// than whoever sent an ICMP error about them.
func unanswered(rungs []plot.Rung) []plot.Rung {
	for i := range rungs {
		if i+1 < len(rungs) && rungs[i].Loud && rungs[i+1].Half && rungs[i].Right != rungs[i+1].Right {
			rungs[i].Lost, rungs[i].Half = true, true
		}
		if i+1 < len(rungs) && rungs[i].Loud && rungs[i+1].Loud && rungs[i].Right == rungs[i+1].Right && rungs[i].Label == rungs[i+1].Label {
			rungs[i].Lost = true
		}
	}
	if n := len(rungs); n > 0 && rungs[n-1].Loud && !rungs[n-1].Error {
		rungs[n-1].Lost = true
	}
	return rungs
}

// rung turns a packet into one.
func (w *wanted) rung(p *packet.Packet, at int64) plot.Rung {
	from, _ := endsIn(p)
	r := plot.Rung{At: max(0, at), Right: from == w.client, Label: said(p)}
	if p.Kind != packet.TCP { // it comes back to who sent what it is about
		r.Right, r.Half = !r.Right, p.Src.Netip(p.V6) != from.Addr() && p.Src.Netip(p.V6) != w.server.Addr()
		r.Error, r.Label = true, fmt.Sprintf("ICMP type %d, code %d", p.ICMPType, p.ICMPCode)
	}
	return r
}

// said is what a segment says, in a few words.
func said(p *packet.Packet) string {
	text := ""
	for _, f := range []struct {
		flag packet.Flags
		name string
	}{{packet.SYN, "SYN"}, {packet.FIN, "FIN"}, {packet.RST, "RST"}, {packet.ACK, "ACK"}} {
		if p.Flags.Has(f.flag) {
			text += ", " + f.name
		}
	}
	if p.Payload > 0 {
		if text == ", ACK" {
			text = ""
		}
		text += ", " + words.Plural(p.Payload, "byte", "bytes")
	}
	return text[min(2, len(text)):]
}

// answersText says when SYN-ACKs were sent again.
func answersText(offsets []float64) string {
	const atOnce = 0.01 // s: to two digits all would be 0
	switch n := len(offsets); {
	case n == 0:
		return ""
	case offsets[n-1] < atOnce:
		return fmt.Sprintf(" %d SYN-ACKs were sent at once.", n+1)
	}
	return fmt.Sprintf(" The SYN-ACK was sent again after %s.", words.Seconds(offsets))
}

// ladderAlt tells what a ladder shows.
func ladderAlt(l *plot.Ladder) string {
	text := fmt.Sprintf("Packets between %s and %s, with time to scale:", l.From, l.To)
	if l.Via != "" {
		text = fmt.Sprintf("Packets between %s and %s, with %s between them, with time to scale:", l.From, l.To, l.Via)
	}
	for i, r := range l.Rungs {
		who := "client"
		switch {
		case r.Half && r.Error:
			who = l.Via
		case !r.Right:
			who = "server"
		}
		if i > 0 {
			text += ";"
		}
		when := "at first"
		if r.At > 0 {
			when = "after " + unit.Duration(time.Duration(r.At))
		}
		text += fmt.Sprintf(" %s %s: %s", when, who, r.Label)
		if r.Lost {
			text += " (nothing came of it)"
		}
	}
	if l.Until > 0 {
		text += fmt.Sprintf("; after %s %s", unit.Duration(time.Duration(l.Until)), l.UntilName)
	}
	return text + "."
}

// answer draws how long one request waited for its answer, or that none came.
func (t *teller) answer(f *check.Finding) *Exhibit {
	w := t.worst(f)
	if w == nil || len(w.packets) == 0 {
		return nil
	}
	asked, at := w.longest()
	if asked < 0 {
		return nil
	}
	l, filter := w.around(max(asked, at), func(i int) bool { return i == asked || i == at })
	l.Name, l.Title = "answer", "How long one answer took, to scale"
	q := &w.packets[asked]
	if at >= 0 {
		return exhibit(l, filter, fmt.Sprintf("%v answered a request of %v after %s.", w.server, w.client, unit.Duration(time.Duration(w.packets[at].Time-q.Time))))
	}
	end := t.Case.Evidence.Packets.Last
	l.Title, l.Until, l.UntilName = "How long one request waited, to scale", end-w.packets[max(0, asked-before)].Time, "the capture ends"
	return exhibit(l, filter, fmt.Sprintf("%v sent a request to %v at %s, and had no answer when the capture ended, %s later.", w.client, w.server,
		words.Clock(time.Unix(0, q.Time)), unit.Duration(time.Duration(end-q.Time))))
}

// longest finds the longest pause before a packet of the server's with data, behind one of the client's. Where there is none, at is
// negative, and asked is the last request; that is negative too where the client never asked.
func (w *wanted) longest() (asked, at int) {
	asked, at = -1, -1
	last, longest := -1, int64(0) // the last packet with data
	for i := range w.packets {
		p := &w.packets[i]
		if p.Payload == 0 {
			continue
		}
		if last >= 0 && p.SrcAddrPort() == w.server && w.packets[last].SrcAddrPort() == w.client && p.Time-w.packets[last].Time > longest {
			asked, at, longest = last, i, p.Time-w.packets[last].Time
		}
		last = i
	}
	if at < 0 && last >= 0 && w.packets[last].SrcAddrPort() == w.client {
		return last, -1
	}
	return asked, at
}

// reset draws how one connection was reset, or refused.
func (t *teller) reset(f *check.Finding) *Exhibit {
	w := t.worst(f)
	if w == nil {
		return nil
	}
	at := slices.IndexFunc(w.packets, func(p packet.Packet) bool { return p.Flags.Has(packet.RST) })
	if at < 0 {
		return nil
	}
	loud := func(i int) bool { return w.packets[i].Flags.Has(packet.RST) }
	p := &w.packets[at]
	who, whom, when := p.SrcAddrPort(), p.DstAddrPort(), words.Clock(time.Unix(0, p.Time))
	switch {
	case f.ID == "middlebox-reset":
		l, filter := w.around(at, loud)
		l.Name, l.Title, l.Via = "reset", "How somebody between reset one connection, to scale", "somebody between"
		for i := range l.Rungs {
			l.Rungs[i].Half = l.Rungs[i].Loud
		}
		return exhibit(l, filter, fmt.Sprintf("At %s a RST came in the name of %v%s. It ended the connection with %v.", when, who, w.strange(at), whom))
	case f.ID == "connection-refused" && at > 0 && w.packets[at-1].Flags.Has(packet.SYN):
		l, filter := w.around(at, loud)
		l.Name, l.Title = "reset", "How one connection attempt was refused, to scale"
		return exhibit(l, filter, fmt.Sprintf("%v refused the connection attempt of %v at %s, %s after its SYN.", who, whom, when, unit.Duration(time.Duration(p.Time-w.packets[at-1].Time))))
	}
	l, filter := w.around(at, loud)
	l.Name, l.Title = "reset", "How one connection was reset, to scale"
	return exhibit(l, filter, fmt.Sprintf("%v reset its connection with %v at %s.", who, whom, when))
}

// strange says how the TTL of a packet differs from those of all others of its sender's; empty where it does not.
func (w *wanted) strange(at int) string {
	p := &w.packets[at]
	for i := range w.packets {
		if q := &w.packets[i]; q.SrcAddrPort() == p.SrcAddrPort() && !q.Flags.Has(packet.RST) {
			if q.TTL == p.TTL {
				return ""
			}
			return fmt.Sprintf(" with a TTL of %d; the other packets from there have %d", p.TTL, q.TTL)
		}
	}
	return ""
}

// before and after are how many packets a ladder shows beside the one that it is about.
const before, after = 9, 5

// around makes a ladder of the packets near one of a connection, and the filter that shows it.
func (w *wanted) around(at int, loud func(i int) bool) (*plot.Ladder, string) {
	first, last := max(0, at-before), min(len(w.packets), at+after)
	l := &plot.Ladder{From: w.first(), To: w.second()}
	for i := first; i < last; i++ {
		r := w.rung(&w.packets[i], w.packets[i].Time-w.packets[first].Time)
		r.Loud = loud(i)
		l.Rungs = append(l.Rungs, r)
	}
	return l, string(flow.AppendFilter(nil, w.client, w.server, w.packets[0].Time, w.packets[len(w.packets)-1].Time))
}

// exhibit draws a ladder.
func exhibit(l *plot.Ladder, filter, caption string) *Exhibit {
	l.Alt = ladderAlt(l)
	return &Exhibit{Picture: l.Picture(), Caption: caption, Filter: filter}
}
