package story

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

// Row is numbers over the window, as a drawing and as numbers for a cursor.
type Row struct {
	Picture *plot.Picture
	Title   string
	Why     string // what it tells; empty where the title says so
	Open    bool   // it has something to say
	Unit    string
	Lines   []plot.Line // as they are drawn
}

// kind is a row that a report may have.
type kind struct {
	name, title, unit string
	series            []string // names or patterns; of a pattern the largest are drawn
	make              func(t *teller) []plot.Line
	checks            []string // whose findings it is about
	asked             bool     // the reader has laid it beside the rest: it is open
}

// kinds are the rows from the listeners down to the interfaces.
var kinds = []kind{
	{name: "accept-queues", title: "Accept queues", unit: unit.One, make: (*teller).acceptQueues, checks: []string{"listen-overflow", "app-stalled"}},
	{name: "overflows", title: "Accept queue overflows and drops", unit: unit.PerSecond, series: []string{"listen.overflows", "listen.drops"}, checks: []string{"listen-overflow"}},
	{name: "syns", title: "SYNs, answered SYNs, and SYNs sent again, as the packets show them", unit: unit.PerSecond, series: []string{"packets.*syn", "packets.*syn.answered", "packets.*syn.repeated"}, checks: []string{"syn-retransmit", "listen-overflow", "syn-flood", "connect-failed", "local-drop", "conntrack-full"}},
	{name: "half-open", title: "Half-open connections (SYN_RECV)", unit: unit.One, series: []string{"syn_recv"}, checks: []string{"syn-recv-pileup", "syn-flood", "synack-retransmit"}},
	{name: "handshakes-again", title: "SYNs and SYN-ACKs sent again by this host, SYN cookies", unit: unit.PerSecond, series: []string{"syn.retrans", "synack.retrans", "packets.*synack.repeated", "cookies"}, checks: []string{"synack-retransmit", "syn-cookies", "connect-failed"}},
	{name: "connect", title: "Time to connect, as the packets show it", unit: unit.Seconds, series: []string{"packets.*connect.p50", "packets.*connect.p99", "packets.*connect.max"}, checks: []string{"syn-retransmit", "listen-overflow"}},
	{name: "serve", title: "Time from request to answer", unit: unit.Seconds, series: []string{"serve.p99", "packets.*think.p50", "packets.*think.p99", "packets.*think.max"}, checks: []string{"slow-application", "slow-upstream"}},
	{name: "log-request", title: "Time of requests, as the servers' logs have it", unit: unit.Seconds, series: []string{"log.request.p50", "log.request.p99", "log.request.max"}, asked: true},
	{name: "log-upstream", title: "Parts of that time: waiting for an upstream, and from then on until it was connected, its answer's head, its end", unit: unit.Seconds, series: []string{"log.queue.p99", "log.connect.p99", "log.header.p99", "log.response.p99"}, asked: true},
	{name: "log-rate", title: "Requests answered, and those answered with 5xx, as the logs have it", unit: unit.PerSecond, series: []string{"log.requests", "log.failed"}, asked: true},
	{name: "rtt-over", title: "Round trips beyond each connection's shortest", unit: unit.Seconds, series: []string{"packets.rtt.over.p50", "packets.rtt.over.p99", "packets.rtt.over.max"}, checks: []string{"rtt-spike", "qdisc-backlog"}},
	{name: "rtt", title: "Round trips", unit: unit.Seconds, series: []string{"rtt.p50", "rtt.p99", "rtt.max", "packets.rtt.p99"}, checks: []string{"rtt-spike", "qdisc-backlog"}},
	{name: "echo", title: "Delay of echo replies", unit: unit.Seconds, series: []string{"echo.delay"}, checks: []string{"echo-delayed"}},
	{name: "states", title: "TCP sockets by state", unit: unit.One, series: []string{"tcp.state.*"}, checks: []string{"close-wait-leak", "fin-wait2-pileup", "last-ack-pileup", "time-wait-overflow"}},
	{name: "retransmitted", title: "Segments sent again, of all that were sent", unit: unit.Ratio, series: []string{"retrans.ratio"}, checks: []string{"retransmission-burst", "loss-ratio", "qdisc-drop"}},
	{name: "mechanisms", title: "Segments sent again, by what made them", unit: unit.PerSecond, series: []string{"packets.*retrans.timeout", "packets.*retrans.fast", "packets.*retrans.probe", "packets.*retrans.unknown"}, checks: []string{"retransmission-burst", "loss-ratio", "qdisc-drop", "peer-vanished", "pmtu-blackhole"}},
	{name: "peers-again", title: "Segments sent again, by peer", unit: unit.PerSecond, series: []string{"packets.peer.*.retrans"}, checks: []string{"retransmission-burst", "loss-ratio"}},
	{name: "windows", title: "Closed receive windows and resets, by sender", unit: unit.PerSecond, series: []string{"packets.*zero_windows", "packets.*resets"}, checks: []string{"zero-window", "reset-storm", "middlebox-reset"}},
	{name: "timeouts", title: "Retransmission timeouts and resets", unit: unit.PerSecond, series: []string{"rto", "resets"}, checks: []string{"reset-storm", "peer-vanished"}},
	{name: "cpus", title: "CPUs, busy", unit: unit.Ratio, make: (*teller).cpus, checks: []string{"cpu-saturated", "softirq-stall", "irq-imbalance"}},
	{name: "pressure", title: "Waiting for CPU, memory and disks (PSI), softirqs, stolen time", unit: unit.Ratio, series: []string{"psi.cpu.some", "psi.memory.some", "psi.io.some", "cpu.softirq", "cpu.steal"}, checks: []string{"cpu-saturated", "cpu-steal", "memory-pressure"}},
	{name: "softirq", title: "Longest softirq", unit: unit.Seconds, series: []string{"softirq.max", "softirq.net_rx.max", "softirq.net_tx.max", "softirq.timer.max"}, checks: []string{"softirq-stall", "tcp-collapse"}},
	{name: "drops", title: "Packets dropped by the kernel, by reason", unit: unit.PerSecond, series: []string{"drop.*"}, checks: []string{"local-drop", "kernel-drop"}},
	{name: "nic", title: "Drops of backlogs, interfaces and connection tracking", unit: unit.PerSecond, series: []string{"softnet.drops", "softnet.squeezed", "nic.drops", "nic.errors", "conntrack.drops", "qdisc.drops"}, checks: []string{"softnet-drop", "softnet-squeeze", "nic-drop", "nic-error", "conntrack-full", "qdisc-drop"}},
	{name: "fill", title: "How full: connection tracking, local ports, accept queues", unit: unit.Ratio, series: []string{"conntrack.fill", "ports.fill", "accept.queue.fill"}, checks: []string{"conntrack-full", "conntrack-pressure", "conntrack-hog", "port-exhaustion"}},
	{name: "memory", title: "Memory of TCP", unit: unit.Bytes, series: []string{"tcp.mem"}, checks: []string{"tcp-memory", "orphans"}},
	{name: "collapse", title: "Segments merged, and receive queues pruned", unit: unit.PerSecond, series: []string{"netstat.TcpExt.TCPRcvCollapsed", "netstat.TcpExt.PruneCalled", "netstat.TcpExt.RcvPruned"}, checks: []string{"tcp-collapse"}},
	{name: "bytes", title: "Bytes received and sent", unit: "B/s", series: []string{"if.*.rx_bytes", "if.*.tx_bytes"}},
	{name: "peer-bytes", title: "Bytes by peer", unit: "B/s", series: []string{"packets.peer.*.bytes"}},
	{name: "process-bytes", title: "Bytes by process", unit: "B/s", series: []string{"packets.process.*.bytes"}},
	{name: "packets", title: "Packets received and sent", unit: unit.PerSecond, series: []string{"if.*.rx_packets", "if.*.tx_packets"}},
}

// mostLinesInRow is how many lines a row has: as many as there are inks.
const mostLinesInRow = 6

// rows draws every row in which anything moved, and names those in which nothing did.
func (t *teller) rows() (all []Row, still []string) {
	loud := t.loud()
	for i := range kinds {
		k := &kinds[i]
		lines, told := t.lines(k)
		if !told {
			continue // not measured on this host
		}
		if len(lines) == 0 {
			still = append(still, within(k.title))
			continue
		}
		r := t.base("row-"+k.name, k.title, k.unit)
		r.Lines = lines
		r.Alt = rowAlt(&r)
		row := Row{Picture: r.Picture(), Title: k.title, Unit: k.unit, Open: k.asked || t.speaks(k, loud)}
		for _, l := range lines {
			thinT, thinV := plot.Thin(l.T, l.V, t.window, 880)
			row.Lines = append(row.Lines, plot.Line{Name: l.Name, T: thinT, V: thinV, Step: l.Step})
		}
		all = append(all, row)
	}
	return all, still
}

// within is a title in the middle of a sentence: CPUs, SYNs and TCP stay large.
func within(title string) string {
	if len(title) > 1 && title[1] >= 'a' && title[1] <= 'z' {
		return strings.ToLower(title[:1]) + title[1:]
	}
	return title
}

// lines gives the lines of a row that ever leave zero; told is false where none of its series was read.
func (t *teller) lines(k *kind) (lines []plot.Line, told bool) {
	if k.make != nil {
		lines = k.make(t)
		return lines, len(lines) > 0
	}
	for _, pattern := range k.series {
		found, _ := t.Case.Lines.Match(pattern) // the patterns are well formed
		for _, s := range found {
			told = true
			if _, most, _, ok := extremes(s.T, s.Rates()); ok && most > 0 {
				lines = append(lines, t.line(s, shortName(s.Name)))
			}
		}
	}
	if len(lines) > mostLinesInRow {
		slices.SortStableFunc(lines, func(a, b plot.Line) int { return cmp.Compare(peak(b), peak(a)) })
		left := len(lines) - mostLinesInRow
		lines = lines[:mostLinesInRow]
		last := &lines[mostLinesInRow-1]
		last.Name = fmt.Sprintf("%s (%d smaller ones are not drawn)", last.Name, left)
	}
	return lines, told
}

// shortName is a series' name where the row says that it is of packets.
func shortName(name string) string {
	if rest, ok := strings.CutPrefix(name, ticks.Prefix); ok {
		return rest + " (packets)"
	}
	return name
}

func peak(l plot.Line) float64 {
	_, most, _, _ := extremes(l.T, l.V)
	return most
}

// loud are the series that a reader wants to see: the trigger's, those of findings' evidence, and what moved.
func (t *teller) loud() map[string]bool {
	all := map[string]bool{}
	if b := t.Doc.Bundle; b != nil {
		all[b.Trigger.Vital] = true
	}
	for _, f := range t.incident() {
		for _, name := range seriesOf(f) {
			all[name] = true
		}
	}
	if t.Doc.Unanswered() {
		for i := range t.Doc.Moved {
			all[t.Doc.Moved[i].Series] = true
			for _, name := range t.Doc.Moved[i].With {
				all[name] = true
			}
		}
	}
	return all
}

// speaks says whether a row has something to say: a finding is about it, or one of its series is loud.
func (t *teller) speaks(k *kind, loud map[string]bool) bool {
	for _, f := range t.incident() {
		if slices.Contains(k.checks, f.ID) {
			return true
		}
	}
	for _, pattern := range k.series {
		found, _ := t.Case.Lines.Match(pattern) // the patterns are well formed
		if slices.ContainsFunc(found, func(s *timeline.Series) bool { return loud[s.Name] }) {
			return true
		}
	}
	return false
}

func (t *teller) acceptQueues() []plot.Line {
	lines, limits := t.queues(nil, mostLinesInRow)
	for i := range lines {
		lines[i].Name = fmt.Sprintf("%s (room for %d)", lines[i].Name, limits[i])
	}
	return lines
}

// cpus gives the part of each CPU's time in which it was not idle, of the busiest ones.
func (t *teller) cpus() []plot.Line {
	var lines []plot.Line
	for cpu := 0; cpu < 4096; cpu++ {
		name := fmt.Sprintf("stat.cpu%d.", cpu)
		idle := t.series(name + "idle")
		if idle == nil {
			break
		}
		l := plot.Line{Name: fmt.Sprintf("CPU %d", cpu), T: idle.T, V: make([]float64, len(idle.T)), Step: true}
		parts, _ := t.Case.Lines.Match(name + "*") // the pattern is well formed
		for i := range l.V {
			all := 0.0
			for _, p := range parts {
				// Guests' time is in user and nice already (proc(5)).
				if i < len(p.V) && !strings.Contains(p.Name, ".guest") {
					all += p.V[i]
				}
			}
			quiet := idle.V[i]
			if wait := t.series(name + "iowait"); wait != nil && i < len(wait.V) {
				quiet += wait.V[i]
			}
			l.V[i] = math.NaN()
			if all > 0 {
				l.V[i] = 1 - quiet/all
			}
		}
		if _, _, _, read := extremes(l.T, l.V); read { // ticks that stand still tell nothing
			lines = append(lines, l)
		}
	}
	if len(lines) > mostLinesInRow {
		slices.SortStableFunc(lines, func(a, b plot.Line) int { return cmp.Compare(peak(b), peak(a)) })
		lines = lines[:mostLinesInRow]
	}
	return lines
}
