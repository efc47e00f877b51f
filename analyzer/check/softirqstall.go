package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	stallLimit = Limit{"softirq", 0.005, "s",
		"at 10 Gbit/s a receive ring of 4,096 descriptors overflows in about 5 ms; 300 packets, the kernel's own limit of a round, take well below 1 ms"}
	stallMany = Limit{"stalls", 3, "seconds",
		"a single long one comes of a burst or a machine that was busy elsewhere; in three seconds of a window there is a cause that stays"}
	stallLong = Limit{"long", 0.020, "s",
		"the kernel itself means to stop after two timer ticks (net.core.netdev_budget_usecs), which are 20 ms at the slowest timer, 100 Hz"}
	stallShare = Limit{"inside", 0.5, "ratio of the samples",
		"the function in which a softirq spent most of its time is what made it long"}
)

var softirqStall = Check{
	ID:    "softirq-stall",
	Title: "A CPU was kept in the receive softirq",
	Doc:   "NET_RX ran for so long that everything else on its CPU waited; says on which CPU and in which function",
	Page: `Received packets are worked off in the softirq NET_RX. While it runs, its CPU does nothing
else: no process, no timer, no other packet. It normally takes microseconds, and stops
by itself after 300 packets or two timer ticks (net.core.netdev_budget and
netdev_budget_usecs), but it looks at the clock between packets only. Something that is
slow for each packet, or once for very many, keeps the CPU for tens of milliseconds:
merging a huge receive buffer (tcp_collapse), a linear firewall of thousands of rules, a
slow BPF program.

Pings, handshakes and requests that arrive on that CPU wait for it, and with them the
processes that were running there. A stall says nothing of packets that are lost: see
softnet-drop.

The time is measured from softirq_entry to softirq_exit, and holds what a hypervisor took
away meanwhile: where the CPU's steal time accounts for it this check is silent, and where
the CPU was sampled every millisecond and no sample is in the softirq it says so.

The recorder times all softirqs while there are few, from a trigger or a long one on,
and where there are many for a quarter of a second every ten. Of the others it finds
those that the timer's tick of a CPU met twice, 4 ms apart at 250 Hz, and tells how long
they ran at least, with the stack. The tick of an idle CPU stands: what an interrupt
brings to one, and nobody times, it does not find, so that this check says that it does
not know where CPUs were idle then.`,
	Ref:    "net/core/dev.c, net_rx_action and process_backlog, kernel/softirq.c, handle_softirqs, Linux 6.18; Documentation/admin-guide/sysctl/net.rst",
	Needs:  []*Need{needSoftirqs},
	Limits: []Limit{stallLimit, stallMany, stallLong, stallShare},
	Causes: []Link{
		{Cause: &tcpCollapse, EffectVariant: inCollapse, On: subject.KindHost, Slack: counterSlack,
			Because: "the samples inside of the softirq are in tcp_collapse, which merges all of a receive buffer at once"},
		{Cause: &tcpCollapse, EffectVariant: inUnknown, On: subject.KindHost, Slack: counterSlack,
			Because: "a receive buffer is merged in the softirq, all of it at once; what else was in there was not sampled"},
		{Cause: &softnetDrop, EffectVariant: inOther, On: subject.KindCPU, Slack: counterSlack,
			Because: "with a full backlog each round is as long as the kernel lets it be: 64 packets at the price of each"},
	},
	Explains: []string{"softirq.max", "cpu.softirq", "echo.delay"},
	run:      runSoftirqStall,
}

// What a stall was in, for its causes.
const (
	inCollapse Variant = "in-tcp-collapse"
	inOther    Variant = "in-other"
	inUnknown  Variant = "in-unknown" // no samples were taken then
	inNothing  Variant = "in-nothing" // they were, and there is none
)

var needSoftirqs = needProbe(member.LatenciesName, "probe.softirq", "how long softirqs ran")

// stall is what one CPU's NET_RX did.
type stall struct {
	cpu   int
	span  timeline.Span // the run of seconds that holds the longest
	first int64         // the end of its first second
	most  float64       // s, the longest
	at    int64         // when that was, the end of its second
	n     int           // seconds with a stall, within the window
	busy  float64       // ratio of time in NET_RX, in the worst second
}

// runSoftirqStall looks at each CPU's longest NET_RX of each second.
func runSoftirqStall(c *Case) Answer {
	var stalls []stall
	most, stolen := 0.0, 0
	for _, p := range c.perCPU("softirq.net_rx.cpu*.max") {
		s, taken := c.stall(p)
		stolen += taken
		if s.n > 0 {
			stalls = append(stalls, s)
		}
		v, _, _ := p.series.Max(c.Window)
		most = max(most, v)
	}
	switch {
	case len(stalls) == 0 && stolen > 0:
		return absent("NET_RX took up to %s, but the hypervisor had taken that CPU away for as long (steal time)", unit.Duration(seconds(most)))
	case len(stalls) == 0 && c.timed() < wholly:
		found := fmt.Sprintf("the longest NET_RX that was found took %s; the limit is %s. All were timed in %s of the window",
			unit.Duration(seconds(most)), unit.Duration(seconds(stallLimit.Value)), unit.Percent(c.timed()))
		if c.idledUntimed() {
			return unknown(found+"; in the rest the ticks of the CPUs' timers looked, and that of an idle CPU stands: what an interrupt brought to one was not seen",
				"a trigger on softirq.max of your own has all of them timed: spikeboxd --trigger 'softirq.max > 5ms'")
		}
		return absent("%s; in the rest, in which no CPU was idle, none was kept from one tick of its timer to the next", found)
	case len(stalls) == 0:
		return absent("the longest NET_RX took %s; the limit is %s", unit.Duration(seconds(most)), unit.Duration(seconds(stallLimit.Value)))
	}
	slices.SortStableFunc(stalls, func(a, b stall) int { return cmp.Compare(b.most, a.most) })
	return present(c.stallFinding(stalls))
}

// wholly is the part of a window that is all of it, but for what switching on and off takes.
const wholly = 0.99

// timed is in which part of the window every softirq was timed.
func (c *Case) timed() float64 {
	s, _ := c.Evidence.Source("probe.softirq")
	return member.Within(s.Details, member.SoftirqSpans, c.Window.Start, c.Window.End)
}

// idledUntimed says whether a CPU was idle where not all softirqs were timed. Where nothing tells what the CPUs
// did, one was.
func (c *Case) idledUntimed() bool {
	s, _ := c.Evidence.Source("probe.softirq")
	readings := 0
	for _, p := range c.perCPU("stat.cpu*.idle") {
		for i, at := range p.series.T {
			if i == 0 || at < c.Window.Start || at > c.Window.End || math.IsNaN(p.series.V[i]) {
				continue
			}
			readings++
			if p.series.V[i] > 0 && member.Within(s.Details, member.SoftirqSpans, p.series.T[i-1], at) < wholly {
				return true
			}
		}
	}
	return readings == 0
}

// stall looks at one CPU. Seconds in which the hypervisor took the CPU for as long as the
// softirq ran are counted apart.
func (c *Case) stall(p perCPU) (s stall, stolen int) {
	s.cpu = p.cpu
	steal := c.Lines.Get(fmt.Sprintf("stat.cpu%d.steal", p.cpu))
	held := func(at int64, v float64) bool {
		// The tick accounting of steal may come in the next reading.
		ticks, _ := steal.Sum(timeline.Span{Start: at - 2e9, End: at + 1e9})
		return c.tickSeconds(ticks) < v
	}
	over := &timeline.Series{Counts: true, T: p.series.T, V: make([]float64, len(p.series.T))}
	for i, v := range p.series.V {
		at := p.series.T[i]
		if !(v > stallLimit.Value) || at < c.Window.Start || at > c.Window.End {
			continue
		}
		if !held(at, v) {
			stolen++
			continue
		}
		over.V[i] = 1
		s.n++
		if v > s.most {
			s.most, s.at = v, at
		}
	}
	for _, run := range over.Runs(c.Window, apart, positive) {
		if s.at >= run.Start && s.at <= run.End {
			s.span, s.first = run, onsetOf(over, []timeline.Span{run}, run).late
		}
	}
	if busy := c.Lines.Get(fmt.Sprintf("softirq.net_rx.cpu%d.time", p.cpu)); busy != nil {
		for i, r := range busy.Rates() {
			if at := busy.T[i]; at >= s.span.Start && at <= s.span.End && r > s.busy {
				s.busy = min(r, 1)
			}
		}
	}
	return s, stolen
}

// tickSeconds turns ticks of /proc/stat into seconds.
func (c *Case) tickSeconds(ticks float64) float64 {
	hz := 100.0 // USER_HZ of every architecture but alpha and ia64
	if m := c.Evidence.Manifest; m != nil && m.Host.ClockTick > 0 {
		hz = float64(m.Host.ClockTick)
	}
	return ticks / hz
}

// stallFinding is about all CPUs that stalled, and named after the worst.
func (c *Case) stallFinding(stalls []stall) *Finding {
	s := stalls[0]
	f := &Finding{Severity: Info, Object: "CPU " + strconv.Itoa(s.cpu), effect: "NET_RX softirqs of up to " + unit.Duration(seconds(s.most))}
	n := 0
	for _, o := range stalls {
		f.Subjects = append(f.Subjects, subject.CPU{ID: o.cpu})
		n += o.n
	}
	if float64(s.n) >= stallMany.Value || s.most >= stallLong.Value {
		f.Severity = Warning
	}
	f.at(s.span)
	f.onset.late = s.first
	// A packet waits behind as many stalls as follow each other: most of a second, if they do.
	f.delay = max(s.most, s.busy)
	inside := c.inside("NET_RX", s.cpu, s.at)
	f.Variant = inside.variant
	long := c.longSoftirqs(s.cpu)
	upTo := "up to"
	if len(long) > 0 && long[0].AtLeast && float64(long[0].DurationNs)/1e9 >= s.most {
		upTo = "at least"
	}
	f.Headline = fmt.Sprintf("CPU %d was kept in the receive softirq (NET_RX) for %s %s at a time%s, in %s of the window: whatever arrived there, and whatever ran there, waited.",
		s.cpu, upTo, unit.Duration(seconds(s.most)), inside.clause, words.Plural(s.n, "second", "seconds"))
	if s.busy > 0 {
		f.Detail = fmt.Sprintf("In the worst second NET_RX took %s of that CPU.", unit.Percent(s.busy))
	}
	switch {
	case inside.variant == inCollapse && c.sum(collapsed) == 0:
		f.Detail += " TCPRcvCollapsed of this network namespace did not move: the buffer was a socket's of another one."
	case inside.variant == inNothing:
		f.Severity = Info
		f.Detail += " Not one sample was taken in it, though that CPU is sampled every millisecond: the CPU itself stood still (a hypervisor, firmware), or interrupts were off."
	}
	if inside.first {
		f.Detail += " Nothing was sampled in it: the recorder samples each millisecond from a first long softirq on, and before that with the ticks of the timer, which stand while a CPU is idle."
	}
	if len(stalls) > 1 {
		f.Detail += fmt.Sprintf(" %s stalled too, for less.", words.Sentence(words.Plural(len(stalls)-1, "other CPU", "other CPUs")))
	}
	if item, ok := c.levelItem(fmt.Sprintf("softirq.net_rx.cpu%d.max", s.cpu), s.span); ok {
		item.Limit = val(stallLimit.Value)
		f.Evidence = append(f.Evidence, item)
	}
	f.Evidence = append(f.Evidence, inside.items...)
	f.Evidence = append(f.Evidence, longItems(long)...)
	f.Remedy = []Remedy{{What: inside.remedy}}
	return f
}

// longSoftirqs are the events of one CPU's longest, the longest first.
func (c *Case) longSoftirqs(cpu int) (all []member.Event) {
	const most = 3 // their times are for the eye: the series has them all
	for _, e := range c.Evidence.Events {
		if e.Kind == member.LongSoftirq && e.Vector == "NET_RX" && e.CPU == cpu {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b member.Event) int { return cmp.Compare(b.DurationNs, a.DurationNs) })
	return all[:min(len(all), most)]
}

// longItems are long softirqs as evidence.
func longItems(all []member.Event) (items []Item) {
	for _, e := range all {
		text := "until " + words.Clock(time.Unix(0, e.Time))
		if e.AtLeast {
			text += ", at least"
		}
		items = append(items, Item{Kind: "series", Member: member.EventsName, Where: "line " + strconv.Itoa(e.Line),
			Value: val(float64(e.DurationNs) / 1e9), Unit: "s", Text: text})
	}
	return items
}

// inside is what a long softirq was in.
type inside struct {
	variant Variant
	clause  string // behind the duration
	remedy  string
	items   []Item
	first   bool // before the sampling began
}

// insides are functions that explain a long softirq, by the beginning of their names. The first
// one that half of the samples hold is named: what is deeper in the stack stands first.
var insides = []struct {
	functions    []string
	what, remedy string
	variant      Variant
}{
	{[]string{"tcp_collapse", "tcp_prune_ofo_queue"}, "merging a receive buffer", "See which socket's receive buffer is full of small segments (ss -tmi), and how large net.ipv4.tcp_rmem lets it grow.", inCollapse},
	{[]string{"nft_do_chain", "ipt_do_table", "ip6t_do_table", "ebt_do_table"}, "walking through packet filter rules",
		"Shorten the way through the rules: sets and maps (nft), ipset, or an early accept of established connections in place of one rule after another.", inOther},
	{[]string{"bpf_prog_", "bpf_trace_run", "cls_bpf_classify", "bpf_prog_run_generic_xdp", "___bpf_prog_run"}, "running a BPF program", "Find out whose BPF program that is (bpftool net, bpftool prog) and what it does for each packet.", inOther},
	{[]string{"__nf_conntrack_confirm", "nf_conntrack_in", "early_drop"}, "searching connection tracking",
		"Compare net.netfilter.nf_conntrack_buckets with the number of entries: long chains make each packet slow.", inOther},
	{[]string{"fib_table_lookup", "fib6_table_lookup"}, "looking up routes", "Look at the size of the routing tables and the number of rules (ip rule).", inOther},
	{[]string{"__inet_lookup_listener", "udp4_lib_lookup2", "inet_lhash2_lookup", "__udp4_lib_mcast_deliver"}, "searching sockets",
		"Look for very many sockets that are bound to one port, or receive one multicast group.", inOther},
}

// inside asks the stacks that were sampled in long softirqs of a CPU, of which the longest was in
// the second that ended then.
func (c *Case) inside(vector string, cpu int, at int64) inside {
	for _, s := range c.Evidence.Stacks {
		if s.Vector != vector || s.CPU != strconv.Itoa(cpu) || s.Total <= 0 {
			continue
		}
		for _, known := range insides {
			for _, name := range slices.Sorted(maps.Keys(s.Functions)) {
				share := float64(s.Functions[name]) / float64(s.Total)
				if share >= stallShare.Value && hasPrefixes(name, known.functions...) {
					return inside{variant: known.variant, clause: fmt.Sprintf(", %s in %s (%s)", unit.Percent(share), name, known.what), remedy: known.remedy,
						items: []Item{{Kind: "stack", Member: member.StacksName, Where: name, Value: val(share), Unit: "ratio", Text: vector + " on CPU " + s.CPU}}}
				}
			}
		}
		return inside{variant: inOther, remedy: "Read the stacks that were sampled in it: go tool pprof -top -cum " + member.StacksName + ".",
			items: []Item{{Kind: "stack", Member: member.StacksName, Where: strings.Join(s.Busiest(), ", "), Text: vector + " on CPU " + s.CPU}}}
	}
	// That second, and what may have begun in the one before it.
	s, _ := c.Evidence.Source("probe.stacks")
	sampled := member.Within(s.Details, member.StacksSpans, at-2e9, at) == 1
	if s.State == format.Complete && sampled {
		return inside{variant: inNothing, remedy: "Compare with the hypervisor's or the firmware's log of that second; turbostat counts SMIs."}
	}
	return inside{variant: inUnknown, first: !sampled, remedy: "Look for what is slow for each packet on that CPU (packet filter, BPF, huge receive buffers): spikebox histogram, perf top -C " + strconv.Itoa(cpu) + "."}
}
