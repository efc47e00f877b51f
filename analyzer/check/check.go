// Package check asks questions of the evidence. A check is a literal and one function:
// what it is called for ever, what it needs, which limits it uses and why, what may cause
// it, and then the question itself. It answers present, absent or unknown; "absent" is
// said only where everything that the check needs was there for the whole window.
//
// A check is a file that bears its ID's name. What several of them use is in files named
// by topic: need.go, trouble.go (handshakes), spike.go (round trips), listener.go, item.go, onset.go.
package check

import (
	"fmt"
	"slices"
	"strings"
)

// Check is one question.
type Check struct {
	ID     string // stable for ever
	Title  string // of its findings
	Doc    string // one line: what it finds
	Page   string // what a reader wants to know about it, in paragraphs
	Ref    string // where the facts come from
	Needs  []*Need
	Limits []Limit
	Causes []Link // what may cause its findings
	// Explains names the vitals that its findings can move: a trigger on one of them is
	// accounted for by such a finding.
	Explains []string
	// LookAlike says that its findings are what harmless things do to vitals: worth knowing only, and
	// the explanation all the same.
	LookAlike bool
	// Remark says that its findings are about the evidence and not about what happened: they
	// stand behind all others.
	Remark bool
	last   bool // it asks what the others have answered
	// Where there is one: the check is not asked, and not told of, where it does not hold.
	asked func(c *Case) bool
	run   func(c *Case) Answer
}

// Limit is a number that a check compares with.
type Limit struct {
	Name  string
	Value float64
	Unit  string
	Why   string
}

// All lists every check in the order in which reports tell of them. A new check is a file
// of its own and a line here.
var All = []*Check{
	&captureIncomplete,
	&clockSuspect,
	&listenOverflow,
	&synackRetransmit,
	&synRetransmit,
	&rttSpike,
	&lostBetween,
	&heldBetween,
	// The host and its kernel.
	&softirqStall,
	&tcpCollapse,
	&irqImbalance,
	&softnetDrop,
	&softnetSqueeze,
	&conntrackFull,
	&conntrackPressure,
	&conntrackHog,
	&localDrop,
	&qdiscDrop,
	&qdiscBacklog,
	&noRoute,
	&neighbourFailed,
	&neighbourOverflow,
	&duplicateAddress,
	&udpRcvbuf,
	&udpStalled,
	&cpuSaturated,
	&cpuThrottled,
	&cpuSteal,
	&memoryPressure,
	&tcpMemory,
	&orphansCheck,
	&nicDrop,
	&nicError,
	&linkFlap,
	&txTimeout,
	&bondDegraded,
	&rxDroppedExplained,
	&kernelDrop,
	&promiscuousToggled,
	&tuning,

	&appStalled,
	&synFlood,
	&synCookies,
	&synRecvPileup,
	&deferredAccept,
	&connectionRefused,
	&connectFailed,
	&portExhaustion,
	&retransmissionBurst,
	&lossRatio,
	&pmtuBlackhole,
	&peerVanished,
	&udpUnanswered,
	&slowUpstream,
	&resolverSilent,
	&dismissed,
	&slowApplication,
	&zeroWindow,
	&windowShrunk,
	&resetStorm,
	&middleboxReset,
	&closeWaitLeak,
	&lastAckPileup,
	&finWait2Pileup,
	&timeWaitOverflow,
	&echoDelayed,
	&portScan,

	&unexplained,
}

// Find gives the check with an ID, nil if there is none.
func Find(id string) *Check {
	for _, c := range All {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Answer is what a check says. One with findings is present; otherwise exactly one of
// Absent and Unknown says why.
type Answer struct {
	Findings []*Finding
	Absent   string
	Unknown  string
	NextTime string // with Unknown: how to have the evidence next time
	Lost     bool   // evidence that the check needs was lost, whatever it answers
	Beyond   bool   // with Unknown: it asks for what a bare capture cannot hold
}

// present, absent and unknown make the three answers. Absent and unknown are whole
// clauses, as the report prints them behind the check's name.
func present(findings ...*Finding) Answer { return Answer{Findings: findings} }

func absent(why string, args ...any) Answer { return Answer{Absent: fmt.Sprintf(why, args...)} }

func unknown(why, nextTime string) Answer { return Answer{Unknown: why, NextTime: nextTime} }

// Result is a check with its answer.
type Result struct {
	Check *Check
	Answer
}

// Run asks every check and links findings that cause each other.
func Run(checks []*Check, c *Case) []Result {
	results := make([]Result, len(checks))
	for _, last := range []bool{false, true} {
		for i, k := range checks {
			if k.last == last && (k.asked == nil || k.asked(c)) {
				results[i] = Result{k, k.ask(c)}
			}
		}
		c.answers = slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Check == nil })
	}
	c.cite(c.answers)
	link(c.answers)
	return c.answers
}

// Optional says that the check is not asked of every input.
func (k *Check) Optional() bool { return k.asked != nil }

// ask answers one check. Missing needs make it unknown; lossy ones take away its right
// to say absent, and keep what it has found.
func (k *Check) ask(c *Case) Answer {
	var lossy []have
	var reasons, next []string
	lost := false
	for _, need := range k.Needs {
		have := need.have(c)
		lost = lost || have.lost
		switch have.state {
		case missing:
			// What was lost of an earlier need does not count then: without this one the
			// check could not have answered anyway.
			a := unknown(have.why, need.next(c, have))
			a.Lost, a.Beyond = have.lost, c.Evidence.Manifest == nil && !have.lost
			return a
		case partly:
			lossy = append(lossy, have)
			reasons, next = append(reasons, have.why), append(next, need.next(c, have))
		}
	}
	// Also on lossy evidence: what was seen has happened, and capture-incomplete says beside it
	// how much is missing.
	a := k.run(c)
	if a.Absent != "" && len(lossy) > 0 {
		a = unknown("nothing found, but "+strings.Join(reasons, "; "), strings.Join(next, "; "))
	}
	a.Lost = lost
	for _, f := range a.Findings {
		f.ID, f.remark = k.ID, k.Remark
		f.hedge(c, lossy)
		f.unseenBefore(c)
		f.complete(k.Title)
	}
	return a
}

// Findings gives the findings of all results, causes first.
func Findings(results []Result) []*Finding {
	var all []*Finding
	for _, r := range results {
		all = append(all, r.Findings...)
	}
	return all
}
