package story

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// base is a row over the window, with the trigger and the findings.
func (t *teller) base(name, title, unitName string) plot.Row {
	return plot.Row{Name: name, Title: title, Unit: unitName, Window: t.window, Trigger: t.trigger, Bands: t.bands()}
}

// lineOf is a series as a line.
func lineOf(s *timeline.Series, name string) plot.Line {
	return plot.Line{Name: name, T: s.T, V: s.Rates(), Step: s.Counts}
}

// line is a series as a line. drops.csv has lines only for seconds in which something was dropped: in all others it was nothing, where
// the probe was there.
func (t *teller) line(s *timeline.Series, name string) plot.Line {
	l := lineOf(s, name)
	if s.Source != member.DropsName || t.Doc.Bundle == nil || !slices.ContainsFunc(t.Doc.Bundle.Sources, func(s format.Source) bool {
		return s.Name == "probe.drop" && s.State == format.Complete
	}) {
		return l
	}
	l.T, l.V = append([]int64{t.window.Start}, l.T...), append([]float64{0}, l.V...)
	if end := t.window.End; l.T[len(l.T)-1] < end {
		l.T, l.V = append(l.T, end), append(l.V, 0)
	}
	for i, v := range l.V {
		if math.IsNaN(v) {
			l.V[i] = 0
		}
	}
	return l
}

// rowAlt tells what a row shows: of each line its least and its most, and when that was.
func rowAlt(r *plot.Row) string {
	var parts []string
	for _, l := range r.Lines {
		least, most, at, ok := extremes(l.T, l.V)
		if !ok {
			continue
		}
		part := l.Name + " always " + unit.Prose(most, r.Unit)
		if most > least {
			part = fmt.Sprintf("%s between %s and %s, most at %s", l.Name, unit.Prose(least, r.Unit), unit.Prose(most, r.Unit), words.Clock(evidence.Unix(at)))
		}
		parts = append(parts, part)
	}
	return r.Title + ": " + strings.Join(parts, "; ") + "."
}

// extremes gives the least and the most of values, and the time of the most.
func extremes(t []int64, v []float64) (least, most float64, at int64, ok bool) {
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		if !ok {
			least, most, at, ok = x, x, t[i], true
		}
		least = min(least, x)
		if x > most {
			most, at = x, t[i]
		}
	}
	return least, most, at, ok
}

// queues gives the accept queues over time of the listeners that were fullest. Where a listener is not
// listed at a tick at which vitals were read, its queue was empty.
func (t *teller) queues(meant func(netip.AddrPort) bool, most int) (lines []plot.Line, limits []uint32) {
	type one struct {
		line  plot.Line
		limit uint32
		fill  float64
	}
	by := map[netip.AddrPort]*one{}
	for i := range t.Case.Evidence.Queues {
		q := &t.Case.Evidence.Queues[i]
		if meant != nil && !meant(q.Local) {
			continue
		}
		o := by[q.Local]
		if o == nil {
			o = &one{line: plot.Line{Name: subject.Listener{Addr: q.Local}.String()}}
			by[q.Local] = o
		}
		o.line.T, o.line.V = append(o.line.T, q.Time), append(o.line.V, float64(q.AcceptQueue))
		o.limit = max(o.limit, q.AcceptLimit)
		o.fill = max(o.fill, float64(q.AcceptQueue)/float64(max(1, q.AcceptLimit)))
	}
	var all []*one
	for _, o := range by {
		if o.fill > 0 {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *one) int {
		return cmp.Or(cmp.Compare(b.fill, a.fill), cmp.Compare(a.line.Name, b.line.Name))
	})
	ticks := t.Case.Evidence.Columns.Times(member.VitalsName)
	for _, o := range all[:min(len(all), most)] {
		o.line.T, o.line.V = filled(ticks, o.line.T, o.line.V)
		lines, limits = append(lines, o.line), append(limits, o.limit)
	}
	return lines, limits
}

// filled adds a zero at each tick at which nothing was listed.
func filled(ticks, t []int64, v []float64) ([]int64, []float64) {
	var outT []int64
	var outV []float64
	i := 0
	for _, tick := range ticks {
		for i < len(t) && t[i] < tick {
			outT, outV = append(outT, t[i]), append(outV, v[i])
			i++
		}
		if i < len(t) && t[i] == tick {
			outT, outV = append(outT, t[i]), append(outV, v[i])
			i++
			continue
		}
		outT, outV = append(outT, tick), append(outV, 0)
	}
	return append(outT, t[i:]...), append(outV, v[i:]...)
}

// queue draws the accept queue of a finding's listener against its limit.
func (t *teller) queue(f *check.Finding) *Exhibit {
	meant := func(at netip.AddrPort) bool {
		for _, s := range f.Subjects {
			if l, ok := s.(subject.Listener); ok && l.Addr == at {
				return true
			}
		}
		return false
	}
	lines, limits := t.queues(meant, 1)
	if len(lines) == 0 {
		return nil
	}
	r := t.base("queue", "Accept queue of "+lines[0].Name, unit.One)
	r.Lines, r.Limit, r.LimitName, r.Height = lines, float64(limits[0]), fmt.Sprintf("room for %d", limits[0]), 210
	r.Lines[0].Name = "connections that wait to be accepted"
	came := t.arrivals(&r, f)
	r.Alt = rowAlt(&r)
	_, most, at, _ := extremes(lines[0].T, lines[0].V)
	return &Exhibit{Picture: r.Picture(), Caption: fmt.Sprintf("Up to %s waited where there is room for %s, most at %s. A full queue drops what comes.%s",
		words.Plural(uint64(most), "connection", "connections"), unit.Count(limits[0]), words.Clock(evidence.Unix(at)), came)}
}

// arrivals draws below a queue what came to its listener, and says it.
func (t *teller) arrivals(r *plot.Row, f *check.Finding) string {
	ends, syns, acks := t.Flows.arrivalsAt(t.window.Start, t.window.End, func(service netip.AddrPort) bool {
		return slices.ContainsFunc(f.Subjects, func(s subject.Subject) bool {
			_, listener := s.(subject.Listener)
			return listener && subject.Meets(s, subject.Service{Addr: service})
		})
	})
	if len(ends) == 0 {
		return ""
	}
	sum := func(v []float64) (all uint64) {
		for _, x := range v {
			all += uint64(x)
		}
		return all
	}
	_, most, _, _ := extremes(ends, syns)
	_, done, _, _ := extremes(ends, acks)
	r.Lanes = []plot.Lane{
		{Line: plot.Line{Name: fmt.Sprintf("SYNs that came, repetitions included: at most %s in 250 ms", unit.Number(most)), T: ends, V: syns}, Short: "SYNs"},
		{Line: plot.Line{Name: fmt.Sprintf("ACKs that complete a handshake: at most %s in 250 ms", unit.Number(done)), T: ends, V: acks}, Short: "ACKs"},
	}
	r.Height += 60
	return fmt.Sprintf(" Below it what came in: %s and %s that complete a handshake, each to its own scale.",
		words.Plural(sum(syns), "SYN", "SYNs"), words.Plural(sum(acks), "ACK", "ACKs"))
}

func (t *teller) conntrackFill(*check.Finding) *Exhibit {
	if e := t.fill("conntrack.fill", "Connection tracking table"); e != nil {
		return e
	}
	return t.against("conntrack.count", "net/netfilter/nf_conntrack_max", 0, 1, plot.Row{Title: "Connection tracking table", LimitName: "nf_conntrack_max"}, "entries", "The table has room for %s.")
}

func (t *teller) portsFill(*check.Finding) *Exhibit { return t.fill("ports.fill", "Local ports") }

// pageSize is that of x86 and of most arm64 kernels; a bundle does not say it.
const pageSize = 4096

// memoryFill draws what TCP holds, which the kernel counts in pages, against tcp_mem's third number.
func (t *teller) memoryFill(*check.Finding) *Exhibit {
	return t.against("sockstat.TCP.mem", "net/ipv4/tcp_mem", 2, pageSize, plot.Row{Title: "Memory of TCP", LimitName: "tcp_mem's maximum", Unit: unit.Bytes}, "held by TCP", "TCP may hold %s.")
}

// against draws a level with the number of a setting as its limit, both times what one of them is in the row's unit.
func (t *teller) against(name, setting string, number int, each float64, like plot.Row, what, caption string) *Exhibit {
	s := t.series(name)
	limit, known := t.Case.Evidence.Settings.Int(setting, number)
	if s == nil || !known {
		return nil
	}
	r := t.base("fill", like.Title, cmp.Or(like.Unit, s.Unit))
	line := lineOf(s, what)
	share := timeline.Series{T: s.T, V: make([]float64, len(s.T))}
	line.V = slices.Clone(line.V)
	for i := range line.V {
		share.V[i] = line.V[i] / float64(max(limit, 1))
		line.V[i] *= each
	}
	r.Lines = []plot.Line{line}
	r.Limit, r.LimitName, r.Height = float64(limit)*each, like.LimitName, 210
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: fmt.Sprintf(caption, unit.Prose(r.Limit, r.Unit)) + " " + filling(&share)}
}

// fill draws a ratio against full, and says when it was or how long it would have taken.
func (t *teller) fill(name, title string) *Exhibit {
	s := t.series(name)
	if s == nil {
		return nil
	}
	r := t.base("fill", title, unit.Ratio)
	r.Lines = []plot.Line{lineOf(s, "in use")}
	r.Limit, r.LimitName, r.Height = 1, "full", 210
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: filling(s)}
}

// filling says when a ratio reached 1, or by its steepest steady rise when it would have.
func filling(s *timeline.Series) string {
	_, most, at, ok := extremes(s.T, s.V)
	if !ok {
		return ""
	}
	peak := slices.Index(s.T, at)
	low := peak
	for i := peak; i >= 0; i-- {
		if !math.IsNaN(s.V[i]) && s.V[i] < s.V[low] {
			low = i
		}
	}
	risen, took := most-s.V[low], float64(at-s.T[low])/1e9
	const full = 0.995 // and what is written as 100 %
	text := fmt.Sprintf("At most %s in use, at %s.", unit.Percent(most), words.Clock(evidence.Unix(at)))
	switch {
	case risen <= 0 || took <= 0 || s.V[low] >= full:
		return text
	case most >= full:
		return text + fmt.Sprintf(" It rose from %s within %s.", unit.Percent(s.V[low]), unit.Duration(time.Duration(took*1e9)))
	}
	left := (1 - most) / (risen / took)
	return text + fmt.Sprintf(" It rose by %s in %s; going on like that it would have been full %s later.",
		unit.Percent(risen), unit.Duration(time.Duration(took*1e9)), unit.Duration(time.Duration(min(left, 1e9)*1e9)))
}

// roundTrips draws round trips by network, the slowest first.
func (t *teller) roundTrips(f *check.Finding) *Exhibit {
	lines := t.networks(f, mostLinesInRow-1)
	if len(lines) == 0 {
		return nil
	}
	r := t.base("rtt-by-network", "Longest round trips by network", unit.Seconds)
	r.Lines, r.Height = lines, 240
	caption := "The longest round trip of each second between this host and each network, as the packets show it."
	// Where only the kernel's is long, this host itself is slow: the packets have passed the tap in time.
	if s := t.series("rtt.p99"); s != nil {
		r.Lines = append([]plot.Line{lineOf(s, "rtt.p99 of this host's sockets, as its kernel measures it")}, lines...)
		caption += " Where the kernel's is long and all of theirs are short, the time went by between the tap and the sockets."
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: caption}
}

// networks gives the longest round trips by second of networks of 256 addresses (IPv6: of a /64), or of
// single addresses where there are few.
func (t *teller) networks(f *check.Finding, most int) []plot.Line {
	p := t.Case.Evidence.Packets
	if p == nil || len(p.RTT) == 0 {
		return nil
	}
	type network struct {
		name  string
		bins  map[int64]int64
		worst int64
		meant bool
	}
	by := map[string]*network{}
	for _, peer := range p.RTT {
		name := peer.Addr.String()
		if len(p.RTT) > 2*most {
			bits := 24
			if peer.Addr.Is6() {
				bits = 64
			}
			prefix, _ := peer.Addr.Prefix(bits) // an address has as many bits
			name = prefix.String()
		}
		n := by[name]
		if n == nil {
			n = &network{name: name, bins: map[int64]int64{}}
			by[name] = n
		}
		for _, s := range f.Subjects {
			n.meant = n.meant || subject.Meets(s, subject.Peer{Addr: peer.Addr})
		}
		for i := range peer.Bins {
			b := &peer.Bins[i]
			n.bins[b.Second] = max(n.bins[b.Second], b.Max)
			n.worst = max(n.worst, b.Max)
		}
	}
	all := make([]*network, 0, len(by))
	for _, n := range by {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *network) int {
		if a.meant != b.meant {
			return map[bool]int{true: -1, false: 1}[a.meant]
		}
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(a.name, b.name))
	})
	var lines []plot.Line
	for _, n := range all[:min(len(all), most)] {
		l := plot.Line{Name: n.name}
		for s := t.window.Start / 1e9; s <= t.window.End/1e9; s++ {
			v := math.NaN()
			if ns, ok := n.bins[s]; ok {
				v = float64(ns) / 1e9
			}
			l.T, l.V = append(l.T, s*1e9+5e8), append(l.V, v)
		}
		lines = append(lines, l)
	}
	return lines
}

// answers draws how long the answers of a finding's service took.
func (t *teller) answers(f *check.Finding) *Exhibit {
	p := t.Case.Evidence.Packets
	if p == nil {
		return nil
	}
	at := slices.IndexFunc(p.Traffic, func(v *traffic.Service) bool {
		return len(v.Answers) > 0 && slices.ContainsFunc(f.Subjects, func(s subject.Subject) bool { return subject.Meets(s, subject.Service{Addr: v.Server}) })
	})
	if at < 0 {
		return nil
	}
	v := p.Traffic[at]
	var half, most plot.Line
	half.Name, most.Name = "half of them took at least", "the longest"
	for i := range v.Answers {
		a := &v.Answers[i]
		half.T, half.V = append(half.T, a.At*1e9+5e8), append(half.V, float64(traffic.Quantile(v.Answers[i:i+1], 0.5))/1e9)
		most.T, most.V = append(most.T, a.At*1e9+5e8), append(most.V, float64(a.Most)/1e9)
	}
	r := t.base("answers", "Time from request to answer at "+v.Server.String(), unit.Seconds)
	r.Lines, r.Height = []plot.Line{half, most}, 210
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "From the last byte of a request to the first of its answer, as the tap saw them, by the second in which the answer began."}
}
