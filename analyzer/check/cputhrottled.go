package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	throttledPeriods = Limit{"periods", 0.5, "ratio of the periods",
		"a program of many threads is held back for a moment in many of its periods, and is done in the next"}
	throttledTime = Limit{"time", 0.25, "ratio of the time",
		"a quarter of the time is a request in four that waits, whatever it needs"}
	throttledLeast = Limit{"duration", 1, "s",
		"less after the trigger says nothing of the seconds before it"}
)

var cpuThrottled = Check{
	ID:    "cpu-throttled",
	Title: "A CPU limit held a server back",
	Doc:   "the control group of a server used up its CPU quota in most periods, and was not let run until the next",
	Page: `A CPU limit (cpu.max, Kubernetes' limits.cpu, systemd's CPUQuota=) is a quota in each
period, mostly 100 ms. A server that has used it up stands still until the period ends,
while the machine's CPUs may be idle: no load, no pressure that others see, and each
request takes some periods.

The counters of the limit that held each listening program back longest, its own group's
or one's above it, are read at the trigger and at the end. What lies between is told here;
a limit that was reached before the trigger only is not seen. Where a limit holds a batch
job back that listens nowhere, nobody waits for it.`,
	Ref:      "Documentation/scheduler/sched-bwc.rst; Documentation/admin-guide/cgroup-v2.rst, cpu.max, cpu.stat",
	Needs:    []*Need{needSockets},
	Limits:   []Limit{throttledPeriods, throttledTime, throttledLeast},
	Explains: []string{"serve.p99", "serve.max", "serve.waiting", "serve.hung", "serve.silence", "serve.asked", "accept.queue.fill", "accept.stalled"},
	run:      runCPUThrottled,
}

// needSockets is the need for the sockets with their processes.
var needSockets = needProbe(member.SocketsName, "sockets", "the listening sockets with their processes at the trigger and at the end")

// runCPUThrottled compares what each limit did at the trigger and at the end.
func runCPUThrottled(c *Case) Answer {
	type before struct {
		*member.CPULimit
		time int64
	}
	then, told := map[int]before{}, map[string]*Finding{}
	var findings []*Finding
	limits, unseen := 0, ""
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		for j := range s.Process {
			p := &s.Process[j]
			was, known := then[p.PID]
			if s.Listening() && p.CPUUnseen {
				unseen = p.Comm
			}
			switch {
			case !s.Listening() || p.CPU == nil:
			case s.At == member.AtTrigger:
				then[p.PID] = before{p.CPU, s.Time}
			case known && was.Group == p.CPU.Group:
				limits++
				if f := told[was.Group]; f != nil {
					f.Subjects = append(f.Subjects, bound(s), subject.Process{PID: p.PID})
				} else if f := c.throttledFinding(s, p, was.CPULimit, was.time); f != nil {
					told[was.Group] = f
					findings = append(findings, f)
				}
			}
		}
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "CPU limits")...)
	case unseen != "":
		return unknown(fmt.Sprintf("the control group of %s could not be seen, and it may have a CPU limit", words.Clip(unseen)),
			"let spikeboxd see the machine's /sys/fs/cgroup (--netns, or nsenter(1) with --net alone, in place of ip netns exec, which mounts another /sys; --cgroupns host)")
	case limits == 0:
		return absent("no listening program has a CPU limit")
	}
	return absent("no CPU limit of a listening program held it back for %s of the time behind the trigger", unit.Percent(throttledTime.Value))
}

// throttledFinding says how often, and for how long; nil where it is little.
func (c *Case) throttledFinding(s *member.Socket, p *member.Process, was *member.CPULimit, since int64) *Finding {
	now, took := p.CPU, float64(s.Time-since)/1e9
	periods, held := float64(now.Periods)-float64(was.Periods), float64(now.Throttled)-float64(was.Throttled)
	waited := (float64(now.ThrottledUs) - float64(was.ThrottledUs)) / 1e6
	if took < throttledLeast.Value || held < throttledPeriods.Value*periods || waited < throttledTime.Value*took {
		return nil
	}
	who := fmt.Sprintf("%s, pid %d", words.Clip(p.Comm), p.PID)
	f := &Finding{Severity: Warning, Object: who, Subjects: []subject.Subject{bound(s), subject.Process{PID: p.PID}}}
	f.at(timeline.Span{Start: since, End: min(s.Time, c.Window.End)})
	share := unit.Percent(held / max(periods, 1))
	f.effect = fmt.Sprintf("%s held back in %s of the periods of its CPU limit", who, share)
	f.Headline = fmt.Sprintf("%s was held back by the CPU limit of %s in %s, for %s on all CPUs together within %s.", words.Sentence(who), words.Clip(now.Group),
		words.Of(uint64(held), uint64(periods), "period", "periods"), unit.Duration(seconds(waited)), unit.Duration(seconds(took)))
	cpus := float64(now.QuotaUs) / float64(max(now.PeriodUs, 1))
	f.Detail = fmt.Sprintf("The limit is %s of CPU time in each %s, %.3g CPUs.", unit.Duration(seconds(float64(now.QuotaUs)/1e6)), unit.Duration(seconds(float64(now.PeriodUs)/1e6)), cpus)
	f.Evidence = []Item{{Kind: "log", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line), Value: val(held), Of: &periods, Limit: val(throttledPeriods.Value * periods), Unit: "periods",
		Text: fmt.Sprintf("cpu.stat nr_throttled of %s, throttled_usec %s, cpu.max %d of %d µs", words.Clip(now.Group), unit.Duration(seconds(waited)), now.QuotaUs, now.PeriodUs)}}
	f.Remedy = []Remedy{{What: "Raise the limit (cpu.max, limits.cpu, CPUQuota=), or leave it away and give a weight instead (requests.cpu, CPUWeight=); or find what has used more CPU time than usual."}}
	return f
}
