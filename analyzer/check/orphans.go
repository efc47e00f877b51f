package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var orphansCheck = Check{
	ID:    "orphans",
	Title: "Too many orphaned sockets",
	Doc:   "connections that no program holds any more were reset because there were more than net.ipv4.tcp_max_orphans",
	Page: `A socket that its program has closed, and that still has data to send or waits for the
other side's FIN, is an orphan. It holds up to 64 KB of memory that nobody can be blamed
for, so that the kernel resets orphans when there are more than net.ipv4.tcp_max_orphans
(a socket that has been waiting for long counts two- or fourfold), and logs "too many
orphaned sockets".

Clients that went away without a word leave them on a server that closes first. The
number is of the whole machine.`,
	Ref:      "net/ipv4/tcp.c, tcp_too_many_orphans, and net/ipv4/tcp_timer.c, tcp_out_of_resources, Linux 6.18; Documentation/networking/ip-sysctl.rst, tcp_max_orphans",
	Needs:    []*Need{needTCPExt, needSockstat},
	Explains: []string{"tcp.orphans", "resets", "established.resets"},
	run:      runOrphans,
}

// runOrphans asks the log, and the counters where there were enough of them.
func runOrphans(c *Case) Answer {
	logged := c.logged("orphans")
	aborted, _ := c.burst(c.Lines.Get("netstat.TcpExt.TCPAbortOnMemory"))
	most, at, _ := c.Lines.Get("sockstat.TCP.orphan").Max(c.Window)
	limit, text := c.setting("net.ipv4.tcp_max_orphans")
	of := unit.Number(most) + " orphaned sockets"
	if limit > 0 {
		of += fmt.Sprintf(" of %s", unit.Count(limit))
	}
	if len(logged) == 0 && (aborted.all == 0 || !c.tooManyOrphans()) {
		return absent("no orphan was reset: there were at most %s", of)
	}
	f := &Finding{Severity: Warning, Object: "orphans", effect: "orphaned sockets reset", Subjects: []subject.Subject{subject.Setting{Name: "net.ipv4.tcp_max_orphans"}}}
	f.at(aborted.span.Join(messageSpan(logged)))
	f.Headline = fmt.Sprintf("There were up to %s (at %s), and the kernel reset %s that no program held any more.", of, clock(at), words.Plural(uint64(aborted.all), "connection", "connections"))
	if aborted.all == 0 {
		f.Severity = Info
		f.Headline = fmt.Sprintf("The kernel logged that it resets connections that no program holds any more; none of this network namespace was, which had up to %s (at %s).", of, clock(at))
	}
	f.Evidence = append(f.Evidence, c.counterItem("netstat.TcpExt.TCPAbortOnMemory"))
	if item, ok := c.levelItem("sockstat.TCP.orphan", c.Window); ok {
		f.Evidence = append(f.Evidence, item)
	}
	if len(logged) > 0 {
		f.Evidence = append(f.Evidence, logItem(logged[0].line))
	}
	f.Remedy = []Remedy{{What: "Look at how long they stay: net.ipv4.tcp_orphan_retries and net.ipv4.tcp_fin_timeout, and whose they are (ss -tan state fin-wait-1 state last-ack)."}}
	if limit > 0 {
		f.Remedy = append(f.Remedy, Remedy{What: fmt.Sprintf("Allow twice as many, at up to 64 KB each: %s.", unit.Size(2*limit*64<<10)),
			Setting: "net.ipv4.tcp_max_orphans", Current: text, Proposed: strconv.FormatInt(2*limit, 10), Ref: "Documentation/networking/ip-sysctl.rst"})
	}
	return present(f)
}

// tooManyOrphans says whether orphans were as many as it takes for one to be reset: of a socket that has waited
// for long a quarter of the limit is enough (tcp_out_of_resources).
func (c *Case) tooManyOrphans() bool {
	most, _, _ := c.Lines.Get("sockstat.TCP.orphan").Max(c.Window)
	limit, _ := c.setting("net.ipv4.tcp_max_orphans")
	return limit > 0 && most >= float64(limit)/4
}
