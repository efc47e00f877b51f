package spikebox

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// The analyzer knows vitals by their names, which the recorder gives them: what it says
// about one must be about one that is measured.
func TestExplainedVitals(t *testing.T) {
	explained, units := map[string]bool{}, vital.Units()
	for _, c := range check.All {
		for _, name := range c.Explains {
			if _, ok := units[name]; !ok {
				t.Errorf("check %s explains %q, which is no vital", c.ID, name)
			}
			explained[name] = true
		}
	}
	// What no check explains becomes a finding all the same (package check holds that). Of the
	// triggers that everybody is armed with a check should know what it means.
	// awaited are the checks that will, by the vital; once one is there it has to.
	awaited := map[string]string{
		"accept.stalled": "app-stalled", "established.resets": "middlebox-reset", "connect.failed": "connect-failed",
		"listeners.gone": "connection-refused", "cookies": "syn-cookies", "ports.fill": "port-exhaustion",
		"conntrack.fill": "conntrack-pressure", "conntrack.drops": "conntrack-full", "softnet.drops": "softnet-drop",
		"softirq.max": "softirq-stall", "tcp.close_wait": "close-wait-leak",
		"tcp.fin_wait2": "fin-wait2-pileup",
		"retrans.ratio": "retransmission-burst", "serve.p99": "slow-application",
	}
	for _, expr := range trigger.Expressions() {
		name := strings.Fields(expr)[0]
		there := slices.ContainsFunc(check.All, func(c *check.Check) bool { return c.ID == awaited[name] })
		if !explained[name] && (awaited[name] == "" || there) {
			t.Errorf("the default trigger %q is on a vital that no check explains", expr)
		}
	}
}

// counters are the kernel's own names in a vital's doc, each with its group or that of the one
// before it: (TcpExt SyncookiesSent, TCPReqQFullDrop), (Udp RcvbufErrors, Udp6RcvbufErrors).
var counters = regexp.MustCompile(`\(((?:TcpExt|Tcp|Udp|Ip) [A-Za-z0-9, ]+)\)$`)

// series is what the analyzer calls the counters of a doc.
func series(doc string) (names []string) {
	prefix := ""
	for _, counter := range strings.Split(strings.ReplaceAll(doc, " without ", ", "), ", ") {
		group, name, grouped := strings.Cut(counter, " ")
		switch {
		case group == "TcpExt":
			prefix = "netstat.TcpExt."
		case grouped:
			prefix = "snmp." + group + "."
		case strings.Contains(counter, "6"):
			names = append(names, "snmp6."+counter)
			continue
		default:
			name = counter
		}
		names = append(names, prefix+name)
	}
	return names
}

// wholes are what ratios are a part of.
var wholes = []string{"snmp.Tcp.OutSegs", "snmp.Tcp.ActiveOpens", "snmp.Tcp.PassiveOpens", "snmp.Ip.OutRequests", "snmp6.Ip6OutRequests"}

// A vital that is made of the kernel's counters is one thing with them: its doc names them,
// and so do the aliases.
func TestAliasesOfVitals(t *testing.T) {
	for _, m := range vital.Meters {
		for _, v := range m.Vitals {
			match := counters.FindStringSubmatch(v.Doc)
			if match == nil {
				continue
			}
			at := slices.IndexFunc(moved.Aliases, func(names []string) bool { return slices.Contains(names, v.Name) })
			for _, counter := range series(match[1]) {
				if v.Unit == "ratio" && slices.Contains(wholes, counter) {
					continue
				}
				if at < 0 || !slices.Contains(moved.Aliases[at], counter) {
					t.Errorf("%s counts %s, which is not among its aliases", v.Name, counter)
				}
			}
		}
	}
	seen := map[string]bool{}
	for _, names := range moved.Aliases {
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s is an alias twice", name)
			}
			seen[name] = true
		}
	}
}
