package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	irqShare = Limit{"in interrupts", 0.5, "ratio of the CPU",
		"a CPU that spends more of its time on programs is full of programs, and steering packets does not help it"}
	irqFull = Limit{"idle", 0.05, "ratio of the CPU",
		"a CPU that is idle for less has no time to wait for: what comes queues"}
	irqOthers = Limit{"idle elsewhere", 0.5, "ratio of the other CPUs",
		"where the others are half idle there is room for what this one cannot take"}
	irqTakes = Limit{"packets", 0.75, "ratio of all packets",
		"three quarters of all packets on one of several CPUs are no chance"}
	irqHold = Limit{"duration", 3, "s", "a burst is over sooner, and the scheduler moves programs away meanwhile"}
)

var irqImbalance = Check{
	ID:    "irq-imbalance",
	Title: "One CPU received everything, and was full",
	Doc:   "a CPU had no time left for interrupts and received packets, while the others were idle",
	Page: `A packet is worked on by the CPU that its interrupt goes to, or by the one that receive
packet steering (RPS) chooses. A card spreads connections over its receive queues (RSS),
each with an interrupt of its own; a card or a virtual machine with one queue, or one
whose interrupts all go to one CPU, gives everything to that one.

That is no fault while the CPU has time, and is not said then. Where it is full of
interrupts, and the others idle, packets wait for no other reason than where they are
sent.

The packets of one connection stay on one CPU however all of this is set, so that a
single fast one, or one tunnel, cannot be spread.`,
	Ref:      "Documentation/networking/scaling.rst; Documentation/core-api/irq/irq-affinity.rst",
	Needs:    []*Need{needStat, needSoftnet},
	Limits:   []Limit{irqShare, irqFull, irqOthers, irqTakes, irqHold},
	Explains: []string{"cpu.softirq", "softnet.drops", "softnet.squeezed"},
	run:      runIRQImbalance,
}

// runIRQImbalance looks for a CPU that was full of interrupts while the others were idle.
func runIRQImbalance(c *Case) Answer {
	cpus := c.perCPU("softnet.cpu*.processed")
	if len(cpus) < 2 {
		return absent("this machine has one CPU")
	}
	for _, p := range cpus {
		span, most, ok := c.full(p.cpu)
		if !ok {
			continue
		}
		mine, _ := p.series.Sum(span)
		all, _ := c.total("softnet.cpu*.processed").Sum(span)
		idle := 0.0
		for _, o := range cpus {
			if o.cpu != p.cpu {
				idle += c.mean(c.cpuShare(o.cpu, "idle", "iowait"), span) / float64(len(cpus)-1)
			}
		}
		if mine >= irqTakes.Value*all && idle >= irqOthers.Value {
			return present(c.imbalance(p.cpu, span, most, all, idle))
		}
	}
	return absent("no CPU was full of interrupts while the others were idle")
}

// cpuShare is the share of each second that a CPU spent in some modes.
func (c *Case) cpuShare(cpu int, modes ...string) *timeline.Series {
	var all []*timeline.Series
	for _, m := range modes {
		if s := c.Lines.Get(fmt.Sprintf("stat.cpu%d.%s", cpu, m)); s != nil {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return shares(timeline.Total(all[0].Name, all), 1/c.tickSeconds(1))
}

// mean is a share's mean over the readings of a span.
func (c *Case) mean(s *timeline.Series, in timeline.Span) float64 {
	sum, n := s.Sum(in)
	return sum / max(float64(n), 1)
}

// full gives the longest time in which a CPU was full, mostly of interrupts, and the most that these took.
func (c *Case) full(cpu int) (span timeline.Span, most float64, ok bool) {
	interrupts, idle := c.cpuShare(cpu, "irq", "softirq"), c.cpuShare(cpu, "idle", "iowait")
	if interrupts == nil || idle == nil || len(interrupts.T) != len(idle.T) {
		return span, 0, false
	}
	both := *interrupts
	both.V = slices.Clone(interrupts.V)
	for i := range both.V {
		if idle.V[i] > irqFull.Value {
			both.V[i] = 0
		}
	}
	return c.held(&both, irqShare.Value, irqHold.Value)
}

// imbalance is the finding.
func (c *Case) imbalance(cpu int, span timeline.Span, most, all, idle float64) *Finding {
	f := &Finding{Severity: Warning, Object: "CPU " + strconv.Itoa(cpu), Subjects: []subject.Subject{subject.CPU{ID: cpu}}}
	f.at(span)
	f.effect = f.Object + " full of interrupts"
	mine := c.Lines.Get(fmt.Sprintf("softnet.cpu%d.processed", cpu))
	took, _ := mine.Sum(span)
	share := took / max(all, 1)
	f.Headline = fmt.Sprintf("CPU %d was full for %s, up to %s of it with interrupts and received packets, and took %s of all packets of the machine; the others were idle for %s of the time.",
		cpu, unit.Duration(f.End.Sub(f.Start)), unit.Percent(most), unit.Percent(share), unit.Percent(idle))
	devices := c.interrupting(cpu, span)
	if len(devices) > 0 {
		f.Detail = fmt.Sprintf("Most of its interrupts came from %s.", devices[0].name)
	}
	f.Evidence = []Item{c.shareItem(c.cpuShare(cpu, "irq", "softirq"), span, irqShare.Value),
		c.seriesItem(mine, span).partOf(all)}
	for _, d := range devices[:min(len(devices), 3)] {
		f.Evidence = append(f.Evidence, c.seriesItem(d.series, span))
	}
	f.Remedy = c.spread(cpu, devices)
	return f
}

// interrupt is a device's on one CPU.
type interrupt struct {
	name   string // eth0-TxRx-0
	series *timeline.Series
	n      float64
}

// of says whether it is of an interface: drivers name eth1's eth1, eth1-rx-0, mlx5_comp0@eth1 and the like, and
// eth10's is another.
func (i *interrupt) of(name string) bool {
	rest, ok := strings.CutPrefix(i.name, name)
	return ok && (rest == "" || rest[0] < '0' || rest[0] > '9') || strings.HasSuffix(i.name, "@"+name)
}

// interrupting gives the devices that interrupted a CPU, those that did most first.
func (c *Case) interrupting(cpu int, in timeline.Span) (all []interrupt) {
	list, _ := c.Lines.Match(fmt.Sprintf("irq.*.cpu%d", cpu))
	for _, s := range list {
		parts := strings.SplitN(s.Name, ".", 3) // irq.24.eth0-TxRx-0.cpu3; letter codes are no devices
		if _, err := strconv.Atoi(parts[1]); err != nil || len(parts) < 3 {
			continue
		}
		if n, _ := s.Sum(in); n > 0 {
			all = append(all, interrupt{strings.TrimSuffix(parts[2], fmt.Sprintf(".cpu%d", cpu)), s, n})
		}
	}
	slices.SortStableFunc(all, func(a, b interrupt) int { return cmp.Compare(b.n, a.n) })
	return all
}

// spread says how the packets come to other CPUs, too: more queues where the card has them, else steering.
func (c *Case) spread(cpu int, devices []interrupt) []Remedy {
	n := 1
	if m := c.Evidence.Manifest; m != nil {
		n = m.Host.CPUs
	}
	for _, d := range devices {
		for name, nic := range c.Evidence.NICs {
			now, most := nic.Channels["combined"], nic.Channels["combined_max"]
			if !d.of(name) || now == 0 || now >= min(most, uint32(n)) {
				continue
			}
			return []Remedy{{
				What:    fmt.Sprintf("Give %s a receive queue for each CPU (ethtool -L %s combined %d), and see that their interrupts go to different ones (/proc/irq/*/smp_affinity_list, irqbalance). Changing it resets the link of most cards.", name, name, min(most, uint32(n))),
				Setting: "combined queues of " + name, Current: fmt.Sprint(now), Proposed: fmt.Sprint(min(most, uint32(n))), Ref: "ethtool(8), -L",
			}}
		}
	}
	if steering := c.steered(cpu); len(steering) > 0 && n <= 32 {
		return steerAll(steering, n)
	}
	remedy := Remedy{What: "See to which CPUs the receive queues' interrupts go (/proc/interrupts, /proc/irq/*/smp_affinity_list, irqbalance), and spread them.", Ref: "Documentation/core-api/irq/irq-affinity.rst"}
	if queue, mask, ok := c.onlyQueue(devices); ok && n <= 32 {
		remedy = Remedy{
			What:    fmt.Sprintf("There is one receive queue: steer its packets to all CPUs. It costs an interrupt between CPUs for each batch, and CPU %d still takes the interrupts.", cpu),
			Setting: "/" + queue, Current: mask, Proposed: fmt.Sprintf("%x", uint64(1)<<n-1), Ref: "Documentation/networking/scaling.rst, RPS",
		}
	}
	return []Remedy{remedy}
}

// onlyQueue gives the receive queue of the busiest device's interface, if that has one only.
func (c *Case) onlyQueue(devices []interrupt) (path, mask string, ok bool) {
	n := 0
	for name, value := range c.Evidence.Settings {
		parts := strings.Split(name, "/") // sys/class/net/eth0/queues/rx-0/rps_cpus
		if len(parts) == 7 && parts[6] == "rps_cpus" && len(devices) > 0 && devices[0].of(parts[3]) {
			path, mask = name, value
			n++
		}
	}
	return path, mask, n == 1
}
