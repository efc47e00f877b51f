package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	echoLimit = Limit{"delay", 0.100, "s",
		"the kernel answers an echo in the softirq that takes it, within microseconds; a tenth of a second is no scheduling"}
	echoSevere = Limit{"severe", 1, "s",
		"what holds an echo for a second holds every packet so long: critical"}
	echoMany = Limit{"echoes", 2, "echoes",
		"a single one may have been sent twice by the pinging host, or met its rate limit (net.ipv4.icmp_ratelimit)"}
)

var echoDelayed = Check{
	ID:    "echo-delayed",
	Title: "Pings were answered late",
	Doc:   "echo requests arrived here, and this host's replies left late or never",
	Page: `Somebody pings and sees more than a second. The capture on the host that is pinged tells
where the second is: between the request, as it comes in, and the reply, as it goes out,
there is nothing but this host's kernel, which answers in the same softirq. If the reply
is late, the kernel did not run (a long softirq on that CPU, a starved virtual machine),
or the reply waited in the queueing discipline on its way out. If it is prompt here,
look at the path, and, where packets were captured by tcx, at this host's own queue: the
reply is seen before it waits there. Then the connections' round trips tell (rtt-spike).

net.ipv4.icmp_echo_ignore_all, a firewall and the limits on ICMP leave requests without a
reply; those are told only where others of the same pinging host were answered.`,
	Ref:    "RFC 792, RFC 1122 section 3.2.2.6; net/ipv4/icmp.c, icmp_echo, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{echoLimit, echoSevere, echoMany},
	Causes: []Link{
		{Cause: &rttSpike, CauseVariant: insideHost, On: subject.KindHost, Slack: counterSlack,
			Because: "what waits inside this host are all its packets"},
	},
	Explains: []string{"echo.delay"},
	run:      runEcho,
}

// runEcho asks of those who pinged this host; of a bare capture, of all pairs.
func runEcho(c *Case) Answer {
	p := c.Evidence.Packets
	var findings []*Finding
	var asked uint64
	most := 0.0
	for _, ping := range p.Pings {
		if len(p.Local) > 0 && !p.Local[ping.Asked] {
			continue // the way to another host and back
		}
		asked += ping.Sent
		most = max(most, float64(ping.Most)/1e9)
		if f := c.echoFinding(ping); f != nil {
			findings = append(findings, f)
		}
	}
	if len(findings) > 0 {
		return present(c.rest(worst(findings), "late echoes")...)
	}
	if v, _, ok := c.Lines.Get("echo.delay").Max(c.Window); ok && v >= echoLimit.Value && asked == 0 {
		return unknown(fmt.Sprintf("no echo request is in the packets, but echo.delay was %s", unit.Duration(seconds(v))), "record the interface on which the pings come")
	}
	if asked == 0 {
		return absent("no echo request came in")
	}
	until := "the reply"
	if c.beforeQueues() {
		until += " came to the interface's queue"
	}
	return absent("%s, at most %s until %s", words.Plural(asked, "echo request", "echo requests"), unit.Duration(seconds(most)), until)
}

// lateness sums up the late echoes of one who pings.
type lateness struct {
	late, never int
	longest     int64 // ns
	span        timeline.Span
	frames      string // of the first few
}

// lateness leaves out what was never answered where nothing was: that is a setting, and no delay.
func (c *Case) lateness(p *traffic.Ping) (s lateness) {
	lost := c.dropped()
	for _, l := range p.Late {
		switch {
		case l.Delay >= 0:
			s.late++
		case p.Back == 0:
			continue
		case lost > 0: // it, or its reply, may be what the capture has lost itself
			lost--
			continue
		default:
			s.never++
		}
		s.span = s.span.Join(timeline.Span{Start: l.Time, End: l.Time + max(l.Delay, 0)})
		s.longest = max(s.longest, l.Delay)
		const few = 6
		if s.late+s.never <= few {
			s.frames += fmt.Sprintf(" %d", l.Request)
			if l.Reply > 0 {
				s.frames += fmt.Sprintf(" %d", l.Reply)
			}
		}
	}
	return s
}

// echoFinding says how late, and that it was this host; nil where little was.
func (c *Case) echoFinding(p *traffic.Ping) *Finding {
	s := c.lateness(p)
	if float64(s.late+s.never) < echoMany.Value {
		return nil
	}
	host := p.Asked.String()
	f := &Finding{Severity: Warning, Object: host, Subjects: []subject.Subject{subject.Peer{Addr: p.Asker}}}
	if float64(s.longest) >= echoSevere.Value*1e9 {
		f.Severity = Critical
	}
	f.at(s.span)
	delay := unit.Duration(time.Duration(s.longest))
	least := c.least(needPackets)
	f.effect = least + words.Plural(s.late+s.never, "ping", "pings") + " answered late or never, up to " + delay
	if s.late == 0 {
		f.effect = least + words.Plural(s.never, "ping", "pings") + " not answered"
	}
	own := c.local(p.Asked)
	who := "The host " + host
	if own {
		who = "This host"
	}
	f.Headline = fmt.Sprintf("%s answered %s of %s late: up to %s passed between request and reply, both seen by the tap.", who,
		least+unit.Count(s.late), words.Plural(p.Sent, "ping of "+p.Asker.String(), "pings of "+p.Asker.String()), delay)
	if s.late == 0 {
		f.Headline = fmt.Sprintf("%s did not answer %s of %s.", who, least+unit.Count(s.never), words.Plural(p.Sent, "ping of "+p.Asker.String(), "pings of "+p.Asker.String()))
	} else if s.never > 0 {
		f.Detail = fmt.Sprintf("%s were never answered. ", words.Sentence(unit.Count(s.never)))
	}
	look := "Capture on that host too: if it answers at once, the path is slow."
	switch {
	case s.late == 0: // others were answered at once
		f.Severity = Info
		f.Detail = "Others of the same pinging host were answered meanwhile, none of them late. A rule that lets so many pings pass in a second looks like that, as packets do that are dropped now and then."
		look = "Look for a rule that limits ICMP (nft: limit rate, iptables: -m limit), and for what drops packets here and on the way (spikebox show drops)."
	case own:
		f.Detail += "The time was lost inside this host, as its kernel answers in the softirq that takes the request; the path has no part in it."
		look = "Look at softirqs that ran long (spikebox histogram), at CPUs without time, and at what waits in the queueing discipline (tc -s qdisc)."
		f.Variant = insideHost
	default:
		f.Detail += "Whether the host or the way to it is slow cannot be told from this side of it."
	}
	item := Item{Kind: "packets", Member: c.inputMember(p.Input), Unit: "s", Limit: val(echoLimit.Value), Value: val(float64(s.longest) / 1e9), Where: "frames" + s.frames}
	if s.late == 0 {
		item.Unit, item.Limit, item.Value, item.Of = "pings", nil, val(float64(s.never)), val(float64(p.Sent))
	} else {
		item.Text = fmt.Sprintf("the longest of %s to %s", words.Plural(s.late, "late reply", "late replies"), words.Plural(p.Sent, "ping", "pings"))
	}
	item.Filter = fmt.Sprintf("icmp && %s.addr == %s && %[1]s.addr == %[3]s", ipName(p.Asked), p.Asked, p.Asker)
	if p.Asked.Is6() {
		item.Filter = "icmpv6" + item.Filter[len("icmp"):]
	}
	f.Evidence = []Item{item}
	if i, ok := c.largestItem("echo.delay", "s", c.Window); ok && own {
		f.Evidence = append(f.Evidence, i)
	}
	f.Remedy = []Remedy{{What: look}}
	return f
}
