package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var conntrackBrim = Limit{"brim", 0.95, "ratio of nf_conntrack_max",
	"the count is read once a second, and entries come and go meanwhile; below it, a packet that was dropped was not dropped for want of room"}

var conntrackFull = Check{
	ID:    "conntrack-full",
	Title: "Connection tracking is full",
	Doc:   "the first packets of new connections were dropped, or entries evicted, because the connection tracking table was full",
	Page: `A firewall that looks at the state of connections, and every NAT, keeps an entry for each.
When there are net.netfilter.nf_conntrack_max of them, the kernel looks for one that
nobody has answered yet and evicts it (early_drop); where it finds none it drops the new
connection's first packet, and logs "table full, dropping packet". That is behind the tap
and before TCP: a capture shows the SYN arrive, again and again, and nothing go out.
Connections that have an entry go on as ever.

The counters insert_failed and drop move for another reason, too: two packets of one
connection that come at the same moment race for its entry, as two DNS queries of one
socket do. With room in the table that is what it was, and this check is silent.`,
	Ref:    "net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc and early_drop, Linux 6.18; Documentation/networking/nf_conntrack-sysctl.rst",
	Needs:  []*Need{needConntrack},
	Limits: []Limit{conntrackBrim},
	Causes: []Link{
		{Cause: &conntrackHog, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "one source holds a large part of what the table can hold"},
	},
	Explains: []string{"conntrack.drops", "conntrack.fill", "filtered.clients", "forward.waiting", "syn_recv", "syn.retrans", "tcp.syn_sent", "rto", "retrans", "retrans.ratio", "forward.retrans.ratio", "forward.stalled", "forward.unanswered"},
	run:      runConntrackFull,
}

// runConntrackFull asks the counters, and whether the table had room.
func runConntrackFull(c *Case) Answer {
	drops, evicted := c.total("nstat.nf_conntrack.drop.cpu*"), c.total("nstat.nf_conntrack.early_drop.cpu*")
	lost, dropping := c.burst(drops)
	gone, evicting := c.burst(evicted)
	t := c.conntrackTable()
	own, others := c.tableFull()
	full := t.fill() >= conntrackBrim.Value || evicting || t.max <= 0 && len(own) > 0
	switch {
	case !dropping && !evicting && len(own) == 0:
		text := "connection tracking dropped and evicted nothing"
		if t.max > 0 {
			text += ", with at most " + t.of()
		}
		if others > 0 {
			text += "; the kernel's \"table full\" was of another network namespace"
		}
		return absent("%s", text)
	case !full && t.max > 0 && !dropping:
		return absent("the kernel logged \"table full\", but this network namespace's had room (%s): it was another one's", t.of())
	case !full && t.max > 0:
		return absent("connection tracking refused %s, but had room (%s): packets of one connection raced for its entry, or a translation of addresses found no port that was free",
			words.Plural(uint64(lost.all), "packet", "packets"), t.of())
	case !full:
		return unknown(fmt.Sprintf("connection tracking refused %s, and whether it had room is not known", words.Plural(uint64(lost.all), "packet", "packets")),
			"record net.netfilter.nf_conntrack_max (the source sysctl)")
	}
	f := &Finding{Severity: Critical, Object: "nf_conntrack"}
	f.at(c.fullSpan(drops, lost, gone, own))
	f.onset = lost.onset.join(gone.onset)
	f.since = t.nearlyFull(c.Window).Start
	f.Subjects = []subject.Subject{subject.Setting{Name: "net.netfilter.nf_conntrack_max"}}
	least := c.least(needConntrack)
	switch {
	case dropping:
		dropped := least + words.Plural(uint64(lost.all), "first packet of a new connection was dropped", "first packets of new connections were dropped")
		f.effect = dropped
		f.Headline = fmt.Sprintf("Connection tracking was full, %s: %s.", t.of(), dropped)
	case evicting:
		f.Severity = Warning // whoever was evicted had no answer yet, and tries again
		f.effect = least + words.Plural(uint64(gone.all), "entry evicted", "entries evicted")
		f.Headline = fmt.Sprintf("Connection tracking was full, %s: %s to make room for new connections, and none was refused.", t.of(), f.effect)
	default:
		f.effect = "new connections dropped"
		f.Headline = fmt.Sprintf("Connection tracking was full, %s: the kernel logged that it drops packets.", t.of())
	}
	f.Detail = c.conntrackContent()
	for _, s := range []*timeline.Series{drops, evicted} {
		if n, _ := s.Sum(c.Window); n > 0 {
			f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
		}
	}
	f.Evidence = append(f.Evidence, c.conntrackItems()...)
	if len(own) > 0 {
		f.Evidence = append(f.Evidence, logItem(own[0].line))
	}
	f.Remedy = c.conntrackRemedies(t)
	return present(f)
}

// tableFull gives the kernel's lines about this network namespace's table, and how many are about
// others'. Before 6.18 they did not say whose it was: then only the count tells.
func (c *Case) tableFull() (own []message, others int) {
	netns := ""
	if m := c.Evidence.Manifest; m != nil && m.Host.NetNS != 0 {
		netns = strconv.FormatUint(m.Host.NetNS, 10)
	}
	for _, m := range c.logged("conntrack_full") {
		if said := m.Fields["netns"]; said != "" && netns != "" && said != netns {
			others++
			continue
		}
		own = append(own, m)
	}
	return own, others
}

// fullSpan is when packets were dropped, or else entries evicted, or else logged. A table that stays full drops whenever
// an entry less is freed than is wanted: its pauses are no end.
func (c *Case) fullSpan(drops *timeline.Series, lost, gone burst, own []message) timeline.Span {
	switch {
	case lost.n > 0:
		span := lost.span
		all, _ := drops.Where(c.Window, positive)
		most := float64(c.conntrackTable().max)
		for _, r := range c.Lines.Get("conntrack.count").Runs(c.Window, apart, func(v float64) bool { return v >= conntrackBrim.Value*most }) {
			if r.Overlaps(lost.span, 0) && most > 0 {
				span = span.Join(timeline.Span{Start: max(r.Start, all.Start), End: min(r.End, all.End)})
			}
		}
		return span
	case gone.n > 0:
		return gone.span
	}
	return timeline.Span{Start: own[0].line.Time, End: own[len(own)-1].line.Time}
}

// conntrackContent says what fills the table.
func (c *Case) conntrackContent() string {
	s := c.Evidence.Conntrack
	proto, state, n := c.commonest()
	if n == 0 {
		return "What fills it is not known: the table was not read."
	}
	text := fmt.Sprintf("%s of %s are %s %s.", unit.Count(n), words.Plural(s.Entries, "entry", "entries"), strings.ToUpper(proto), state)
	if len(s.TopSources) > 0 {
		top := s.TopSources[0]
		text += fmt.Sprintf(" The source with the most is %s, with %s (%s).", top.Addr, unit.Count(top.Entries), unit.Percent(float64(top.Entries)/float64(max(s.Entries, 1))))
	}
	return text
}
