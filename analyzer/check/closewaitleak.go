package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var closeWaitLeak = Check{
	ID:    "close-wait-leak",
	Title: "A program does not close its connections",
	Doc:   "sockets in CLOSE_WAIT pile up: their peers have closed, and the process here has not",
	Page: `When a peer closes, the kernel acknowledges and waits for the process to close too: the
socket is in CLOSE_WAIT. No timer ever ends that state, only the process does. So sockets
that pile up there are a program that forgets them, or one that hangs and does not get to
it, and each holds a file descriptor.

When the program goes on, or is killed, its sockets send their FINs and pass through
LAST_ACK: that pile comes later and is an effect.`,
	Ref:    "RFC 9293 section 3.3.2; net/ipv4/tcp_input.c, tcp_fin, Linux 6.18",
	Needs:  []*Need{needVital("tcp.close_wait", "vitals.states")},
	Limits: []Limit{stateMany, stateFactor, stateHold},
	Causes: []Link{
		{Cause: &appStalled, On: subject.KindProcess, Slack: counterSlack,
			Because: "a process that does not run closes nothing"},
		{Cause: &slowApplication, CauseVariant: notAnswered, On: subject.KindProcess, Slack: counterSlack,
			Because: "clients that give up close, and what waits for something else does not get to it"},
		{Cause: &listenOverflow, On: subject.KindProcess, Slack: counterSlack, If: harmful,
			Because: "clients that give up while they wait in the accept queue have closed, and the program has not even taken them"},
	},
	Explains: []string{"tcp.close_wait", "close_wait.growth"},
	run:      runCloseWait,
}

// runCloseWait says whose sockets they are, and for how long its file descriptors last.
func runCloseWait(c *Case) Answer {
	const vital, state = "tcp.close_wait", "CLOSE_WAIT"
	p, ok := c.pileup(vital)
	if !ok {
		return c.absentState(vital, state)
	}
	f := p.finding(c, state)
	who := "that holds them"
	list, n := c.holders(state, c.byOwner)
	if len(list) > 0 {
		h := list[0]
		who = h.name
		f.Object = h.name
		f.Detail = fmt.Sprintf("%s of %s sockets in CLOSE_WAIT at the end are its own, most at port %d.", words.Sentence(unit.Count(h.n)), unit.Count(n), h.port())
		descriptors := p.descriptors(h)
		for i, h := range list[:min(len(list), mostServices)] {
			item := h.item(state)
			if i == 0 && descriptors != "" {
				item.say("%d of %d file descriptors open", h.process.FDs, h.process.FDLimit)
			}
			f.Evidence = append(f.Evidence, item)
			if h.process != nil {
				f.Subjects = append(f.Subjects, subject.Process{PID: h.process.PID})
			}
		}
		f.Detail += descriptors
	}
	f.Headline = fmt.Sprintf("The process %s does not close what its peers have closed: %s.", who, p.rose(state))
	if p.end < p.most/2 {
		f.Detail += fmt.Sprintf(" At the end %s were left: it had hung, and went on.", unit.Number(p.end))
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Find out why the process %s does not close: a path in its code that forgets to, or threads that hang (its stacks, its log). A restart frees the sockets and file descriptors, and cuts off what it still serves.", who)}}
	return present(f)
}

// descriptors says how long the process can go on, at the rate at which the pile grows.
func (p *pileup) descriptors(h *held) string {
	if h.process == nil || h.process.FDLimit == 0 || h.process.FDs == 0 {
		return ""
	}
	free := float64(h.process.FDLimit) - float64(h.process.FDs)
	text := fmt.Sprintf(" It has %s of %s file descriptors open", unit.Count(h.process.FDs), unit.Count(h.process.FDLimit))
	if p.growth >= 1 && free > 0 && p.end >= p.most/2 {
		text += fmt.Sprintf("; at %s the others are gone within %s (%s / %s)", rate(p.growth), unit.Duration(time.Duration(free/p.growth*1e9).Round(time.Second)),
			unit.Number(free), rate(p.growth))
	}
	return text + "."
}
