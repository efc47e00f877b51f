package check

import (
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
)

var (
	floodRate = Limit{"rate", 50, "1/s",
		"clients that vanish between SYN and ACK are a few in a thousand: 50 a second would need tens of thousands of real ones"}
	floodShare = Limit{"share", 0.30, "ratio of the attempts",
		"beside a flood nearly all attempts are forged; a third leaves room for a busy service that goes on"}
	floodOnce = Limit{"SYNs", 3, "SYNs of one address",
		"a real client that is ignored repeats its SYN, and tries again from the same address; forged ones come once"}
)

var synFlood = Check{
	ID:    "syn-flood",
	Title: "A SYN flood",
	Doc:   "many SYNs that were never repeated and never followed by an ACK: from many addresses, which are forged, or from few that others go on connecting from",
	Page: `A SYN flood sends SYNs from addresses that nobody has, or whose owners know nothing of
it. Each takes a place in the listener's queue of half-open connections until the server
gives up on it. When the queue is full the kernel answers with SYN cookies, and keeps no
state: real clients still come through. With net.ipv4.tcp_syncookies = 0 it drops them.

A crowd of real clients in front of a queue that is full looks different: they repeat
their SYNs, after a second or three. What is counted here is the SYN that came once, was
not repeated within three seconds, and brought neither ACK nor RST.

Through a gateway that translates addresses a flood comes from the gateway's own. Many
such SYNs of few addresses are one where hardly any SYN was repeated, and where these
addresses either went on setting up connections meanwhile, so that answers do reach
them, or never did in the window. Addresses that did until then have lost their way back.`,
	Ref:    "RFC 4987; net/ipv4/tcp_input.c, tcp_conn_request, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{floodRate, floodShare, floodOnce},
	// Real SYNs that the full queue drops count in listen.drops, the answers that are repeated in synack.retrans.
	Explains: []string{"syn_recv", "cookies", "synack.retrans", "listen.drops", "syn.retrans", "syn.retrans.ratio", "peers.stalled", "rto", "retrans", "retrans.ratio"},
	run:      runSYNFlood,
}

// unripe is how long before the end of the window a SYN may still be repeated or answered, in s: old stacks, and Windows
// before 11, wait for 3 s before they repeat one (RFC 1122 section 4.2.3.1).
const unripe = 3

// half gives the SYNs of a service that came once, without those that are too young.
func (c *Case) half(h hit) []traffic.Second {
	return slices.DeleteFunc(slices.Clone(h.Seconds), func(s traffic.Second) bool { return (s.At+1+unripe)*1e9 > c.Window.End })
}

// floods gives the services that are flooded.
func (c *Case) floods() []hit {
	if c.flagsOnly() {
		return nil
	}
	return slices.DeleteFunc(c.hits(flow.Client, traffic.Half), func(h hit) bool {
		span, n := stretch(c.half(h), 1)
		attempts := float64(max(c.attemptsAt(h), h.Flows))
		once := c.manySources(h) || c.sharedSource(h, span)
		return h.way == handshake.Outbound || perSecond(n, span) < floodRate.Value || float64(h.Flows) < floodShare.Value*attempts || !once
	})
}

// manySources says whether hardly any address sent more than a forged one does.
func (c *Case) manySources(h hit) bool {
	return len(h.Clients) >= traffic.MaxClients || float64(h.Flows) <= floodOnce.Value*float64(len(h.Clients))
}

// sharedSource says whether SYNs of few addresses are a flood all the same: one that comes through a translation of addresses, or is forged
// with one address. Clients whose answers are lost repeat their SYNs, or at least their addresses set up nothing meanwhile that they did before.
func (c *Case) sharedSource(h hit, span timeline.Span) bool {
	var again uint64
	for _, v := range c.services() {
		if v.Server == h.service.Server {
			again += v.Troubles[handshake.SYNAnswered].Flows + v.Troubles[handshake.SYNUnanswered].Flows
		}
	}
	if 10*again > h.Flows {
		return false
	}
	for a := range h.Clients {
		if p := c.path(a); p != nil && p.Begun != 0 && p.Begun < (span.Start+span.End)/2 {
			return false
		}
	}
	return true
}

// runSYNFlood gives a finding for each service that is flooded.
func runSYNFlood(c *Case) Answer {
	var findings []*Finding
	for _, h := range c.floods() {
		span, n := stretch(c.half(h), 1)
		f := h.finding(c, span)
		c.flooded(h, perSecond(n, span), f)
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return present(c.rest(worst(findings), "SYN floods")...)
	}
	most := 0.0
	for _, h := range c.hits(flow.Client, traffic.Half) {
		span, n := stretch(c.half(h), 1)
		most = max(most, perSecond(n, span))
	}
	if c.flagsOnly() {
		return absent("no ACK is in the capture, whether clients sent one or not")
	}
	if most == 0 {
		return absent("no SYN came once and brought neither ACK nor RST")
	}
	return absent("at most %s came once and brought neither ACK nor RST, or they were few of all, or of few addresses", rate(most)+" SYNs")
}

// unserved says whether no handshake with a service was answered in the window.
func (c *Case) unserved(h hit) bool {
	return h.service.Begun == 0 && !slices.ContainsFunc(c.services(), func(v *handshake.Service) bool {
		return v.Server == h.service.Server && v.Completed > 0
	})
}

// attemptsAt counts the connection attempts at a service.
func (c *Case) attemptsAt(h hit) uint64 {
	for _, v := range c.services() {
		if v.Server == h.service.Server {
			return v.Attempts
		}
	}
	return 0
}

// flooded says how many from how many addresses, and whether real clients still come through.
func (c *Case) flooded(h hit, pace float64, f *Finding) {
	f.Severity = Warning
	from, made := words.Plural(len(h.Clients), "address", "addresses"), "forged "
	switch {
	case len(h.Clients) >= traffic.MaxClients:
		from = fmt.Sprintf("more than %d addresses", traffic.MaxClients)
	case !c.manySources(h):
		from, made = whom(h.Clients), "unfinished "
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, made+"SYN", made+"SYNs")
	f.Headline = fmt.Sprintf("A SYN flood hit %s: %s from %s, %s, each once and with no ACK behind it.", c.named(h.service),
		c.least(needPackets)+words.Plural(h.Flows, "SYN", "SYNs"), from, rate(pace))
	f.Evidence[0].say("from %s, %s, beside %s set up", from, rate(pace), words.Plural(h.service.Begun, "connection", "connections"))
	f.Detail = fmt.Sprintf("Meanwhile %s set up.", words.Plural(h.service.Begun, "connection was", "connections were"))
	for _, name := range []string{sentCookies, "netstat.TcpExt.TCPReqQFullDoCookies", "netstat.TcpExt.TCPReqQFullDrop"} {
		if c.sum(name) > 0 {
			f.Evidence = append(f.Evidence, c.counterItem(name))
		}
	}
	f.Evidence = append(f.Evidence, c.logLines("syn_flood")...)
	if c.sum("netstat.TcpExt.TCPReqQFullDrop") > 0 {
		f.Severity = Critical
		f.Detail += " The queue of half-open connections was full, and SYNs were dropped, those of real clients among them."
	}
	if h.way == handshake.Forwarded && c.unserved(h) {
		f.Severity = Info
		f.Detail += " It only passes this host, and nobody was ever answered there in the window: a scan looks like that, and who is flooded must have served somebody."
	}
	f.Subjects = append(f.Subjects, subject.Setting{Name: "net.ipv4.tcp_syncookies"})
	f.Remedy = []Remedy{{What: "Have the flood filtered before it arrives (upstream provider, SYN proxy: nft synproxy); its addresses are forged, so that blocking them hits others."}}
	if !c.manySources(h) {
		f.Detail += c.sharing(h)
		f.Remedy[0].What = "Have the flood filtered where its own addresses are still seen, before the gateway or proxy that the SYNs came through, or limit SYNs here (nft: limit rate over, meter); blocking an address hits whoever else is behind it."
	}
	f.Remedy = append(f.Remedy, c.cookieRemedy()...)
}

// sharing says what else came from the few addresses that a flood came from.
func (c *Case) sharing(h hit) string {
	for a := range h.Clients {
		if p := c.path(a); p != nil && p.Begun != 0 {
			return " From the same addresses connections went on being set up, so that answers reach them: others are behind them (NAT, a proxy), or the flood borrows them."
		}
	}
	return " Nothing else came from there: either the addresses are borrowed, or that host hides what it is answered."
}

// cookieRemedy says what the settings can do about full queues of half-open connections.
func (c *Case) cookieRemedy() (all []Remedy) {
	if now, ok := c.Evidence.Settings.Int("net/ipv4/tcp_syncookies", 0); ok && now == 0 {
		all = append(all, Remedy{What: "Turn SYN cookies on: real clients come through a full queue. Connections of such clients without timestamps lose window scaling and SACK.",
			Setting: "net.ipv4.tcp_syncookies", Current: "0", Proposed: "1", Ref: "Documentation/networking/ip-sysctl.rst"})
	}
	if now, ok := c.Evidence.Settings.Int("net/ipv4/tcp_synack_retries", 0); ok && now > 2 {
		// The waits are 1, 2, 4 … s: n repetitions last 2^(n+1)-1 s.
		all = append(all, Remedy{What: fmt.Sprintf("Give up sooner: %d repetitions hold a place for %d s, 2 for 7 s. It costs clients whose SYN-ACKs are lost three times.", now, 1<<(now+1)-1),
			Setting: "net.ipv4.tcp_synack_retries", Current: fmt.Sprint(now), Proposed: "2", Ref: "Documentation/networking/ip-sysctl.rst"})
	}
	return all
}

// logLines quotes the kernel log's lines of a kind.
func (c *Case) logLines(kind string) (items []Item) {
	const most = 3
	for i := range c.Evidence.Log {
		l := &c.Evidence.Log[i]
		if m, ok := evidence.ParseKernelMessage(l.Text); ok && m.Kind == kind && l.Time >= c.Window.Start && l.Time <= c.Window.End && len(items) < most {
			items = append(items, Item{Kind: "log", Member: member.KmsgName, Where: fmt.Sprintf("line %d", l.Line), Text: words.Clip(l.Text)})
		}
	}
	return items
}
