package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	stealLimit = Limit{"steal", 0.10, "ratio of the CPUs' time",
		"a tenth is what a busy neighbour takes for a moment; a virtual CPU that waits for its turn for longer makes every request as much slower"}
	stealHold = Limit{"duration", 2, "s", "steal is accounted in ticks, and a single second may hold what belongs to two"}
	stealHigh = Limit{"high", 0.30, "ratio of the CPUs' time", "with a third of the time gone queues grow that would be empty: a warning"}
)

var cpuSteal = Check{
	ID:    "cpu-steal",
	Title: "The hypervisor took CPU time away",
	Doc:   "virtual CPUs that wanted to run were not run by the hypervisor",
	Page: `Steal is the time in which a virtual CPU had work and the hypervisor ran something else:
too many virtual machines for the cores, a quota, or credits that are used up.
Everything takes longer then, on all connections, and nothing inside of the machine can
be blamed or tuned.

A small share is normal on shared hardware. Not every hypervisor tells it: a machine
without steal time may be waiting all the same (see softirq-stall, which looks for
samples).`,
	Ref:      "Documentation/filesystems/proc.rst, /proc/stat; kernel/sched/cputime.c, account_steal_time, Linux 6.18",
	Needs:    []*Need{needStat},
	Limits:   []Limit{stealLimit, stealHold, stealHigh},
	Explains: []string{"cpu.steal", "psi.cpu"},
	run:      runCPUSteal,
}

var needStat = needText("proc/stat", "the recorder could not read it")

// runCPUSteal looks for the longest run of seconds above the limit, of all CPUs together.
func runCPUSteal(c *Case) Answer {
	line := shares(c.Lines.Get("stat.cpu.steal"), float64(max(c.Evidence.Manifest.Host.CPUs, 1))/c.tickSeconds(1))
	span, most, ok := c.held(line, stealLimit.Value, stealHold.Value)
	if !ok {
		v, _, _ := line.Max(c.Window)
		return absent("the hypervisor took at most %s of the CPUs' time, or for less than %s", unit.Percent(v), unit.Duration(seconds(stealHold.Value)))
	}
	f := &Finding{Severity: Info, Object: "this virtual machine", effect: "up to " + unit.Percent(most) + " of the CPU time stolen"}
	if most >= stealHigh.Value {
		f.Severity = Warning
	}
	f.at(span)
	f.Headline = fmt.Sprintf("The hypervisor took up to %s of this machine's CPU time away, for %s.", unit.Percent(most), unit.Duration(f.End.Sub(f.Start)))
	n := c.Evidence.Manifest.Host.CPUs
	f.Detail = fmt.Sprintf("That is %s of its %s.", unit.Number(most*float64(n)), words.Plural(n, "CPU", "CPUs"))
	f.Evidence = append(f.Evidence, c.shareItem(line, span, stealLimit.Value))
	f.Remedy = []Remedy{{What: "Ask whoever runs the hypervisor about its load in those seconds, the machine's quota and CPU credits; nothing in this machine changes it."}}
	return present(f)
}
