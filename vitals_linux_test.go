package spikebox

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/recorder"
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
	for _, expr := range recorder.DefaultTriggers {
		if name := strings.Fields(expr)[0]; !explained[name] {
			t.Errorf("the default trigger %q is on a vital that no check explains", expr)
		}
	}
}

// counters are the kernel's own names in a vital's doc: (TcpExt SyncookiesSent, TCPReqQFullDrop).
var counters = regexp.MustCompile(`\((TcpExt|Tcp) ([A-Za-z, ]+)\)$`)

// A vital that is made of the kernel's counters is one thing with them: its doc names them,
// and so do the aliases.
func TestAliasesOfVitals(t *testing.T) {
	for _, m := range vital.Meters {
		for _, v := range m.Vitals {
			match := counters.FindStringSubmatch(v.Doc)
			if match == nil {
				continue
			}
			group := map[string]string{"TcpExt": "netstat.TcpExt.", "Tcp": "snmp.Tcp."}[match[1]]
			at := slices.IndexFunc(moved.Aliases, func(names []string) bool { return names[0] == v.Name })
			for _, counter := range strings.Split(match[2], ", ") {
				if v.Unit == "ratio" && counter == "OutSegs" { // the whole that it is a part of
					continue
				}
				if at < 0 || !slices.Contains(moved.Aliases[at], group+counter) {
					t.Errorf("%s counts %s, which is not among its aliases", v.Name, group+counter)
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
