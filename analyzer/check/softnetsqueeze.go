package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	squeezeShare = Limit{"share", 0.1, "ratio of a CPU's time",
		"each time a round ends early it has lasted up to netdev_budget_usecs: a tenth of a CPU in rounds that were all too short is more than bursts leave"}
	squeezeBusy = Limit{"busy", 0.8, "ratio of a CPU's time",
		"a CPU that is in NET_RX for four fifths of a second has no time left for the processes that should read what it receives"}
)

var softnetSqueeze = Check{
	ID:    "softnet-squeeze",
	Title: "The receive softirq ran out of its budget",
	Doc:   "NET_RX rounds ended with work left, again and again, so that packets waited for the next round",
	Page: `A round of the receive softirq ends after net.core.netdev_budget packets or
net.core.netdev_budget_usecs, and counts a squeeze if there was work left. That work waits
until the softirq comes again, or until ksoftirqd gets its turn among the processes.

A squeeze now and then is a burst, and every busy host has some. Many are a CPU that
receives more than it can take. The counter is of the whole machine.`,
	Ref:    "net/core/dev.c, net_rx_action, Linux 6.18; Documentation/admin-guide/sysctl/net.rst",
	Needs:  []*Need{needSoftnet},
	Limits: []Limit{squeezeShare, squeezeBusy},
	Causes: []Link{
		{Cause: &softnetDrop, On: subject.KindCPU, Slack: counterSlack,
			Because: "where more comes than goes, each round ends with work left"},
		{Cause: &softirqStall, On: subject.KindCPU, Slack: counterSlack,
			Because: "a round in which one packet takes milliseconds is over its time when the next is due"},
		{Cause: &irqImbalance, On: subject.KindCPU, Slack: counterSlack,
			Because: "all packets are given to one CPU, which has no time left"},
	},
	Explains: []string{"softnet.squeezed", "cpu.softirq"},
	run:      runSoftnetSqueeze,
}

// runSoftnetSqueeze looks at the CPU with the most squeezes.
func runSoftnetSqueeze(c *Case) Answer {
	cpus := c.perCPU("softnet.cpu*.squeezed")
	if len(cpus) == 0 || cpus[0].sum == 0 {
		return absent("no NET_RX round ended with work left")
	}
	worst := cpus[0]
	b, _ := c.burst(worst.series)
	usecs, text := c.setting("net.core.netdev_budget_usecs")
	if usecs == 0 {
		usecs = 2000 // two ticks at 1000 Hz, the shortest default
	}
	share := b.rate() * float64(usecs) / 1e6
	if share < squeezeShare.Value {
		return absent("NET_RX rounds ended with work left %s on CPU %d, at most %s of its time", words.Plural(uint64(worst.sum), "time", "times"), worst.cpu, unit.Percent(share))
	}
	busy := c.busiest(fmt.Sprintf("softirq.net_rx.cpu%d.time", worst.cpu), b)
	f := &Finding{Severity: Info, Object: "CPU " + strconv.Itoa(worst.cpu), Subjects: []subject.Subject{subject.CPU{ID: worst.cpu}}}
	if busy >= squeezeBusy.Value {
		f.Severity = Warning
	}
	f.during(b)
	f.effect = fmt.Sprintf("NET_RX out of budget %s times", unit.Number(b.n))
	f.Headline = fmt.Sprintf("NET_RX on CPU %d ended %s times within %s with packets left, which waited for its next round.",
		worst.cpu, unit.Number(b.n), unit.Duration(b.lasted()))
	if busy > 0 {
		f.Detail = fmt.Sprintf("In the worst second NET_RX took %s of that CPU.", unit.Percent(busy))
	}
	f.Evidence = append(f.Evidence, c.seriesItem(worst.series, b.span))
	for _, path := range []string{"net/core/netdev_budget", "net/core/netdev_budget_usecs"} {
		if item, ok := c.settingItem(path); ok {
			f.Evidence = append(f.Evidence, item)
		}
	}
	f.Remedy = []Remedy{{What: "Spread what this CPU receives: more receive queues and their interrupts on different CPUs (ethtool -L, /proc/irq), or receive packet steering."}}
	if text != "" && busy < squeezeBusy.Value { // a CPU without time has none to give
		f.Remedy = append(f.Remedy, Remedy{What: "Let a round last longer. Processes on that CPU wait as much longer for their turn.", Setting: "net.core.netdev_budget_usecs",
			Current: text, Proposed: strconv.FormatInt(2*usecs, 10), Ref: "Documentation/admin-guide/sysctl/net.rst"})
	}
	return present(f)
}

// busiest is the largest share of a second that a counter of time took within a burst.
func (c *Case) busiest(series string, b burst) (most float64) {
	s := c.Lines.Get(series)
	if s == nil {
		return 0
	}
	for i, r := range s.Rates() {
		if at := s.T[i]; at >= b.span.Start && at <= b.span.End+int64(1e9) && r > most {
			most = min(r, 1)
		}
	}
	return most
}
