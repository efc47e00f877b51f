package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var timeWaitOverflow = Check{
	ID:    "time-wait-overflow",
	Title: "No room for TIME_WAIT",
	Doc:   "connections were forgotten at once, without TIME_WAIT, because net.ipv4.tcp_max_tw_buckets was reached",
	Page: `Who closes first keeps the connection in TIME_WAIT for 60 s, so that late segments of it
are not taken for those of a new one. At net.ipv4.tcp_max_tw_buckets the kernel forgets
connections at once. Usually nobody notices; but if the last ACK is lost, the peer's
repeated FIN is answered with RST, and a new connection between the same ports may meet
old segments.

Many sockets in TIME_WAIT by themselves are no trouble: each takes about 250 bytes.
Towards one upstream they take ports, of which port-exhaustion tells.`,
	Ref:      "net/ipv4/tcp_minisocks.c, tcp_time_wait, and inet_timewait_sock.c, inet_twsk_alloc, Linux 6.18",
	Needs:    []*Need{needTCPExt},
	Explains: []string{"tcp.time_wait"},
	run:      runTimeWait,
}

// runTimeWait asks the counter.
func runTimeWait(c *Case) Answer {
	const counter, setting = "netstat.TcpExt.TCPTimeWaitOverflow", "net/ipv4/tcp_max_tw_buckets"
	n := c.sum(counter)
	if n == 0 {
		return absent("TCPTimeWaitOverflow did not move in the window")
	}
	span, _ := c.Lines.Get(counter).Where(c.Window, positive)
	f := &Finding{Severity: Warning, Object: member.SysctlName(setting)}
	f.at(span)
	f.effect = c.least(needTCPExt) + words.Plural(uint64(n), "connection", "connections") + " forgotten without TIME_WAIT"
	f.Headline = fmt.Sprintf("%s were forgotten without TIME_WAIT: there was no room for more.", words.Sentence(c.least(needTCPExt)+words.Plural(uint64(n), "connection", "connections")))
	f.Evidence = []Item{c.counterItem(counter)}
	most, _, ok := c.Lines.Get("tcp.time_wait").Max(c.Window)
	if item, has := c.largestItem("tcp.time_wait", "1", c.Window); has {
		f.Evidence = append(f.Evidence, item)
	}
	limit, known := c.Evidence.Settings.Int(setting, 0)
	if item, has := c.settingItem(setting); has {
		f.Evidence = append(f.Evidence, item)
	}
	if !known {
		return present(f)
	}
	// Enough for what came in the window, held for a minute, rounded up to a power of two.
	need, pace := int64(1), n/max(f.End.Sub(f.Start).Seconds(), 1)
	if !ok {
		most = float64(limit)
	}
	for float64(need) < most+60*pace {
		need *= 2
	}
	const bytes = 256 // of a struct tcp_timewait_sock in its slab
	f.Remedy = []Remedy{{
		What: fmt.Sprintf("Make room: %s a second beyond the limit, each for 60 s, are %s more than the %s that there are. It costs up to %s of memory. Keep-alive, or letting the other side close first, costs nothing.",
			unit.Number(pace), unit.Number(60*pace), unit.Number(most), unit.Size(need*bytes)),
		Setting: member.SysctlName(setting), Current: strconv.FormatInt(limit, 10), Proposed: strconv.FormatInt(need, 10), Ref: "Documentation/networking/ip-sysctl.rst"}}
	return present(f)
}
