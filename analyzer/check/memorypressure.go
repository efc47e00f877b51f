package check

import (
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	memWait = Limit{"waiting", 0.10, "ratio of the time",
		"for a tenth of the time some task waited for memory to be freed: reads that should come from the cache come from the disk by then"}
	memHold = Limit{"duration", 1, "s", "reclaim in bursts of a few 100 ms is how a full page cache lives"}
)

var memoryPressure = Check{
	ID:    "memory-pressure",
	Title: "Memory was short",
	Doc:   "tasks waited for memory to be freed, or the kernel killed a process for want of it",
	Page: `When memory is short, whoever asks for a page has to free others first (direct reclaim),
and what was thrown away must be read again. Pressure stall information says for which
part of the time tasks waited for that. In the end the kernel kills a process; of a
container that has reached its own limit, one of that container: where nothing of that
name listens here, that is only noted.

Free memory alone says nothing: a healthy host uses all of it for its page cache, which
kswapd frees in the background without anybody waiting.`,
	Ref:      "Documentation/accounting/psi.rst; mm/oom_kill.c and mm/vmscan.c, Linux 6.18; proc(5), /proc/vmstat",
	Explains: []string{"psi.memory", "psi.io", "serve.p99", "serve.max"},
	Needs:    []*Need{needPSI("memory")},
	Limits:   []Limit{memWait, memHold},
	run:      runMemoryPressure,
}

// runMemoryPressure asks for kills first, then for waiting.
func runMemoryPressure(c *Case) Answer {
	line := shares(c.Lines.Get("psi.memory.some"), 1)
	span, most, waiting := c.held(line, memWait.Value, memHold.Value)
	killed := c.logged("oom_kill")
	kills, _ := c.burst(c.Lines.Get("vmstat.oom_kill"))
	if !waiting && len(killed) == 0 && kills.all == 0 {
		v, _, _ := line.Max(c.Window)
		return absent("tasks waited for memory for at most %s of a second, and the kernel killed nobody for it", unit.Percent(v))
	}
	f := &Finding{Severity: Warning, Object: "memory", effect: "memory was short"}
	if waiting {
		f.at(span)
		f.Headline = fmt.Sprintf("For up to %s of the time some task had to wait until memory was freed, for %s.", unit.Percent(most), unit.Duration(f.End.Sub(f.Start)))
		f.Evidence = append(f.Evidence, c.shareItem(line, span, memWait.Value))
	}
	if len(killed) > 0 || kills.all > 0 {
		f.killed(c, killed, kills)
	}
	stalls := c.total("vmstat.allocstall_*")
	if n, _ := stalls.Sum(c.Window); n > 0 {
		f.Evidence = append(f.Evidence, c.seriesItem(stalls, c.Window))
	}
	if available := c.Lines.Get("meminfo.MemAvailable"); available != nil {
		if v, at, ok := least(available, c.Window); ok {
			f.Evidence = append(f.Evidence, Item{Kind: "series", Member: lastReading(available, timeline.Span{End: at}), Where: available.Name, Value: val(v), Unit: "B", Text: "smallest"})
		}
	}
	f.Remedy = []Remedy{{What: "See who holds the memory (processes.jsonl, rss_pages; of containers memory.current beside memory.max), and limit that, or give the server memory.low so that its pages are taken last."}}
	return present(f)
}

// killed tells of processes that the kernel killed. A container's own limit is that container's trouble; the
// host's is everybody's.
func (f *Finding) killed(c *Case, killed []message, kills burst) {
	waiting := f.Headline != ""
	f.Severity = Critical
	if len(killed) > 0 && !slices.ContainsFunc(killed, func(m message) bool { return m.Fields["scope"] != "cgroup" || c.serving(m.Fields["comm"]) }) {
		f.Detail = "Nothing of that name listens here, and the limit is not the host's: who is served here is hurt by it only if his server needs that program."
		if f.Severity = Info; waiting {
			f.Severity = Warning
		}
	}
	who := words.Plural(uint64(max(kills.all, float64(len(killed)))), "process", "processes")
	limit := ""
	span := kills.span
	for i, m := range killed {
		span = span.Join(timeline.Span{Start: m.line.Time, End: m.line.Time})
		if i == 0 {
			who = fmt.Sprintf("%s (pid %s)", m.Fields["comm"], m.Fields["pid"])
			if len(killed) > 1 {
				who += fmt.Sprintf(" and %s more", words.Plural(len(killed)-1, "process", "processes"))
			}
			if m.Fields["scope"] == "cgroup" {
				limit = ", which had reached its control group's own limit"
			}
		}
		const most = 3 // lines
		if i < most {
			f.Evidence = append(f.Evidence, logItem(m.line))
		}
	}
	if s := c.Lines.Get("vmstat.oom_kill"); s != nil && kills.all > 0 {
		f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
	}
	f.at(span.Join(f.span0()))
	f.effect = "the kernel killed " + who
	f.Headline = fmt.Sprintf("For want of memory the kernel killed %s%s. %s", who, limit, f.Headline)
}

// serving says whether a program of this name has a listener of this network namespace: its workers, which have none, are called as it is.
func (c *Case) serving(comm string) bool {
	return slices.ContainsFunc(c.Evidence.Sockets, func(s member.Socket) bool {
		return s.Listening() && slices.ContainsFunc(s.Process, func(p member.Process) bool { return p.Comm == comm })
	})
}

// span0 is the finding's span, empty where it has no time yet.
func (f *Finding) span0() timeline.Span {
	if f.Start.IsZero() {
		return timeline.Span{}
	}
	return f.span()
}

// least is a level's smallest value in a span.
func least(s *timeline.Series, in timeline.Span) (v float64, at int64, ok bool) {
	if s == nil {
		return 0, 0, false
	}
	for i, t := range s.T {
		if t >= in.Start && t <= in.End && (!ok || s.V[i] < v) {
			v, at, ok = s.V[i], t, true
		}
	}
	return v, at, ok
}
