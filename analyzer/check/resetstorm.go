package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

var (
	resetRate = Limit{"rate", 1, "1/s",
		"users who close a tab and programs that are stopped cut off a connection now and then on every busy host"}
	resetMany = Limit{"connections", 10, "connections",
		"a program that is stopped with Ctrl-C takes its few connections with it in one second"}
)

var resetStorm = Check{
	ID:    "reset-storm",
	Title: "Connections were reset",
	Doc:   "many connections were reset while somebody waited for an answer or for data; says who did it, in which state and why",
	Page: `A RST ends a connection at once and throws away what was on its way. Not every one is
harm: many programs reset connections that they no longer need, and those are not
counted here, nor are those behind the sender's own FIN. What counts is what was cut
off: a request that was never answered, data that never arrived. A service that is
restarted cuts off what it has at that moment: that is only worth knowing. So are
clients who reset a few of many connections all the time, as load balancers end their
health checks.

Who sent the RST is the culprit or its victim: a server that resets in place of answering
has crashed in the request, is configured to refuse, or runs out of something; a client
that resets while it waits has given up, and the slow server is the reason. The kernel
counts the reasons of this host's own: TCPAbortOnData where a program closed with
SO_LINGER 0, TCPAbortOnClose where it closed with data unread, TCPAbortOnTimeout,
TCPAbortOnMemory. Since Linux 6.10 each RST has its reason.`,
	Ref:    "RFC 9293 section 3.5.2; net/ipv4/tcp.c, __tcp_close, and include/net/rstreason.h, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{resetRate, resetMany, manyShare, restartHold},
	Causes: []Link{
		{Cause: &duplicateAddress, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "who is sent to the other machine that has the address is refused there, or not answered"},
		{Cause: &slowApplication, EffectVariant: byClient, On: subject.KindService, Slack: counterSlack,
			Because: "clients that wait too long give up and reset"},
		{Cause: &slowUpstream, EffectVariant: byClient, On: subject.KindService, Slack: counterSlack,
			Because: "who waits too long for an upstream gives up and resets"},
		{Cause: &slowApplication, EffectVariant: byServer, On: subject.KindService, Slack: counterSlack, If: turnedAway,
			Because: "a program whose connections or workers are all taken closes those of others without reading what they ask"},
		{Cause: &connectionRefused, EffectVariant: byServer, On: subject.KindService, Slack: counterSlack, If: atOnce,
			Because: "the kernel of a program that is killed resets what it had open, and refuses who comes from then on"},
	},
	Explains: resetVitals,
	run:      runResetStorm,
}

var resetVitals = []string{"resets", "established.resets", "established.resets.ratio"}

// The variants of a reset: by whom.
const (
	byClient Variant = "by-client"
	byServer Variant = "by-server"
)

// turnedAway says whether the program closed without reading what had come, as far as the kernel's counters tell.
func turnedAway(_, effect *Finding) bool { return effect.reason == abortOnClose }

// atOnce says whether all of an effect is of the moment before its cause, as the end of a program is.
func atOnce(cause, effect *Finding) bool {
	return harmful(cause, effect) && effect.End.Sub(effect.Start).Seconds() < restartHold.Value && !effect.End.After(cause.Start)
}

// runResetStorm gives a finding for each service and side that cut off connections.
func runResetStorm(c *Case) Answer {
	var findings []*Finding
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.ResetAsked, traffic.ResetBusy) {
			if f := c.resetFinding(h); f != nil {
				findings = append(findings, f)
			}
		}
	}
	findings = append(findings, c.resetsAfter()...)
	if len(findings) > 0 {
		return present(c.rest(worst(findings), "resets")...)
	}
	cut := total(c.hits(flow.Client, traffic.ResetAsked, traffic.ResetBusy)) + total(c.hits(flow.Server, traffic.ResetAsked, traffic.ResetBusy))
	idle := total(c.hits(flow.Client, traffic.ResetIdle)) + total(c.hits(flow.Server, traffic.ResetIdle))
	a := absent("%s cut off by a reset, %s reset when nothing was outstanding",
		words.Plural(cut, "connection was", "connections were"), words.Plural(idle, "was", "were"))
	if cut+idle == 0 {
		a = c.veto(absent("no established connection was reset"), resetMany.Value, "snmp.Tcp.EstabResets")
	}
	return a
}

// resetsAfter tells of resets by whoever had closed before, where a trigger asks for them: they are what moved its vital, and
// harm nobody. Untold they are on every host that serves HTTPS, or users who leave.
func (c *Case) resetsAfter() (all []*Finding) {
	if !slices.ContainsFunc(c.triggers(), func(t format.Trigger) bool { return slices.Contains(resetVitals, t.Vital) }) {
		return nil
	}
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.ResetAfter) {
			span, n := stretch(h.Seconds, 3)
			if float64(n) < manyFlows.Value {
				continue
			}
			f := h.finding(c, span)
			f.harmless = true
			f.Evidence[0] = f.Evidence[0].partOf(float64(h.service.Flows))
			f.effect = c.least(needPackets) + words.Plural(h.Flows, "late reset", "late resets")
			f.Headline = fmt.Sprintf("%s reset %s to %s that it had closed before.", words.Sentence(c.side(h.service, by)),
				c.least(needPackets)+words.Of(h.Flows, h.service.Flows, adjective(h.way)+"connection", adjective(h.way)+"connections"), c.named(h.service))
			f.Detail = "The other side still sent: a goodbye, or an answer to somebody who had left. Nothing was cut off that anybody waited for."
			all = append(all, f)
		}
	}
	return all
}

// resetFinding says who reset whom and in the middle of what; nil where it is too little to tell of.
func (c *Case) resetFinding(h hit) *Finding {
	span, n := stretch(h.Seconds, 3)
	if float64(n) < manyFlows.Value {
		return nil
	}
	f := h.finding(c, span)
	f.Evidence[0] = f.Evidence[0].partOf(float64(h.service.Flows))
	f.Variant = byServer
	if h.by == flow.Client {
		f.Variant = byClient
	}
	pace := perSecond(n, f.span())
	share := float64(h.Flows) / float64(max(h.service.Flows, 1))
	answers := len(h.service.Answers) > 0
	restarted := h.by == flow.Server && c.cutByRestart(h)
	if pace >= resetRate.Value && float64(n) >= resetMany.Value && !restarted && !c.everSo(h, f.span(), share) {
		f.Severity = Warning
		// Who closes a tab has lost nothing; who waits for an answer has.
		if share >= manyShare.Value && h.kind == traffic.ResetAsked && answers {
			f.Severity = Critical
		}
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection reset", "connections reset")
	who := c.side(h.service, h.by)
	during := "while a request waited for its answer"
	switch {
	case h.kind == traffic.ResetBusy:
		during = "while data was on its way"
	case !answers: // logs and metrics go one way
		during = "after data of the client"
	}
	f.Headline = fmt.Sprintf("%s reset %s to %s %s.", words.Sentence(who), c.least(needPackets)+words.Of(h.Flows, h.service.Flows, adjective(h.way)+"connection", adjective(h.way)+"connections"),
		c.named(h.service), during)
	f.Evidence[0].say("%s, %s", rate(pace), whom(h.Clients))
	f.Detail = fmt.Sprintf("It happened at %s, to %s.", rate(pace), whom(h.Clients))
	if h.kind == traffic.ResetAsked && !answers {
		f.Detail += " The server sent no data to anybody in the window: whether a client waited for an answer cannot be told."
	}
	if restarted {
		f.Detail += " It was restarted then: the kernel resets what a process leaves open."
	}
	own := h.by == flow.Server && h.way == handshake.Inbound || h.by == flow.Client && h.way == handshake.Outbound
	if own {
		c.resetReasons(h, f)
	}
	f.Remedy = []Remedy{{What: c.resetLook(h, own)}}
	return f
}

// everSo says whether few connections end so, by their client's own will and from end to end of the window: load balancers
// end their health checks with a reset, and users leave. What went on all the time is how this service is used.
func (c *Case) everSo(h hit, span timeline.Span, share float64) bool {
	const nearlyAll = 0.9
	return h.by == flow.Client && h.kind == traffic.ResetBusy && share < manyShare.Value &&
		float64(span.End-span.Start) > nearlyAll*float64(c.Window.End-c.Window.Start)
}

// cutByRestart says whether all of it happened around a restart of the service.
func (c *Case) cutByRestart(h hit) bool {
	gone, ok := c.restart(h.service)
	at := timeline.Span{Start: h.First, End: h.Last}
	return ok && float64(at.End-at.Start) < restartHold.Value*1e9 && at.Overlaps(gone, int64(restartHold.Value*1e9))
}

// resetLook says where to look.
func (c *Case) resetLook(h hit, own bool) string {
	switch {
	case h.by == flow.Client && h.kind == traffic.ResetBusy:
		return "Ask who the clients are: users who leave, a proxy with a short timeout, or a client that crashes on what it gets."
	case h.by == flow.Client && len(h.service.Answers) == 0:
		return "Ask who the clients are, and why they reset what they had sent data on."
	case h.by == flow.Client:
		return "Clients gave up waiting: look at how long answers take (spikebox flows --sort think), and at the clients' timeouts."
	case own && h.way == handshake.Inbound:
		return fmt.Sprintf("Read the log of %s for these seconds: it closes connections that have sent it data, read or unread.", c.named(h.service))
	}
	return fmt.Sprintf("Read the log of the server at %s for these seconds; capture there too if it says that it answered.", h.service.Server)
}

const abortOnClose = "netstat.TcpExt.TCPAbortOnClose"

// aborts are the kernel's counters of resets that it sends for a program (Documentation/networking/snmp_counter.rst).
var aborts = []struct{ series, means string }{
	{"netstat.TcpExt.TCPAbortOnData", "its program closed with SO_LINGER 0, or data came after it had closed"},
	{abortOnClose, "its program closed with data unread"},
	{"netstat.TcpExt.TCPAbortOnTimeout", "the kernel gave up after its last retransmission, probe or keep-alive"},
	{"netstat.TcpExt.TCPAbortOnMemory", "there were too many orphaned sockets, or no memory for them"},
	{"netstat.TcpExt.TCPAbortOnLinger", "a FIN_WAIT2 socket without a process outlived its time"},
}

// resetReasons adds the kernel's reasons for the resets that this host sent.
func (c *Case) resetReasons(h hit, f *Finding) {
	best, means, most := "", "", 0.0
	for _, a := range aborts {
		n := c.sum(a.series)
		if n == 0 {
			continue
		}
		f.Evidence = append(f.Evidence, c.counterItem(a.series))
		if n > most {
			best, means, most = a.series, a.means, n
		}
	}
	if most >= float64(h.Flows)/2 {
		f.reason = best
		f.Detail += " The kernel's counters say why: " + means + "."
	}
	reasons, first := map[string]int{}, map[string]int{}
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		port := e.LocalPort
		if h.way == handshake.Outbound {
			port = e.RemotePort
		}
		if e.Kind == member.ResetSent && e.Reason != "" && port == h.service.Server.Port() {
			if reasons[e.Reason]++; first[e.Reason] == 0 {
				first[e.Reason] = e.Line
			}
		}
	}
	names := []string{}
	for name := range reasons {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b)) })
	for _, name := range names[:min(len(names), 3)] {
		f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.EventsName, Where: fmt.Sprintf("line %d", first[name]),
			Value: val(float64(reasons[name])), Unit: "resets", Text: "reset-sent, reason " + words.Clip(name)})
	}
}
