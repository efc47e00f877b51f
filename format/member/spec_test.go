package member

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/format"
)

// description is what SPEC.md says of some members.
type description struct {
	names   []string // as its table of members writes them
	section string   // where they are told, which the constants' file cites
	words   []string // what the section must have in backquotes: a header, a form, values
	rows    []any    // the rows and objects whose fields the section lists, and no other fields
	// values are words in backquotes that look like fields and are none.
	values string
}

// described is every member of this package, in the order of the table.
var described = []description{
	{[]string{VitalsName}, "vitals.csv", []string{"time,<vital>,…"}, nil, "time details dump_began_before_end dump_took"},
	{[]string{ClocksName}, "clocks.csv", []string{strings.TrimSpace(ClocksHeader), ClockStep, ClockSuspend, ClockSlew}, nil,
		"time realtime step suspend slew"},
	{[]string{ListenersName}, "listeners.csv", []string{strings.TrimSpace(ListenersHeader)}, nil,
		"time local syn_queue accept_queue accept_limit"},
	{[]string{KmsgName}, "kmsg.txt", []string{"<Unix time in ns> <level> <text>"}, nil,
		"kmsg printk_offset_ns printk_uncertainty_ns printk_lines"},
	{[]string{EventsName}, "events.jsonl", []string{Retransmit, SYNRetransmit, SYNACKRetransmit, ResetSent, ResetReceived,
		PacketDrop, LateRTT, LongSoftirq, Dismissed}, []any{Event{}}, "retransmit drop"},
	{[]string{LatenciesName}, "softirq.jsonl", []string{Softirq, Function}, []any{Latency{}}, "softirq function"},
	{[]string{DropsName, UnattributedName}, "drops.csv", []string{strings.TrimSpace(DropsHeader)}, nil, ""},
	{[]string{StacksName}, "stacks.pb.gz", []string{StackVector, StackCPU}, nil, "vector cpu"},
	{[]string{SocketsName}, "sockets.jsonl", []string{AtTrigger, AtEnd, StateListen, StateUnconnected, ProtocolUDP}, []any{Socket{}},
		"trigger end inet inet6 udp on keepalive timewait persist"},
	{[]string{ProcessesName}, "processes.jsonl", nil, []any{ProcessUse{}}, "clock_tick"},
	{[]string{ConntrackName}, "conntrack.txt", nil, nil, ""},
	{[]string{ConntrackSummaryName}, "conntrack-summary.json", nil, []any{ConntrackSummary{}}, ""},
	{[]string{QdiscsName}, "static/qdisc.jsonl", nil, []any{Qdisc{}}, "fq_codel tbf root ingress"},
	{[]string{NetlinkFolder + "<table>.jsonl", NetlinkSummaryName}, "static/netlink/",
		[]string{"links.jsonl", "addresses.jsonl", "routes.jsonl", "rules.jsonl", "neighbours.jsonl", "summary.json"},
		[]any{Link{}, Address{}, Route{}, Rule{}, Neighbour{}, NetlinkSummary{}}, "initcwnd rto_min"},
	{[]string{NetfilterName}, "static/netfilter.json", nil, []any{Netfilter{}}, ""},
	{[]string{EthtoolFolder + "<interface>.json", StatisticsName}, "static/ethtool/", nil, []any{NIC{}, Statistics{}}, "on off"},
	{[]string{StaticName("<path>"), SysctlMember("net/ipv4/tcp_rmem")}, "Members", nil, nil, "*"},
	{[]string{SnapshotFolder + "<time>/<path>", SnapshotFolder + "2026-01-02T03:04:05.000000000Z/proc/net/netstat"}, "Members", nil, nil, "*"},
	{[]string{PacketsName}, "packets.pcapng", nil, nil, "if_tsresol epb_flags isb_osdrop isb_ifdrop packets variant tpacket_v3 tcx details"},
}

// specification gives the text of each section of SPEC.md.
func specification(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	return sections
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

// words gives what a text has in backquotes, in its order.
func words(text string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// The table of members names those of this package, in the order in which they are written,
// between the manifest and the sums.
func TestSpecMembers(t *testing.T) {
	body, _, _ := strings.Cut(specification(t)["Members"], "\nThese names are reserved")
	_, body, _ = strings.Cut(body, "|---|---|---|\n")
	var got []string
	for row := range strings.Lines(body) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		got = append(got, words(cells[1])...)
		if strings.Contains(cells[1], "path>") { // the example is in the last cell
			got = append(got, words(cells[3])...)
		}
	}
	want := []string{format.ManifestName}
	for _, d := range described {
		want = append(want, d.names...)
	}
	if want = append(want, format.SumsName); !slices.Equal(got, want) {
		t.Errorf("SPEC.md lists\n%q, this package has\n%q", got, want)
	}
}

// looksLikeField is a word that could be a field of ours.
var looksLikeField = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// A section lists every field and column of its rows, and no other.
func TestSpecFields(t *testing.T) {
	sections := specification(t)
	for _, d := range described {
		said := words(sections[d.section])
		for _, word := range d.words {
			if !slices.Contains(said, word) {
				t.Errorf("section %q does not say `%s`", d.section, word)
			}
		}
		if d.values == "*" { // the table of all members
			continue
		}
		listed := map[string]bool{}
		for _, word := range said {
			if looksLikeField.MatchString(word) {
				listed[word] = true
			}
		}
		fields := map[string]bool{}
		for _, row := range d.rows {
			addFields(fields, reflect.TypeOf(row))
		}
		for field := range fields {
			if !listed[field] {
				t.Errorf("section %q does not list the field `%s`", d.section, field)
			}
		}
		for _, value := range strings.Fields(d.values) {
			if !listed[value] {
				t.Errorf("section %q does not say `%s` any more", d.section, value)
			}
			delete(listed, value)
		}
		for word := range listed {
			if !fields[word] {
				t.Errorf("section %q lists the field `%s`, which no row has", d.section, word)
			}
		}
	}
}

// addFields adds the JSON names of a type and of those in it.
func addFields(fields map[string]bool, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		addFields(fields, t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" { // of netip.Addr and its like
				return
			}
			if name != "-" {
				fields[name] = true
			}
			addFields(fields, t.Field(i).Type)
		}
	}
}

// Every name of a member that this package has is in the list above, and its file cites the
// section, once.
func TestSpecCited(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	cites := map[string][]string{}
	exprs := map[string]ast.Expr{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range citation.FindAllStringSubmatch(string(text), -1) {
			cites[m[1]] = append(cites[m[1]], path)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		constants(file, exprs)
	}
	for _, d := range described {
		if n := len(cites[d.section]); n != 1 {
			t.Errorf("section %q is cited %d times, by %q; want once", d.section, n, cites[d.section])
		}
	}
	for name, e := range exprs {
		if !strings.HasSuffix(name, "Name") {
			continue
		}
		value := text(exprs, e)
		if !slices.ContainsFunc(described, func(d description) bool {
			return slices.Contains(d.names, value) || slices.Contains(d.words, strings.TrimPrefix(value, NetlinkFolder))
		}) {
			t.Errorf("%s, %q, is not described", name, value)
		}
	}
}

var citation = regexp.MustCompile(`SPEC\.md, "([^"]+)"`)

// constants adds a file's constants.
func constants(file *ast.File, exprs map[string]ast.Expr) {
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					exprs[name.Name] = spec.Values[i]
				}
			}
		}
		return true
	})
}

// text gives the value of a constant that is a string or a sum of strings.
func text(exprs map[string]ast.Expr, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.Ident:
		return text(exprs, exprs[e.Name])
	case *ast.BinaryExpr:
		return text(exprs, e.X) + text(exprs, e.Y)
	}
	return ""
}
