package check

import (
	"fmt"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var tcpMemory = Check{
	ID:    "tcp-memory",
	Title: "TCP's memory was used up",
	Doc:   "all sockets together reached net.ipv4.tcp_mem, so that the kernel shrinks their buffers, drops what arrives or aborts connections",
	Page: `All TCP sockets of the machine share net.ipv4.tcp_mem, three numbers in pages. Above the
second TCP is under pressure: windows no longer grow, and full buffers are pruned. At
the third nothing more is given: what arrives is dropped, and connections are aborted
(TCPAbortOnMemory, "out of memory -- consider tuning tcp_mem" in the log).

Many connections whose program does not read, or whose peer does not, hold it. That the
second number is high on a host with much memory does not matter; how close the machine
came to it does.`,
	Ref:      "net/ipv4/tcp.c, tcp_check_oom, and net/core/sock.c, __sk_mem_raise_allocated, Linux 6.18; Documentation/networking/ip-sysctl.rst, tcp_mem",
	Needs:    []*Need{needTCPExt, needSockstat},
	Explains: []string{"tcp.mem", "mem.pressure"},
	run:      runTCPMemory,
}

var needSockstat = needText("proc/net/sockstat", "the recorder could not read it")

// runTCPMemory asks the counters and the log, and says how much there was.
func runTCPMemory(c *Case) Answer {
	const pressures, aborts = "netstat.TcpExt.TCPMemoryPressures", "netstat.TcpExt.TCPAbortOnMemory"
	entered, pressed := c.burst(c.Lines.Get(pressures))
	aborted, aborting := c.burst(c.Lines.Get(aborts))
	logged := c.logged("tcp_oom")
	if aborting && len(logged) == 0 && c.tooManyOrphans() {
		aborting = false // the same counter, for another reason: orphans says it
	}
	pages, at, _ := c.Lines.Get("sockstat.TCP.mem").Max(c.Window)
	limit, known := c.Evidence.Settings.Int("net/ipv4/tcp_mem", 1)
	ceiling, _ := c.Evidence.Settings.Int("net/ipv4/tcp_mem", 2)
	held := unit.Size(int64(pages) * pageSize)
	if known {
		held += fmt.Sprintf(" of %s, above which there is pressure", unit.Size(limit*pageSize))
	}
	if !pressed && !aborting && len(logged) == 0 {
		return absent("TCP was not under memory pressure: it held at most %s", held)
	}
	f := &Finding{Severity: Warning, Object: "TCP", effect: "TCP under memory pressure", Subjects: []subject.Subject{subject.Setting{Name: "net.ipv4.tcp_mem"}}}
	f.at(entered.span.Join(aborted.span))
	f.Headline = fmt.Sprintf("TCP came under memory pressure: its sockets held up to %s (at %s).", held, clock(at))
	if aborting || len(logged) > 0 {
		f.Severity = Critical
		if len(logged) > 0 {
			f.at(f.span0().Join(messageSpan(logged)))
			f.Evidence = append(f.Evidence, logItem(logged[0].line))
		}
		f.effect = "TCP out of memory"
		f.Headline = fmt.Sprintf("TCP ran out of its memory, with up to %s, and aborted %s.", held, words.Plural(uint64(aborted.all), "connection", "connections"))
		if aborted.all == 0 {
			f.Severity = Warning
			f.Headline = fmt.Sprintf("The kernel logged that TCP is out of memory, with up to %s; it aborted no connection of this network namespace.", held)
		}
	}
	f.Evidence = append(f.Evidence, c.counterItem(pressures), c.counterItem(aborts))
	for _, name := range []string{"sockstat.TCP.mem", "sockstat.TCP.alloc"} {
		if item, ok := c.levelItem(name, c.Window); ok {
			if name == "sockstat.TCP.mem" {
				item.say("%s", held)
			}
			f.Evidence = append(f.Evidence, item)
		}
	}
	if who := c.fullest(); who != nil {
		f.Detail = fmt.Sprintf("At the end the most unread data of this network namespace was at %s (%s): %s.", endpoints(who), c.reader(who), unit.Size(int64(who.RecvQ)))
	}
	f.Remedy = []Remedy{{What: "Find the sockets that hold it (ss -tmn, or sockets.jsonl): programs that do not read, peers that do not acknowledge."}}
	if m := c.Evidence.Manifest; m != nil && known && 2*ceiling*pageSize < int64(m.Host.MemoryBytes/2) {
		f.Remedy = append(f.Remedy, Remedy{
			What:    fmt.Sprintf("Give TCP twice as much: up to %s of the machine's %s, which nothing else can use then.", unit.Size(2*ceiling*pageSize), unit.Size(int64(m.Host.MemoryBytes))),
			Setting: "net.ipv4.tcp_mem", Current: strings.Join(strings.Fields(c.Evidence.Settings["net/ipv4/tcp_mem"]), " "),
			Proposed: c.doubled("net/ipv4/tcp_mem"), Ref: "Documentation/networking/ip-sysctl.rst, tcp_mem"})
	}
	return present(f)
}

// pageSize is that of x86 and of most arm64 kernels; a bundle does not say it.
const pageSize = 4096

// doubled gives a setting of several numbers with each twice as large.
func (c *Case) doubled(path string) string {
	var all []string
	for i := range strings.Fields(c.Evidence.Settings[path]) {
		v, _ := c.Evidence.Settings.Int(path, i)
		all = append(all, fmt.Sprint(2*v))
	}
	return strings.Join(all, " ")
}
