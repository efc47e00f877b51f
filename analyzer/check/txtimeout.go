package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
)

var txTimeout = Check{
	ID:    "tx-timeout",
	Title: "A transmit queue hung",
	Doc:   "an interface did not send for seconds although packets were queued, and its driver reset it",
	Page: `When a transmit queue with packets in it has sent nothing for its watchdog's time (5 s
for most drivers), the kernel logs "transmit queue N timed out" and the driver resets
the card, which takes the link down for a moment. Everything that was to go over that
queue waited for as long. It is the card, its firmware, its driver, or pause frames of a
switch that never end; an emulated card hangs when its host does not run.`,
	Ref:      "net/sched/sch_generic.c, dev_watchdog, Linux 6.18",
	Needs:    []*Need{needKmsg, needNetDev},
	Explains: []string{"nic.errors"},
	run:      runTxTimeout,
}

// runTxTimeout asks the kernel log, once for each interface.
func runTxTimeout(c *Case) Answer {
	var findings []*Finding
	seen := map[string]*Finding{}
	for _, m := range append(c.logged("tx_timeout"), c.logged("tx_hang")...) {
		name := m.Fields["dev"]
		if c.Lines.Get("if."+name+".tx_packets") == nil {
			continue // of another namespace
		}
		if f := seen[name]; f != nil {
			f.at(f.span().Join(messageSpan([]message{m})))
			f.Evidence = append(f.Evidence, logItem(m.line))
			continue
		}
		f := &Finding{Severity: Critical, Object: name, effect: "a transmit queue of " + name + " hung", Subjects: []subject.Subject{subject.Interface{Name: name}}}
		f.at(messageSpan([]message{m}))
		queue := "A transmit queue"
		if q := m.Fields["queue"]; q != "" {
			queue = "Transmit queue " + q
		}
		f.Headline = fmt.Sprintf("%s of %s hung at %s, and its driver reset it.", queue, name, words.Clock(f.Start))
		if d := m.Fields["driver"]; d != "" {
			f.Detail = fmt.Sprintf("The driver is %s.", d)
		}
		if ms := m.Fields["ms"]; ms != "" {
			f.Detail += fmt.Sprintf(" It had not sent for %s ms.", ms)
		}
		f.Evidence = []Item{logItem(m.line)}
		f.Remedy = []Remedy{{What: fmt.Sprintf("Look for a newer firmware and driver (ethtool -i %s), and whether the switch sends pause frames without end (ethtool -S %s).", name, name)}}
		seen[name] = f
		if len(findings) < mostServices {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return absent("the kernel logged no transmit queue that hung")
	}
	return present(findings...)
}
