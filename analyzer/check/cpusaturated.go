package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	waitShare = Limit{"waiting", 0.5, "ratio of the time",
		"for half of the time at least one task that could run had to wait; a host that computes for nobody in particular lives with more"}
	waitHold   = Limit{"duration", 2, "s", "a deploy or a log rotation keeps the CPUs busy for a second"}
	acceptFill = Limit{"accept queue", 0.25, "ratio of its limit",
		"a quarter of an accept queue full is connections that wait for their program"}
	readyShare = Limit{"ready", 0.1, "ratio of the time",
		"for so much of the time a thread of the program could run and had to wait; where CPUs are idle now and then it is a hundredth"}
	readySlow = Limit{"ready and slow", 0.5, "ratio of the time in which it was slow",
		"what could run for the other half has something else to wait for, too, which is to be found first"}
)

var cpuSaturated = Check{
	ID:    "cpu-saturated",
	Title: "Tasks waited for a CPU",
	Doc:   "more tasks wanted to run than there were CPUs; a warning where a server with a filling accept queue was among them",
	Page: `Pressure stall information says for which part of the time at least one task that could
run had to wait for a CPU. That alone harms nobody: a host that compiles or compresses
beside its server may be at 100 % all day, with the server served first.

It is a warning only where the evidence shows that a server went without: its accept
queue filled, and its process was runnable (state R) and not asleep when it was looked
at. A server that sleeps while its queue fills waits for something else: a lock, a disk,
an upstream.

The kernel also counts for how long each thread was ready to run and waited. A program
that listens and waited so is named. That is known from the trigger to the end: where it
waited for half of the time in which its answers were slow then, they are put down to it.`,
	Ref:      "Documentation/accounting/psi.rst; proc(5), /proc/PID/stat; Documentation/scheduler/sched-stats.rst",
	Needs:    []*Need{needPSI("cpu")},
	Limits:   []Limit{waitShare, waitHold, acceptFill, readyShare, readySlow},
	Explains: []string{"psi.cpu", "accept.queue.fill", "accept.stalled", "serve.p99", "serve.max"},
	run:      runCPUSaturated,
}

// needPSI is the need for a resource's pressure.
func needPSI(resource string) *Need {
	return needText("proc/pressure/"+resource, "the kernel was built without CONFIG_PSI, or it is off (psi=0)")
}

// runCPUSaturated looks at the pressure, and then for a server that went without.
func runCPUSaturated(c *Case) Answer {
	line := shares(c.Lines.Get("psi.cpu.some"), 1)
	span, most, ok := c.held(line, waitShare.Value, waitHold.Value)
	if !ok {
		v, _, _ := line.Max(c.Window)
		return absent("tasks waited for a CPU for at most %s of a second, or for less than %s", unit.Percent(v), unit.Duration(seconds(waitHold.Value)))
	}
	f := &Finding{Severity: Info, Object: "the CPUs", effect: "tasks waited for a CPU for up to " + unit.Percent(most) + " of the time"}
	f.at(span)
	// Below a tenth nobody waited to speak of. When the limit was crossed says nothing of its effects: they may have come before.
	f.onset = onset{early: rose(line, span, func(v float64) bool { return v < readyShare.Value }).early}
	f.Headline = fmt.Sprintf("For up to %s of the time some task had to wait for a CPU, for %s.", unit.Percent(most), unit.Duration(f.End.Sub(f.Start)))
	f.Evidence = append(f.Evidence, c.shareItem(line, span, waitShare.Value))
	scarce := "" // why, as far as it is known
	if item, ok := c.levelItem("loadavg.running", span); ok {
		f.Evidence = append(f.Evidence, item)
		if m := c.Evidence.Manifest; m != nil {
			f.Detail = fmt.Sprintf("Up to %s could run, on %s.", words.Plural(uint64(*item.Value), "task", "tasks"), words.Plural(m.Host.CPUs, "CPU", "CPUs"))
			// Whoever reads it runs, too. A task that its group's quota keeps from the CPU is not counted (kernel/sched/fair.c, throttle_cfs_rq).
			if scarce = ", as more tasks could than there are CPUs"; int(*item.Value)-1 <= m.Host.CPUs {
				scarce = ", though there were CPUs for all that could: a limit of its own (of its control group, or its affinity) kept it from them"
			}
		}
	}
	if all := c.deprived(); len(all) > 0 {
		p := all[0]
		f.delay, f.measured = p.waited.Seconds(), timeline.Span{Start: p.Time - p.of.Nanoseconds(), End: p.Time}
		f.Headline = fmt.Sprintf("%s (pid %d) could run and had to wait for a CPU for %s of %s%s.",
			words.Clip(p.Comm), p.PID, unit.Duration(p.waited), unit.Duration(p.of), scarce)
		if p.waited > p.of {
			f.Headline = fmt.Sprintf("Threads of %s (pid %d) could run and had to wait for a CPU, for %s together within %s%s.",
				words.Clip(p.Comm), p.PID, unit.Duration(p.waited), unit.Duration(p.of), scarce)
		}
		for _, p := range all {
			f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
			f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.ProcessesName, Where: fmt.Sprintf("pid %d run_delay", p.PID),
				Value: val(p.waited.Seconds()), Limit: val(readyShare.Value * p.of.Seconds()), Unit: "s", Text: fmt.Sprintf("%s, within %s", words.Clip(p.Comm), unit.Duration(p.of))})
		}
	}
	if l, q := c.starved(span); l != nil {
		f.Severity, f.Object = Warning, l.at.String()
		f.Subjects = append(f.Subjects, l.subjects()...)
		f.Headline = fmt.Sprintf("%s did not get the CPU that it wanted: for up to %s of the time some task had to wait, and its accept queue filled to %s of %s.",
			words.Sentence(l.owner()), unit.Percent(most), unit.Count(q.AcceptQueue), unit.Count(q.AcceptLimit))
		f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.ListenersName, Where: "line " + strconv.Itoa(q.Line), Text: "LISTEN " + l.at.String(),
			Value: val(float64(q.AcceptQueue)), Limit: val(float64(q.AcceptLimit)), Unit: "connections"})
	}
	f.Remedy = []Remedy{{What: "See who used the CPUs (processes.jsonl at the trigger and at the end: spikebox show processes), and give the server more weight or the others less (systemd CPUWeight=, nice). Of a container, see whether its own limit is met: nr_throttled in the cpu.stat of its control group."}}
	return present(f)
}

// ready is a program that listens, and how long its threads could run and had to wait for a CPU, of which time.
type ready struct {
	*member.ProcessUse
	waited, of time.Duration
}

// deprived gives the programs that listen and were ready for at least readyShare of the time between the two lists of processes,
// the longest first.
func (c *Case) deprived() (all []ready) {
	uses := c.uses()
	for _, s := range c.Evidence.Sockets {
		if s.State != "LISTEN" {
			continue
		}
		for _, p := range s.Process {
			u := uses[p.PID]
			if u == nil || u.then == nil || u.now == nil || u.then.Start != u.now.Start || u.then.RunDelay == 0 {
				continue
			}
			delete(uses, p.PID) // of several listeners
			waited, of := float64(u.now.RunDelay)-float64(u.then.RunDelay), float64(u.now.Time-u.then.Time)
			if waited >= readyShare.Value*of && of > 0 {
				all = append(all, ready{u.now, time.Duration(waited), time.Duration(of)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ready) int { return cmp.Compare(b.waited, a.waited) })
	return all
}

// deprivedThen says whether a program waited for a CPU for readySlow of the time in which it was slow, as far as
// that is within what is known of it.
func deprivedThen(cause, effect *Finding) bool {
	const least = 0.5 // s: of less nothing can be said
	known, slow := cause.measured, effect.span()
	both := time.Duration(min(known.End, slow.End) - max(known.Start, slow.Start)).Seconds()
	return both >= least && cause.delay >= readySlow.Value*both
}

// shareItem is the evidence of a share of time at its largest.
func (c *Case) shareItem(s *timeline.Series, in timeline.Span, limit float64) Item {
	v, at, _ := s.Max(in)
	return Item{Kind: "series", Member: lastReading(s, timeline.Span{Start: at, End: at}), Where: s.Name, Value: val(v), Limit: val(limit), Unit: "ratio", Text: "largest at " + clock(at)}
}

// starved gives a listener whose accept queue filled within a span while its process was runnable, with the
// queue at its fullest; nil where there is none.
func (c *Case) starved(in timeline.Span) (*listener, *member.Queue) {
	var fullest *member.Queue
	for i := range c.Evidence.Queues {
		q := &c.Evidence.Queues[i]
		if q.Time < in.Start || q.Time > in.End || float64(q.AcceptQueue) < acceptFill.Value*float64(q.AcceptLimit) {
			continue
		}
		if fullest == nil || q.AcceptQueue > fullest.AcceptQueue {
			fullest = q
		}
	}
	if fullest == nil {
		return nil, nil
	}
	l := &listener{at: subject.Listener{Addr: fullest.Local}}
	if l.socket = c.socketAt(l.at); l.socket == nil {
		return nil, nil
	}
	for _, p := range l.socket.Process {
		for i := range c.Evidence.Processes {
			if u := &c.Evidence.Processes[i]; u.PID == p.PID && u.State == "R" && u.At == member.AtTrigger {
				return l, fullest
			}
		}
	}
	return nil, nil
}
