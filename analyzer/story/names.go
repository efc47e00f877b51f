package story

import (
	"path"
	"strings"

	"github.com/spikebox/spikebox/analyzer/ticks"
)

// titles say what series are, above a drawing of one: names with a * for what varies, as path.Match has it. In a title
// %s is what stands for the first *. Legends keep the names, by which spikebox timeline draws the same.
var titles = []struct{ name, title string }{
	{"syn", "Connections asked for (SYNs)"},
	{"syn.answered", "SYNs that were answered"},
	{"syn.repeated", "SYNs sent again"},
	{"synack.repeated", "SYN-ACKs sent again"},
	{"connected", "Connections set up"},
	{"connect.*", "Time to connect"},
	{"think.*", "Time from request to answer"},
	{"rtt.over.*", "Round trips beyond each connection's shortest"},
	{"rtt.*", "Round trips"},
	{"rtt.excess.*", "Round trips beyond each connection's shortest"},
	{"retrans.*", "Segments sent again"},
	{"zero_windows", "Closed receive windows"},
	{"resets", "Resets (RST)"},
	{"established.resets", "Established connections that were reset"},
	{"serve.*", "Time from request to answer, at this host's services"},
	{"upstream.*", "Time from request to answer, of this host's upstreams"},
	{"serve.waiting", "Requests that wait for their answer"},
	{"serve.hung", "Clients of ports that have answered nobody since they asked"},
	{"serve.silence", "Time since anybody was answered"},
	{"serve.asked", "Questions since anybody was answered"},
	{"tcp.close_wait", "Sockets in CLOSE_WAIT: closed by the peer, and not yet here"},
	{"tcp.fin_wait2", "Sockets in FIN_WAIT2: closed here, and not yet by the peer"},
	{"tcp.last_ack", "Sockets in LAST_ACK"},
	{"tcp.time_wait", "Sockets in TIME_WAIT"},
	{"tcp.syn_sent", "Connects that wait for an answer (SYN_SENT)"},
	{"tcp.mem", "Memory of TCP"},
	{"tcp.orphans", "Sockets without a process"},
	{"syn_recv", "Half-open connections (SYN_RECV)"},
	{"psi.cpu*", "Time in which a task waited for a CPU"},
	{"psi.memory*", "Time in which a task waited for memory"},
	{"psi.io*", "Time in which a task waited for a disk"},
	{"cpu.steal", "CPU time that the hypervisor took"},
	{"cpu.softirq", "CPU time in softirqs"},
	{"softirq.*", "Longest softirq"},
	{"softnet.cpu*.dropped", "Packets dropped by a full backlog, by CPU"},
	{"softnet.cpu*.processed", "Packets taken from the backlog, by CPU"},
	{"softnet.drops", "Packets dropped by full backlogs"},
	{"conntrack.drops", "Packets dropped by connection tracking"},
	{"listen.overflows", "Accept queue overflows"},
	{"listen.drops", "Connection attempts dropped by listeners"},
	{"netstat.TcpExt.ListenOverflows", "Accept queue overflows"},
	{"netstat.TcpExt.SyncookiesSent", "SYN cookies sent"},
	{"netstat.TcpExt.TCPTimeWaitOverflow", "Sockets that found no room in TIME_WAIT"},
	{"netstat.TcpExt.TCPRcvCollapsed", "Segments merged for want of room in receive queues"},
	{"netstat.TcpExt.TCPMemoryPressures", "Times at which TCP's memory ran short"},
	{"netstat.TcpExt.TCPAbortOnMemory", "Connections given up for want of memory"},
	{"snmp.Tcp.AttemptFails", "Connection attempts that failed"},
	{"snmp.Udp.RcvbufErrors", "Datagrams dropped by full receive buffers"},
	{"udp.rcvbuf", "Datagrams dropped by full receive buffers"},
	{"drop.*", "Packets dropped by the kernel: %s"},
	{"if.*.rx_dropped", "Received packets dropped by %s"},
	{"if.*.tx_dropped", "Packets to be sent dropped by %s"},
	{"if.*.rx_errors", "Receive errors of %s"},
	{"if.*.tx_errors", "Send errors of %s"},
	{"if.*.rx_packets", "Packets received by %s"},
	{"bond.*.slaves_up", "Links of %s that are up"},
	{"qdisc.*.drops", "Packets dropped by the queue of %s"},
	{"nstat.arp_cache.table_fulls.*", "Neighbours refused by a full table"},
	{"nstat.*_cache.res_failed.*", "Neighbours that did not answer for their address"},
}

// titleOf says what a series is, or a pattern of several; its name where nobody wrote more.
func titleOf(name string) string {
	rest, packets := strings.CutPrefix(name, ticks.Prefix)
	whose := ""
	if who, of, ok := strings.Cut(rest, "."); packets && ok && !matched(rest) {
		rest, whose = of, ", "+who
	}
	for _, t := range titles {
		if ok, _ := path.Match(t.name, rest); ok { // the patterns are well formed
			return strings.Replace(t.title, "%s", varies(t.name, rest), 1) + whose
		}
	}
	return name
}

// matched says whether a name has a title.
func matched(name string) bool {
	for _, t := range titles {
		if ok, _ := path.Match(t.name, name); ok { // the patterns are well formed
			return true
		}
	}
	return false
}

// varies is what stands for the first * of a pattern in a name that it matches.
func varies(pattern, name string) string {
	before, after, _ := strings.Cut(pattern, "*")
	return strings.TrimSuffix(strings.TrimPrefix(name, before), after)
}
