package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	tuneFill  = Limit{"fill", 0.5, "ratio of the limit", "a queue that is half full has met its limit's order of magnitude; below that the limit does not matter"}
	tuneChain = Limit{"entries a bucket", 4, "entries",
		"the kernel's own ratio of nf_conntrack_max to its buckets was 4 until 5.15, and is 1 since; every packet walks half of a chain"}
	tuneLoss = Limit{"sent again", 0.01, "ratio of the segments", "where one segment in a hundred is lost, how losses are repaired is how fast it is"}
	tuneWait = Limit{"TIME_WAIT", 1000, "sockets", "a host that wants ports back has used up thousands"}
	tuneSkew = Limit{"of the traffic", 0.9, "ratio of the bytes sent", "a hash over enough connections comes within a few per cent of an even share"}
	tuneRate = Limit{"sent", 10e6, "B/s", "a tenth of a gigabit link: with less it does not matter which one takes it"}
)

var tuning = Check{
	ID:    "tuning",
	Title: "A setting contradicts another, or the load",
	Doc:   "settings that contradict each other or what was observed, with the value that would not",
	Page: `No list of recommendations: a setting is named only where another one makes it useless,
or where the load of this window met it. What another check finds with the setting as its
remedy (a listen backlog that overflowed, a card's ring that dropped, tcp_rmem where
buffers were merged, nf_conntrack_max) is said there and not again.

net.core.rmem_max below tcp_rmem's maximum is no contradiction: it bounds what a program
may ask for, and TCP's own tuning does not ask.`,
	Ref:    "Documentation/networking/ip-sysctl.rst, nf_conntrack-sysctl.rst and bonding.rst; listen(2)",
	Needs:  []*Need{needSettings},
	Limits: []Limit{tuneFill, tuneChain, tuneLoss, tuneWait, tuneSkew, tuneRate},
	run:    runTuning,
}

var needSettings = &Need{
	Name: "the host's settings", source: "sysctl", get: "sysctls and the settings of interfaces",
	have: func(c *Case) have {
		s, ok := c.Evidence.Source("sysctl")
		switch {
		case c.Evidence.Manifest == nil:
			return impossible("the host's settings are not in a bare capture")
		case len(c.Evidence.Settings) == 0 && (!ok || s.State != format.Complete || c.damaged()):
			return c.gone("the host's settings are", "sysctl")
		}
		return have{state: whole}
	},
}

// contradictions are what tuning knows; each gives nil where its setting is in order, or is not known.
var contradictions = []func(*Case) *Finding{
	(*Case).acceptLimit, (*Case).recycled, (*Case).reuseWithoutTimestamps, (*Case).rmemOrder,
	(*Case).longChains, (*Case).forgottenBeforeKeepalive, (*Case).lossWithoutSACK, (*Case).bondHash,
}

func runTuning(c *Case) Answer {
	var findings []*Finding
	for _, ask := range contradictions {
		if f := ask(c); f != nil {
			f.Severity = Info
			f.at(c.Window)
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return absent("none of %s contradicts another or the load", words.Plural(len(contradictions), "known setting", "known settings"))
	}
	return present(findings...)
}

// tuned starts a finding about a sysctl. The items of the settings that it is about come first.
func (c *Case) tuned(headline string, remedy Remedy, settings ...string) *Finding {
	f := &Finding{Object: remedy.Setting, Headline: headline, effect: remedy.Setting + " contradicts"}
	for _, s := range settings {
		if item, ok := c.settingItem(strings.ReplaceAll(s, ".", "/")); ok {
			f.Evidence = append(f.Evidence, item)
		}
	}
	if text, ok := c.Evidence.Settings[strings.ReplaceAll(remedy.Setting, ".", "/")]; ok {
		remedy.Current = text
	}
	f.Remedy = []Remedy{remedy}
	return f
}

// acceptLimit: a queue that came near its limit, which is the host's and not the program's.
func (c *Case) acceptLimit() *Finding {
	somaxconn, _ := c.setting("net.core.somaxconn")
	var fullest *member.Queue
	for i := range c.Evidence.Queues {
		if q := &c.Evidence.Queues[i]; int64(q.AcceptLimit) == somaxconn && (fullest == nil || q.AcceptQueue > fullest.AcceptQueue) {
			fullest = q
		}
	}
	if fullest == nil || float64(fullest.AcceptQueue) < tuneFill.Value*float64(fullest.AcceptLimit) || fullest.Overfull() {
		return nil // where it overflowed, listen-overflow has the remedy
	}
	f := c.tuned(fmt.Sprintf("The accept queue of %s came to %s of %s, and this limit is net.core.somaxconn: listen(2) gives no program more, whatever it asks for.",
		fullest.Local, unit.Count(fullest.AcceptQueue), unit.Count(fullest.AcceptLimit)),
		Remedy{What: "Raise it if the program asks for more, and restart the program: the limit is taken at listen(2). A longer queue delays what waits in it.",
			Setting: "net.core.somaxconn", Proposed: strconv.FormatInt(2*somaxconn, 10), Ref: "listen(2)"}, "net.core.somaxconn")
	f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.ListenersName, Where: "line " + strconv.Itoa(fullest.Line), Text: "LISTEN " + fullest.Local.String(),
		Value: val(float64(fullest.AcceptQueue)), Limit: val(float64(fullest.AcceptLimit)), Unit: "connections"})
	return f
}

// recycled: tcp_tw_recycle takes the timestamps of all hosts behind one address for one clock.
func (c *Case) recycled() *Finding {
	if v, _ := c.setting("net.ipv4.tcp_tw_recycle"); v == 0 {
		return nil
	}
	f := c.tuned("net.ipv4.tcp_tw_recycle is on: of several clients behind one NAT address the SYNs of those with the slower clock are dropped.",
		Remedy{What: "Switch it off; Linux 4.12 removed it. Ports come back by tcp_tw_reuse for connections that this host opens.",
			Setting: "net.ipv4.tcp_tw_recycle", Proposed: "0", Ref: "kernel commit 4396e46187ca"}, "net.ipv4.tcp_tw_recycle")
	const refused = "netstat.TcpExt.PAWSPassive"
	if c.sum(refused) > 0 {
		f.Detail = fmt.Sprintf("%s were dropped for it in this window.", words.Sentence(words.Plural(uint64(c.sum(refused)), "SYN", "SYNs")))
		f.Evidence = append(f.Evidence, c.counterItem(refused))
	}
	return f
}

// reuseWithoutTimestamps: a TIME_WAIT socket is taken over only if timestamps tell old packets from new ones.
func (c *Case) reuseWithoutTimestamps() *Finding {
	const reuse, stamps = "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_timestamps"
	on, _ := c.setting(reuse)
	stamped, text := c.setting(stamps)
	waiting, _, _ := c.Lines.Get("tcp.time_wait").Max(c.Window)
	if on != 1 || text == "" || stamped != 0 || waiting < tuneWait.Value {
		return nil
	}
	f := c.tuned(fmt.Sprintf("net.ipv4.tcp_tw_reuse is on and does nothing, as net.ipv4.tcp_timestamps is off; up to %s sockets were in TIME_WAIT.", unit.Number(waiting)),
		Remedy{What: "Switch timestamps on: 12 bytes a packet.", Setting: stamps, Proposed: "1", Ref: "net/ipv4/tcp_ipv4.c, tcp_twsk_unique, Linux 6.18"}, reuse, stamps)
	if item, ok := c.levelItem("tcp.time_wait", c.Window); ok {
		f.Evidence = append(f.Evidence, item)
	}
	return f
}

// rmemOrder: a buffer begins with the second number and grows to the third.
func (c *Case) rmemOrder() *Finding {
	for _, name := range []string{"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"} {
		path := strings.ReplaceAll(name, ".", "/")
		middle, ok := c.Evidence.Settings.Int(path, 1)
		most, ok2 := c.Evidence.Settings.Int(path, 2)
		least, _ := c.Evidence.Settings.Int(path, 0)
		if !ok || !ok2 || middle <= most {
			continue
		}
		return c.tuned(fmt.Sprintf("%s begins with %s and has a maximum of %s: its buffers never grow, whatever a connection needs.", name, unit.Size(middle), unit.Size(most)),
			Remedy{What: "Give the middle number, with which each connection begins, less than the maximum.",
				Setting: name, Proposed: fmt.Sprintf("%d %d %d", least, most, middle), Ref: "Documentation/networking/ip-sysctl.rst"}, name)
	}
	return nil
}

// longChains: each packet walks a chain of connection tracking's table.
func (c *Case) longChains() *Finding {
	t := c.Evidence.Conntrack
	if t == nil || t.Count == nil || t.Buckets == nil || *t.Buckets == 0 || float64(*t.Count) < tuneChain.Value*float64(*t.Buckets) {
		return nil
	}
	count := float64(*t.Count)
	f := c.tuned(fmt.Sprintf("Connection tracking holds %s entries in %s buckets: each packet looks through chains of %s.",
		unit.Count(*t.Count), unit.Count(*t.Buckets), unit.Number(count/float64(*t.Buckets))),
		Remedy{What: "Give it a bucket for each entry that it may hold: 8 bytes each.", Setting: "net.netfilter.nf_conntrack_buckets",
			Proposed: strconv.FormatInt(pow2(count), 10), Ref: "Documentation/networking/nf_conntrack-sysctl.rst"}, "net.netfilter.nf_conntrack_buckets")
	f.Evidence = append(f.Evidence, Item{Kind: "setting", Member: member.ConntrackSummaryName, Where: "count", Value: &count, Unit: "entries"})
	return f
}

// forgottenBeforeKeepalive: an idle connection loses its entry before its keep-alive would renew it.
func (c *Case) forgottenBeforeKeepalive() *Finding {
	const keep, forget = "net.ipv4.tcp_keepalive_time", "net.netfilter.nf_conntrack_tcp_timeout_established"
	first, _ := c.setting(keep)
	timeout, _ := c.setting(forget)
	if t := c.Evidence.Conntrack; first == 0 || timeout == 0 || timeout > first || t == nil || t.Count == nil || *t.Count == 0 {
		return nil
	}
	s := func(v int64) string { return unit.Duration(time.Duration(v) * time.Second) }
	return c.tuned(fmt.Sprintf("Connection tracking forgets an idle connection after %s, and this host's first keep-alive comes after %s: what comes on it then is of no connection, and stateful rules drop it.", s(timeout), s(first)),
		Remedy{What: "Send keep-alives more often than entries are forgotten, at a packet for each idle connection that asks for them (SO_KEEPALIVE).",
			Setting: keep, Proposed: strconv.FormatInt(max(timeout/2, 1), 10), Ref: "Documentation/networking/nf_conntrack-sysctl.rst"}, keep, forget)
}

// lossWithoutSACK: without SACK one loss is repaired in each round trip.
func (c *Case) lossWithoutSACK() *Finding {
	const sack = "net.ipv4.tcp_sack"
	again, sent := c.sum("snmp.Tcp.RetransSegs"), c.sum("snmp.Tcp.OutSegs")
	if on, text := c.setting(sack); on != 0 || text == "" || sent == 0 || again < tuneLoss.Value*sent || again < dropMany.Value {
		return nil
	}
	f := c.tuned(fmt.Sprintf("net.ipv4.tcp_sack is off, and %s of what this host sent was sent again: without it one loss is repaired in each round trip, and more are waited for.", unit.Percent(again/sent)),
		Remedy{What: "Switch it on.", Setting: sack, Proposed: "1", Ref: "RFC 2018"}, sack)
	f.Evidence = append(f.Evidence, c.counterItem("snmp.Tcp.RetransSegs").partOf(sent))
	return f
}

// bondHash: one link of several takes all, since the bond tells connections apart by MAC addresses only.
func (c *Case) bondHash() *Finding {
	for _, name := range slices.Sorted(maps.Keys(c.Evidence.Bonds)) {
		bond := c.Evidence.Bonds[name]
		if !strings.Contains(bond.Mode, "802.3ad") && !strings.Contains(bond.Mode, "balance-xor") || !strings.HasPrefix(bond.HashPolicy, "layer2 ") {
			continue
		}
		var sent []float64
		for _, s := range bond.Slaves {
			n, _ := c.Lines.Get("if." + s.Name + ".tx_bytes").Sum(c.Window)
			sent = append(sent, n)
		}
		sum := 0.0
		for _, n := range sent {
			sum += n
		}
		if len(sent) < 2 || slices.Max(sent) < tuneSkew.Value*sum || sum < tuneRate.Value*float64(c.Window.End-c.Window.Start)/1e9 {
			continue
		}
		most := bond.Slaves[slices.Index(sent, slices.Max(sent))].Name
		f := c.tuned(fmt.Sprintf("%s sent %s of what %s sent, which has %s: it chooses by MAC addresses (layer2), and behind a router there is only one.",
			most, unit.Percent(slices.Max(sent)/sum), name, words.Plural(len(sent), "link", "links")),
			Remedy{What: "Choose by addresses and ports. A connection still stays on one link; fragments of one datagram may take two.",
				Setting: "xmit_hash_policy of " + name, Current: bond.HashPolicy, Proposed: "layer3+4", Ref: "Documentation/networking/bonding.rst"})
		f.Evidence = []Item{c.seriesItem(c.Lines.Get("if."+most+".tx_bytes"), c.Window)}
		return f
	}
	return nil
}
