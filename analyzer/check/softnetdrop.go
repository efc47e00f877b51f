package check

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	lossNoticed = Limit{"noticed", 0.001, "ratio of the packets",
		"a thousandth of a CPU's packets is a few connections in a thousand that wait for a timeout"}
	lossSevere = Limit{"severe", 0.10, "ratio of the packets",
		"when every tenth packet is lost every connection stands still for its timeouts: critical"}
)

var softnetDrop = Check{
	ID:    "softnet-drop",
	Title: "A CPU's receive backlog overflowed",
	Doc:   "packets were dropped because a CPU's backlog was full, before any firewall, capture or socket saw them",
	Page: `Packets that are steered to another CPU (RPS), and all of veth, loopback and tunnels, wait
in that CPU's backlog until its NET_RX softirq takes them. It holds
net.core.netdev_max_backlog packets; what comes beyond is dropped, whose ever it is. This
is before the tap: no capture on this host shows those packets, and clients repeat them.

The backlog is full because one CPU is given more than it can do: all packets are steered
to it, each packet is slow (a long firewall), or something floods. A longer backlog
bridges a burst of some milliseconds. It does not help where more comes than goes.

The counter is of the whole machine. Which of the packets were for the recorded network
namespace, the drops that the recorder saw one by one tell; it is judged by those.`,
	Ref:    "net/core/dev.c, enqueue_to_backlog, and net/core/net-procfs.c, softnet_seq_show, Linux 6.18; Documentation/networking/scaling.rst",
	Needs:  []*Need{needSoftnet},
	Limits: []Limit{lossNoticed, lossSevere, dropMany},
	Causes: []Link{
		{Cause: &tcpCollapse, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a CPU that merges a receive buffer takes nothing out of its backlog meanwhile"},
		{Cause: &irqImbalance, On: subject.KindCPU, Slack: counterSlack,
			Because: "all packets are given to one CPU, which has no time left"},
	},
	Explains: []string{"softnet.drops", "retrans", "retrans.ratio", "rto", "syn.retrans", "synack.retrans", "forward.retrans.ratio",
		// An answer waits for the acknowledgements of the one before it, and a program for the CPU that its packets take.
		"serve.p99", "serve.max"},
	run: runSoftnetDrop,
}

var needSoftnet = needText("proc/net/softnet_stat", "the kernel has no networking, or the recorder could not read it")

// runSoftnetDrop looks at the CPU that dropped most, and names the others.
func runSoftnetDrop(c *Case) Answer {
	cpus := c.perCPU("softnet.cpu*.dropped")
	all := c.total("softnet.cpu*.dropped")
	b, ok := c.burst(all)
	if !ok {
		return absent("no CPU's backlog dropped a packet")
	}
	worst := cpus[0]
	processed, _ := c.Lines.Get(fmt.Sprintf("softnet.cpu%d.processed", worst.cpu)).Sum(b.span)
	dropped, _ := worst.series.Sum(b.span)
	share := dropped / max(dropped+processed, 1)
	f := &Finding{Severity: lossSeverity(dropped, share), Object: "CPU " + strconv.Itoa(worst.cpu)}
	f.during(b)
	packets := c.least(needSoftnet) + words.Plural(uint64(b.n), "packet", "packets")
	f.effect = packets + " dropped in the backlog"
	f.Headline = fmt.Sprintf("The receive backlog of CPU %d overflowed: %s dropped within %s, %s of what came to that CPU, before any capture or socket saw them.",
		worst.cpu, packets, unit.Duration(b.lasted()), unit.Percent(share))
	for _, p := range cpus {
		if p.sum > 0 {
			f.Subjects = append(f.Subjects, subject.CPU{ID: p.cpu})
			item := c.seriesItem(p.series, b.span)
			if p.cpu == worst.cpu {
				item = item.partOf(dropped + processed)
			}
			f.Evidence = append(f.Evidence, item)
		}
	}
	if took := c.Lines.Get(fmt.Sprintf("softnet.cpu%d.processed", worst.cpu)); took != nil {
		all, _ := c.total("softnet.cpu*.processed").Sum(b.span)
		f.Evidence = append(f.Evidence, c.seriesItem(took, b.span).partOf(all))
	}
	steering := c.steered(worst.cpu)
	f.Detail = c.softnetDetail(worst.cpu, b, steering)
	if own, known := c.ownBacklog(); known && own < b.n/2 {
		// Half: the two are counted by different clocks, and events come in whole seconds.
		f.Severity = lossSeverity(own, own/max(own+c.received(b.span), 1))
		f.harmless = f.Severity == Info
		f.Detail = fmt.Sprintf("%s of them were for this network namespace, the others for another one of this machine. ", words.Sentence(words.Plural(uint64(own), "packet", "packets"))) + f.Detail
	}
	f.Evidence = append(f.Evidence, c.seriesItem(c.Lines.Get(fmt.Sprintf("softnet.cpu%d.processed", worst.cpu)), b.span))
	if item, ok := c.settingItem("net/core/netdev_max_backlog"); ok {
		f.Evidence = append(f.Evidence, item)
	}
	for _, s := range steering {
		f.Evidence = append(f.Evidence, Item{Kind: "setting", Member: "static/" + s.path, Where: s.path, Text: s.mask})
	}
	f.Remedy = c.softnetRemedy(b, processed/b.lasted().Seconds(), steering)
	return present(f)
}

// lossSeverity judges by the share of packets that are lost, where it is more than a few: one packet of an idle host's
// hundred is one late answer.
func lossSeverity(n, share float64) Severity {
	switch {
	case n < dropMany.Value:
		return Info
	case share >= lossSevere.Value:
		return Critical
	case share >= lossNoticed.Value:
		return Warning
	}
	return Info
}

// ownBacklog counts what the backlogs dropped of this network namespace's packets. known is false
// where the recorder did not see drops.
func (c *Case) ownBacklog() (n float64, known bool) {
	if needDrops.have(c).state != whole {
		return 0, false
	}
	for i := range c.Evidence.Drops {
		// Before the kernel had reasons, the place tells.
		if d := &c.Evidence.Drops[i]; d.Reason == "CPU_BACKLOG" || strings.HasPrefix(d.Place, "enqueue_to_backlog") {
			n += float64(d.Count)
		}
	}
	return n, true
}

var needDrops = needProbe(member.DropsName, "probe.drop", "what the kernel dropped, by reason and place")

// received counts what this namespace's interfaces took, loopback's left out.
func (c *Case) received(in timeline.Span) (n float64) {
	all, _ := c.Lines.Match("if.*.rx_packets")
	for _, s := range all {
		if s.Name != "if.lo.rx_packets" {
			sum, _ := s.Sum(in)
			n += sum
		}
	}
	return n
}

// softnetDetail says who else received, and what the packets went through.
func (c *Case) softnetDetail(cpu int, b burst, steering []rps) string {
	var parts []string
	if processed := c.perCPU("softnet.cpu*.processed"); len(processed) > 1 {
		mine, sum := 0.0, 0.0
		for _, p := range processed {
			n, _ := p.series.Sum(b.span)
			if sum += n; p.cpu == cpu {
				mine = n
			}
		}
		parts = append(parts, fmt.Sprintf("It took %s of all packets that the machine's %s received meanwhile.",
			unit.Percent(mine/max(sum, 1)), words.Plural(len(processed), "CPU", "CPUs")))
	}
	if len(steering) > 0 {
		parts = append(parts, fmt.Sprintf("Receive packet steering sends %s to that CPU alone.", steering[0].queue))
	}
	if in := c.inside("NET_RX", cpu, b.span.End); in.clause != "" {
		parts = append(parts, fmt.Sprintf("The samples of its long softirqs are%s.", in.clause[1:]))
	}
	if limited, _ := c.Lines.Get(fmt.Sprintf("softnet.cpu%d.flow_limit", cpu)).Sum(b.span); limited > 0 {
		parts = append(parts, fmt.Sprintf("%s of them were dropped by the flow limit, which spares small flows at the cost of the largest.", unit.Number(limited)))
	}
	return strings.Join(parts, " ")
}

// rps is a receive queue that is steered to one CPU.
type rps struct{ path, queue, mask string }

// steered gives the receive queues that packet steering sends to one CPU alone.
func (c *Case) steered(cpu int) (all []rps) {
	for name, mask := range c.Evidence.Settings {
		parts := strings.Split(name, "/") // sys/class/net/eth0/queues/rx-0/rps_cpus
		if path.Base(name) != "rps_cpus" || len(parts) != 7 {
			continue
		}
		if cpus := maskCPUs(mask); len(cpus) == 1 && cpus[0] == cpu {
			all = append(all, rps{name, parts[3] + " " + parts[5], mask})
		}
	}
	slices.SortFunc(all, func(a, b rps) int { return strings.Compare(a.path, b.path) })
	return all
}

// maskCPUs reads a mask of CPUs as the kernel prints it: 32 bits in hexadecimal digits, with commas
// between, the highest first (lib/vsprintf.c, bitmap_string).
func maskCPUs(mask string) (cpus []int) {
	words := strings.Split(mask, ",")
	for i := range words {
		v, err := strconv.ParseUint(words[len(words)-1-i], 16, 32)
		if err != nil {
			return nil
		}
		for bit := range 32 {
			if v&(1<<bit) != 0 {
				cpus = append(cpus, 32*i+bit)
			}
		}
	}
	return cpus
}

// steerAll spreads what is steered to one CPU over so many.
func steerAll(steering []rps, n int) []Remedy {
	return []Remedy{{
		What:    fmt.Sprintf("Steer %s to all CPUs. It costs an interrupt between CPUs for each batch, and caches are shared less.", steering[0].queue),
		Setting: "/" + steering[0].path, Current: steering[0].mask, Proposed: fmt.Sprintf("%x", uint64(1)<<n-1), Ref: "Documentation/networking/scaling.rst, RPS"}}
}

// softnetRemedy spreads the load where one CPU has it all, and lengthens the backlog only for what was
// a burst.
func (c *Case) softnetRemedy(b burst, served float64, steering []rps) []Remedy {
	var remedies []Remedy
	n := 1
	if m := c.Evidence.Manifest; m != nil {
		n = m.Host.CPUs
	}
	if len(steering) > 0 && n > 1 && n <= 32 {
		remedies = steerAll(steering, n)
	} else {
		remedies = append(remedies, Remedy{What: "Spread what this CPU receives: more receive queues (ethtool -L), their interrupts on different CPUs, or receive packet steering for an interface with one queue.",
			Ref: "Documentation/networking/scaling.rst"})
	}
	const long = 1 // s: what is dropped for longer than that comes faster than it can be taken
	current, text := c.setting("net.core.netdev_max_backlog")
	if b.lasted().Seconds() > long || current == 0 || served <= 0 {
		return append(remedies, Remedy{What: "Find out what each packet goes through on that CPU, and who sends so many: a longer backlog does not help where more comes than goes."})
	}
	proposed := pow2(float64(current) + b.n)
	return append(remedies, Remedy{
		What: fmt.Sprintf("Lengthen the backlog, so that it holds such a burst. A full one delays its packets by %s at the %s packets/s that this CPU took.",
			unit.Duration(seconds(float64(proposed)/served)), unit.Number(served)),
		Setting: "net.core.netdev_max_backlog", Current: text, Proposed: strconv.FormatInt(proposed, 10), Ref: "Documentation/admin-guide/sysctl/net.rst"})
}
