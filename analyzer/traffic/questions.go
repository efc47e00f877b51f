package traffic

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Resolver is a name server, and what one address asked it by UDP.
type Resolver struct {
	Asker, Server netip.Addr
	Seconds       []Questions // ascending
	Most          int64       // ns, the longest that an answer took
	Oldest        int64       // Unix ns of the first question that was never answered; 0: all were
	Frames        []uint64    // of the first questions that were answered late or never
	Input         uint16      // that these count in
}

// Questions are those that were asked in one second.
type Questions struct {
	At                 int64  // Unix s
	Asked, Late, Never uint32 // the last two are of the first
}

const (
	portDNS = 53 // RFC 1035, section 4.2.1
	// lateAnswer is a wait for a name that everything that needs it shares, in ns: a page is late by it before it begins.
	lateAnswer = 1_000_000_000
	// maxResolvers bounds who asks whom, as a resolver that asks the whole world does; maxAsking the sockets that wait, and
	// maxQuestions what is remembered of one.
	maxResolvers = 1000
	maxAsking    = 1 << 14
	maxQuestions = 16
	maxFrames    = 6
)

// Names follows questions to name servers by addresses and ports alone: what was asked is data. One socket may ask
// several at once, as for both families. The zero value is empty.
type Names struct {
	pairs  map[[2]netip.Addr]*Resolver
	asking map[asker]*asking
}

// asker is a socket that asks, and whom.
type asker struct {
	from   netip.AddrPort
	server netip.Addr
}

// asking is what one waits for. Another interface's copies are not counted.
type asking struct {
	iface, input uint16
	asked        []sent // oldest first
}

// Add takes a packet; others than to and from name servers by UDP are none.
func (n *Names) Add(p *packet.Packet) {
	if p.Kind != packet.UDP || p.DstPort != portDNS && p.SrcPort != portDNS || p.DstPort == p.SrcPort {
		return
	}
	question := p.DstPort == portDNS
	a := asker{p.SrcAddrPort(), p.Dst.Netip(p.V6)}
	if !question {
		a = asker{p.DstAddrPort(), p.Src.Netip(p.V6)}
	}
	w := n.asking[a]
	if w == nil {
		if !question || len(n.asking) >= maxAsking {
			return
		}
		if n.asking == nil {
			n.pairs, n.asking = map[[2]netip.Addr]*Resolver{}, map[asker]*asking{}
		}
		w = &asking{iface: p.Interface, input: p.Input}
		n.asking[a] = w
	}
	if w.iface != p.Interface || w.input != p.Input {
		return
	}
	r := n.resolver(a)
	if r == nil {
		return
	}
	if question {
		r.second(p.Time/1e9).Asked++
		if len(w.asked) == maxQuestions {
			r.never(w.asked[0], w.input)
			w.asked = slices.Delete(w.asked, 0, 1)
		}
		w.asked = append(w.asked, sent{p.Time, p.Frame})
		return
	}
	w.answer(r, p.Time)
	if len(w.asked) == 0 {
		delete(n.asking, a)
	}
}

// answer takes the oldest question that may still be answered in time: one that got no answer makes none of those
// behind it late. Where all are older it is the oldest.
func (w *asking) answer(r *Resolver, now int64) {
	if len(w.asked) == 0 {
		return
	}
	i := max(0, slices.IndexFunc(w.asked, func(q sent) bool { return now-q.time < lateAnswer }))
	q := w.asked[i]
	w.asked = slices.Delete(w.asked, i, i+1)
	r.Most = max(r.Most, now-q.time)
	if now-q.time >= lateAnswer {
		r.second(q.time/1e9).Late++
		r.example(q, w.input)
	}
}

func (n *Names) resolver(a asker) *Resolver {
	key := [2]netip.Addr{a.from.Addr(), a.server}
	r := n.pairs[key]
	if r == nil && len(n.pairs) < maxResolvers {
		r = &Resolver{Asker: a.from.Addr(), Server: a.server}
		n.pairs[key] = r
	}
	return r
}

func earlier(a, b sent) int { return cmp.Compare(a.frame, b.frame) }

func (r *Resolver) never(q sent, input uint16) {
	r.second(q.time/1e9).Never++
	if r.Oldest == 0 || q.time < r.Oldest {
		r.Oldest = q.time
	}
	r.example(q, input)
}

func (r *Resolver) example(q sent, input uint16) {
	if len(r.Frames) == 0 {
		r.Input = input
	}
	if len(r.Frames) < maxFrames && input == r.Input {
		r.Frames = append(r.Frames, q.frame)
	}
}

// second gives that of a time, which hardly ever goes back.
func (r *Resolver) second(at int64) *Questions {
	i, found := slices.BinarySearchFunc(r.Seconds, at, func(q Questions, at int64) int { return cmp.Compare(q.At, at) })
	if !found {
		r.Seconds = slices.Insert(r.Seconds, i, Questions{At: at})
	}
	return &r.Seconds[i]
}

// List gives the resolvers by asker and server. last is when the capture ended, in Unix ns: what was asked within a second
// before it may still be answered in time, and is left out.
func (n *Names) List(last int64) []*Resolver {
	// In the order of their questions: a map has another each time, and the first few are kept as examples.
	byFrame := func(a, b asker) int { return slices.CompareFunc(n.asking[a].asked, n.asking[b].asked, earlier) }
	for _, a := range slices.SortedFunc(maps.Keys(n.asking), byFrame) {
		r, w := n.resolver(a), n.asking[a]
		for _, q := range w.asked {
			switch {
			case r == nil:
			case last-q.time >= lateAnswer:
				r.never(q, w.input)
			default:
				r.second(q.time/1e9).Asked--
			}
		}
	}
	var all []*Resolver
	for _, r := range n.pairs {
		slices.Sort(r.Frames)
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Resolver) int { return cmp.Or(a.Asker.Compare(b.Asker), a.Server.Compare(b.Server)) })
	return all
}
