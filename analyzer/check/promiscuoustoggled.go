package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
)

var promiscuousToggled = Check{
	ID:    "promiscuous-toggled",
	Title: "An interface changed its promiscuous mode",
	Doc:   "somebody started or stopped a capture, or a bridge or virtual machine was attached; it explains nothing",
	Page: `"device eth1 entered promiscuous mode" in the log is a capture that was started (tcpdump
without -p), a bridge or a virtual machine that was attached. It is not an attack and
not a cause: somebody was looking already. It is told because it is found beside
incidents, and may mislead.

While an interface is promiscuous the card hands up frames for other addresses, too,
which costs CPU time, and frames with a VLAN tag or protocol that nobody wants stop
counting as dropped. spikeboxd itself never switches it on.`,
	Ref:   "net/core/dev.c, __dev_set_promiscuity, Linux 6.18; packet(7), PACKET_MR_PROMISC",
	Needs: []*Need{needKmsg, needNetDev},
	run:   runPromiscuousToggled,
}

// runPromiscuousToggled gives one remark for all changes of this namespace's interfaces.
func runPromiscuousToggled(c *Case) Answer {
	var f *Finding
	var names []string
	for _, m := range c.logged("promiscuous") {
		name := m.Fields["dev"]
		if c.Lines.Get("if."+name+".rx_packets") == nil {
			continue // of another namespace
		}
		if f == nil {
			f = &Finding{Severity: Info, Object: name, effect: name + " changed its promiscuous mode"}
		}
		f.at(f.span0().Join(messageSpan([]message{m})))
		to := "left"
		if m.Fields["on"] == "1" {
			to = "entered"
		}
		const most = 5 // each is a line of the log, and says the same
		if len(names) < most {
			names = append(names, fmt.Sprintf("%s %s it at %s", name, to, words.Clock(f.End)))
			f.Evidence = append(f.Evidence, logItem(m.line))
			f.Subjects = append(f.Subjects, subject.Interface{Name: name})
		}
	}
	if f == nil {
		return absent("no interface entered or left promiscuous mode")
	}
	f.Headline = fmt.Sprintf("Promiscuous mode changed: %s. A capture tool, a bridge or a virtual machine does that; it causes no latency.", words.List(names))
	return present(f)
}
