package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var cookieMany = Limit{"cookies", 10, "cookies",
	"one burst of a few clients against a small backlog; nobody notices"}

const sentCookies = "netstat.TcpExt.SyncookiesSent"

var synCookies = Check{
	ID:    "syn-cookies",
	Title: "SYN cookies were sent",
	Doc:   "a queue of half-open connections was full, and the kernel answered with SYN cookies",
	Page: `When a listener's queue of half-open connections is full, the kernel does not drop the
next SYN but hides what it must remember in the sequence number of the SYN-ACK. Nobody
is turned away; but a connection that is set up so has only what fits into the cookie:
one of few segment sizes, and window scaling and SACK only with timestamps. It is a sign
of a flood, or of a backlog that is too small for the clients' round trips: the queue
holds rate × round trip.

The kernel logs "possible SYN flooding on port …" once for each listener, whether it is
one or not.`,
	Ref:    "net/ipv4/syncookies.c and tcp_input.c, tcp_syn_flood_action, Linux 6.18",
	Needs:  []*Need{needTCPExt},
	Limits: []Limit{cookieMany},
	Causes: []Link{
		{Cause: &synFlood, On: subject.KindHost, Slack: counterSlack,
			Because: "forged SYNs fill the queue of half-open connections"},
		{Cause: &listenOverflow, On: subject.KindHost, Slack: counterSlack, If: overflown,
			Because: "half-open connections that the full accept queue does not take stay in their own queue and fill it"},
	},
	Explains: []string{"cookies"},
	run:      runCookies,
}

// runCookies asks the counters.
func runCookies(c *Case) Answer {
	sent := c.sum(sentCookies)
	if sent == 0 {
		return absent("SyncookiesSent did not move in the window")
	}
	span, _ := c.Lines.Get(sentCookies).Where(c.Window, positive)
	f := &Finding{Severity: Info, Object: "listeners"}
	f.at(span)
	b, _ := c.burst(c.Lines.Get(sentCookies))
	f.onset = b.onset
	if sent >= cookieMany.Value {
		f.Severity = Warning
	}
	f.effect = c.least(needTCPExt) + words.Plural(uint64(sent), "SYN cookie", "SYN cookies") + " sent"
	const recv, failed = "netstat.TcpExt.SyncookiesRecv", "netstat.TcpExt.SyncookiesFailed"
	came, bad := c.sum(recv), c.sum(failed)
	f.Headline = fmt.Sprintf("A queue of half-open connections was full: the kernel sent %s.", c.least(needTCPExt)+words.Plural(uint64(sent), "SYN cookie", "SYN cookies"))
	if c.Lines.Get(recv) != nil && c.Lines.Get(failed) != nil {
		f.Detail = fmt.Sprintf("%s came back as connections and %s did not fit.", words.Sentence(unit.Count(uint64(came))), unit.Count(uint64(bad)))
	}
	for _, name := range []string{sentCookies, recv, failed} {
		if c.Lines.Get(name) != nil {
			f.Evidence = append(f.Evidence, c.counterItem(name))
		}
	}
	log := c.logLines("syn_flood")
	f.Evidence = append(f.Evidence, log...)
	for _, path := range []string{"net/ipv4/tcp_syncookies", "net/ipv4/tcp_max_syn_backlog", "net/core/somaxconn"} {
		if item, ok := c.settingItem(path); ok {
			f.Evidence = append(f.Evidence, item)
		}
	}
	f.Remedy = []Remedy{{What: "If these are real clients, make the listener's backlog longer than rate × round trip (it is the smaller of listen(2)'s, net.core.somaxconn and, for half-open ones without cookies, net.ipv4.tcp_max_syn_backlog); if they are forged, see syn-flood."}}
	if now, ok := c.Evidence.Settings.Int("net/ipv4/tcp_syncookies", 0); ok && now == 2 {
		f.Severity = Info
		f.Headline = fmt.Sprintf("The kernel sent %s: net.ipv4.tcp_syncookies is 2, which sends one for each SYN, whether a queue is full or not.",
			c.least(needTCPExt)+words.Plural(uint64(sent), "SYN cookie", "SYN cookies"))
		f.Remedy = []Remedy{{What: "Send cookies only when the queue is full: 2 sends them always, which is for tests.", Setting: member.SysctlName("net/ipv4/tcp_syncookies"), Current: "2", Proposed: "1",
			Ref: "Documentation/networking/ip-sysctl.rst"}}
	}
	return present(f)
}
