package check

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// Limits that the checks of sockets' states share.
var (
	stateMany = Limit{"sockets", 50, "sockets",
		"a busy host has some tens in any state of closing for the moment that closing takes"}
	stateFactor = Limit{"factor", 3, "times the usual",
		"more than a host of this load usually has: what is so all day is no jump"}
	stateHold = Limit{"duration", 2, "s",
		"a program that closes a thousand connections at once (a deploy, a pool that is emptied) has them closed within a second or two"}
)

// pileup is a vital that counts sockets of one state, and rose.
type pileup struct {
	vital       string
	span        timeline.Span
	usual, most float64
	end         float64       // the last value
	from        float64       // the last value that was usual, before it rose
	rise        timeline.Span // from then to its highest
	growth      float64       // 1/s meanwhile
}

// pileup finds the longest run in which a vital was far above its usual, the lower quartile of its values.
// What is NaN was not measured.
func (c *Case) pileup(vital string) (p pileup, ok bool) {
	p = pileup{vital: vital}
	line := c.Lines.Get(vital)
	if line == nil {
		return p, false
	}
	p.usual = quantile(measured(line), 0.25)
	p.span, ok = line.Longest(c.Window, max(stateMany.Value, stateFactor.Value*p.usual))
	if !ok || float64(p.span.End-p.span.Start)/1e9 < stateHold.Value {
		return p, false
	}
	most, at, _ := line.Max(p.span)
	p.most = most
	for i := len(line.V) - 1; i >= 0; i-- {
		if !math.IsNaN(line.V[i]) {
			p.end = line.V[i]
			break
		}
	}
	p.risen(line, at)
	return p, true
}

// risen says from when on it rose to its highest, and how fast. Where it was never usual before, that is from the first value on.
func (p *pileup) risen(line *timeline.Series, highest int64) {
	p.from = math.NaN()
	for i, t := range line.T {
		if v := line.V[i]; t <= p.span.Start && (v <= p.usual || v == v && p.from != p.from) {
			p.from, p.rise = v, timeline.Span{Start: t, End: highest}
		}
	}
	if took := float64(p.rise.End-p.rise.Start) / 1e9; took > 0 {
		p.growth = (p.most - p.from) / took
	}
}

// measured gives the values of a series that were measured.
func measured(s *timeline.Series) []float64 {
	return slices.DeleteFunc(slices.Clone(s.V), math.IsNaN)
}

// held is who holds the sockets of a state when the window ended.
type held struct {
	name    string // of the process, or the peer's address
	n       int
	line    int // of the first in sockets.jsonl
	process *member.Process
	peer    netip.Addr
	local   map[uint16]int // by local port
}

// holders groups the sockets of a state at the end, the most first.
func (c *Case) holders(state string, by func(s *member.Socket) (name string, ok bool)) (all []*held, n int) {
	names := map[string]*held{}
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.At != member.AtEnd || s.State != state {
			continue
		}
		n++
		name, ok := by(s)
		if !ok {
			continue
		}
		h := names[name]
		if h == nil {
			h = &held{name: name, line: s.Line, peer: s.Remote.Unmap(), local: map[uint16]int{}}
			if at := c.ownerOf(s); at != nil {
				h.process = at
			}
			names[name] = h
			all = append(all, h)
		}
		h.n++
		h.local[s.LocalPort]++
	}
	slices.SortStableFunc(all, func(a, b *held) int { return cmp.Compare(b.n, a.n) })
	return all, n
}

// ownerOf gives the process of a socket. The recorder looks for those of listeners and of few others: what
// was accepted at a port belongs to whoever listens there, or has been handed on by it.
func (c *Case) ownerOf(s *member.Socket) *member.Process {
	if len(s.Process) > 0 {
		return &s.Process[0]
	}
	at := subject.Service{Addr: netip.AddrPortFrom(s.Local.Unmap(), s.LocalPort)}
	l := c.Evidence.Listener(func(l *member.Socket) bool {
		return len(l.Process) > 0 && l.LocalPort == s.LocalPort && subject.Meets(bound(l), at)
	})
	if l == nil {
		return nil
	}
	return &l.Process[0]
}

// byOwner groups sockets by their process, and those that this host opened by whom they are with.
func (c *Case) byOwner(s *member.Socket) (string, bool) {
	if p := c.ownerOf(s); p != nil {
		return fmt.Sprintf("%s, pid %d", p.Comm, p.PID), true
	}
	return fmt.Sprintf("with the connections to %s", netip.AddrPortFrom(s.Remote.Unmap(), s.RemotePort)), true
}

// byPeer groups sockets by the address at their other end.

func byPeer(s *member.Socket) (string, bool) { return s.Remote.Unmap().String(), s.Remote.IsValid() }

// port gives the local port with the most of the sockets.
func (h *held) port() (best uint16) {
	for port, n := range h.local {
		if n > h.local[best] || n == h.local[best] && port < best {
			best = port
		}
	}
	return best
}

// finding starts a finding about a pile of sockets.
func (p *pileup) finding(c *Case, state string) *Finding {
	f := &Finding{Severity: Warning, Object: state}
	f.at(p.span)
	f.onset.late = p.span.Start
	f.effect = fmt.Sprintf("%s sockets in %s", unit.Number(p.most), state)
	if item, ok := c.largestItem(p.vital, "1", c.Window); ok {
		item.Limit, item.Usual = val(max(stateMany.Value, stateFactor.Value*p.usual)), val(p.usual)
		if p.rise.End > p.rise.Start {
			item.say("%s at %s, %s for %s from then on", unit.Number(p.from), clock(p.rise.Start), rate(p.growth), unit.Duration(time.Duration(p.rise.End-p.rise.Start)))
		}
		f.Evidence = append(f.Evidence, item)
	}
	return f
}

// rose says how far it rose and in which time.
func (p *pileup) rose(state string) string {
	if p.rise.End <= p.rise.Start {
		return fmt.Sprintf("up to %s sockets were in %s, usually %s", unit.Number(p.most), state, unit.Number(p.usual))
	}
	text := fmt.Sprintf("sockets in %s rose from %s to %s within %s", state, unit.Number(p.from), unit.Number(p.most),
		unit.Duration(time.Duration(p.rise.End-p.rise.Start)))
	if p.growth >= 1 {
		text += ", by " + rate(p.growth)
	}
	return text
}

// heldItem is the evidence of who holds them.
func (h *held) item(state string) Item {
	return Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(h.line), Value: val(float64(h.n)),
		Unit: "sockets", Text: state + " of " + words.Clip(h.name)}
}

// absentState says how far a vital stayed from a pile.
func (c *Case) absentState(vital, state string) Answer {
	most, _, _ := c.Lines.Get(vital).Max(c.Window)
	return absent("at most %s in %s, or no more than usual, or for less than %s", words.Plural(uint64(most), "socket was", "sockets were"), state,
		unit.Duration(seconds(stateHold.Value)))
}

// peersOf adds the largest peers among the subjects and to the evidence, and says which.
func peersOf(list []*held, state string, f *Finding) string {
	const most = 3
	var names []string
	for _, h := range list[:min(len(list), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", h.name, unit.Count(h.n)))
		f.Evidence = append(f.Evidence, h.item(state))
	}
	for _, h := range list[:min(len(list), 100)] {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: h.peer})
	}
	if rest := len(list) - len(names); rest > 0 {
		names = append(names, words.Plural(rest, "other", "others"))
	}
	return words.List(names)
}
