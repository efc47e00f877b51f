// Package spikebox holds the tests of the house itself.
package spikebox

import (
	"bytes"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw ARCHITECTURE.md's picture anew")

const module = "github.com/spikebox/spikebox/"

// room is a package of ours. Its place in the house is its rank: it may import rooms that
// stand before it, and of those only what its wing may see.
type room struct{ folder, what string }

// wing is a part of the house whose rooms see the same other parts: sees names folders
// beside the wing itself.
type wing struct {
	name  string
	sees  []string
	rooms []room
}

// house is every package, in the order of the data's way. A new package is a row here; the
// picture in ARCHITECTURE.md is drawn from it (go test . -update).
var house = []wing{
	{"format", nil, []room{
		{"format/plain", "the door for strangers' text"},
		{"format/nearest", "names that somebody may have meant"},
		{"format/unit", "numbers with their units, for people and back"},
		{"format/kerneltext", "parsers of the kernel's texts"},
		{"format", "the container: Writer, Reader, Check"},
		{"format/member", "what is in it: one file a member"},
	}},
	{"bpf", nil, []room{
		{"bpf", "the eBPF programs and their generated bindings"},
	}},
	{"recorder", []string{"format", "bpf"}, []room{
		{"recorder/internal/thread", "what changes a thread, on one that ends with it"},
		{"recorder/internal/testns", "tests: a network namespace each, and who may"},
		{"recorder/internal/vm", "tests: other kernels under QEMU"},
		{"recorder/internal/hang", "tests: files and folders that hang in the kernel"},
		{"recorder/internal/rounds", "reads what may hang, beside its caller"},
		{"recorder/internal/service", "what the service manager meant for one process"},
		{"recorder/internal/kmod", "which kernel modules are there"},
		{"recorder/internal/procfs", "files of /proc, read again and again"},
		{"recorder/internal/nldump", "netlink dumps without allocations"},
		{"recorder/internal/rtnl", "links, addresses, routes, queue disciplines"},
		{"recorder/internal/sockdiag", "sockets"},
		{"recorder/internal/conntrack", "connection tracking"},
		{"recorder/internal/nft", "netfilter's tables"},
		{"recorder/internal/ethtool", "drivers' settings and counters"},
		{"recorder/ring", "bounded memories"},
		{"recorder/host", "clocks, host facts, network namespace"},
		{"recorder/pack", "headers of packets in a twentieth of their size"},
		{"recorder/through", "how connections fare that a host only forwards, from their headers"},
		{"recorder/capture", "packets: by tcx programs, or in packet sockets' rings"},
		{"recorder/probe", "the programs, loaded; the maps that a tick reads"},
		{"recorder/trace", "what the probes told over time"},
		{"recorder/source", "kernel texts each second, one-off sources at the cut"},
		{"recorder/vital", "the numbers of each tick"},
		{"recorder/budget", "what it may cost: measured, and what is shed for it"},
		{"recorder/trigger", "limits over vitals"},
		{"recorder/hook", "the operator's command for a bundle that is there"},
		{"recorder/control", "the control socket: status and its client"},
		{"recorder/drill", "the proof that it records: a harmless event, looked for in a bundle"},
		{"recorder/metrics", "the status for Prometheus"},
		{"recorder/freeze", "cuts the rings and writes the bundle"},
		{"recorder", "the armed recorder"},
		{"recorder/namespaces", "a recorder in each of several network namespaces"},
		{"recorder/internal/bench", "tests: what an armed recorder costs a web server"},
		{"recorder/internal/soak", "tests: an armed recorder on a host that never rests"},
	}},
	{"analyzer", []string{"format"}, []room{
		{"analyzer/internal/words", "sentences for people"},
		{"analyzer/internal/captures", "tests: where captures are"},
		{"analyzer/internal/golden", "tests: what is made beside what was read"},
		{"analyzer/internal/pkt", "tests: packets and capture files"},
		{"analyzer/packet", "captures to packets"},
		{"analyzer/internal/tcpsim", "tests: TCP with known losses"},
		{"analyzer/sketch", "durations summed up: extremes and quantiles"},
		{"analyzer/accesslog", "what web servers and proxies log about requests"},
		{"analyzer/taps", "the same segments at several places, and their clocks"},
		{"analyzer/flow", "packets to connections: the TCP engine"},
		{"analyzer/listing", "connections and their events as rows"},
		{"analyzer/dissect", "single packets as lines, and slices of captures"},
		{"analyzer/exhibit", "members as tables for people"},
		{"analyzer/handshake", "what connections say about a service's handshakes"},
		{"analyzer/rtt", "what connections say about round trips by peer"},
		{"analyzer/traffic", "what else happened to connections, by service, second and path"},
		{"analyzer/column", "kernel texts to named numbers over time"},
		{"analyzer/ticks", "what connections tell over time, as columns on the clock of the vitals"},
		{"analyzer/evidence", "opens bundles and captures, and puts the above together"},
		{"analyzer/timeline", "series with units on one clock"},
		{"analyzer/moved", "which series changed most, without any rule"},
		{"analyzer/subject", "what findings are about, and when two are the same"},
		{"analyzer/check", "questions, with three answers"},
		{"analyzer/report", "verdict, tables, JSON"},
		{"analyzer/plot", "drawings as SVG and PNG"},
		{"analyzer/story", "what a report of an incident says, and in which order"},
		{"analyzer/page", "the story as HTML and Markdown, in a folder"},
		{"analyzer", "evidence in, report out"},
		{"analyzer/cases", "tests: incidents told in texts"},
		{"analyzer/cases/make", "the cases as files"},
	}},
	{"cmd/internal", []string{"format"}, []room{
		{"cmd/internal/cli", "commands, help, exit codes"},
		{"cmd/internal/clitest", "tests: commands as scripts"},
		{"cmd/internal/browser", "tests: a headless Chromium"},
	}},
	{"cmd/spikeboxd", []string{"format", "recorder", "cmd/internal"}, []room{
		{"cmd/spikeboxd", "the recorder's command"},
	}},
	{"cmd/spikebox", []string{"format", "analyzer", "recorder/trigger", "recorder/control", "cmd/internal"}, []room{
		{"cmd/spikebox", "the analyzer's and operator's command"},
	}},
	{"cmd/spikebox-lab", []string{"format", "cmd/internal"}, []room{
		{"cmd/spikebox-lab/actor", "servers, clients, floods"},
		{"cmd/spikebox-lab/lab", "hosts, wires, firewalls, the recorder's bundle"},
		{"cmd/spikebox-lab/incident", "incidents with known truth"},
		{"cmd/spikebox-lab", "the lab's command"},
	}},
}

// topLevel is every folder that the root may have.
var topLevel = []string{"analyzer", "bpf", "cmd", "format", "recorder", "testdata"}

// portable are wings that run on a laptop: nothing of the kernel's may be linked into them.
var (
	portable = []string{"format", "analyzer", "cmd/internal", "cmd/spikebox"}
	foreign  = []string{"github.com/cilium/ebpf", "github.com/vishvananda/", "github.com/mdlayher/"}
)

// pkg is what the files of one folder import.
type pkg struct {
	ours   map[string]bool // by non-test files
	tests  map[string]bool // by test files
	others map[string]bool // of other modules, by non-test files
}

// Every package has a room, every room a package; data flows one way.
func TestImportLaw(t *testing.T) {
	all := packages(t)
	rank := map[string]int{}
	wingOf := map[string]*wing{}
	for i := range house {
		for _, r := range house[i].rooms {
			rank[r.folder], wingOf[r.folder] = len(rank)+1, &house[i]
			if all[r.folder] == nil {
				t.Errorf("%s has a room and no package", r.folder)
			}
		}
	}
	for folder, p := range all {
		w := wingOf[folder]
		if w == nil {
			if folder != "." {
				t.Errorf("%s has no room in the house: add it where it belongs", folder)
			}
			continue
		}
		for to := range p.ours {
			if rank[to] >= rank[folder] {
				t.Errorf("%s imports %s, which comes after it", folder, to)
			}
		}
		// Tests may look ahead in their own wing, and no test in another one.
		for to := range union(p.ours, p.tests) {
			if !w.maySee(to) {
				t.Errorf("%s imports %s, which %s may not", folder, to, w.name)
			}
		}
		for path := range p.others {
			if slices.Contains(portable, w.name) && hasPrefix(path, foreign) {
				t.Errorf("%s imports %s: it runs on any system", folder, path)
			}
		}
	}
}

func (w *wing) maySee(folder string) bool {
	return slices.ContainsFunc(append([]string{w.name}, w.sees...), func(part string) bool { return within(folder, part) })
}

// ARCHITECTURE.md shows the house as it is: its picture is drawn from the table above and
// the imports that are there.
func TestArchitecturePicture(t *testing.T) {
	const begin, end = "<!-- house: go test . -update -->\n```\n", "```\n<!-- /house -->\n"
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("ARCHITECTURE.md has no place for the picture: %q … %q", begin, end)
	}
	picture := draw(packages(t))
	if old == picture {
		return
	}
	if !*update {
		t.Fatalf("ARCHITECTURE.md's picture is not the house; draw it with go test . -update:\n%s", picture)
	}
	if err := os.WriteFile("ARCHITECTURE.md", []byte(head+begin+picture+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// draw gives a line for each room: its rank, what it is, and the rooms that it takes from.
// What reaches a room through another that it imports is left out, as the line shows the
// way of the data and not each use.
func draw(all map[string]*pkg) string {
	var out bytes.Buffer
	n := 0
	for _, w := range house {
		for _, r := range w.rooms {
			n++
			fmt.Fprintf(&out, "%2d %-28s %s", n, r.folder, r.what)
			if p := all[r.folder]; p != nil && len(p.ours) > 0 {
				fmt.Fprintf(&out, " ◄ %s", strings.Join(direct(all, r.folder), ", "))
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// direct gives the imports of a room that no other of its imports reaches.
func direct(all map[string]*pkg, folder string) (names []string) {
	for _, to := range slices.Sorted(maps.Keys(all[folder].ours)) {
		through := false
		for other := range all[folder].ours {
			through = through || other != to && reaches(all, other, to)
		}
		if !through {
			names = append(names, to)
		}
	}
	return names
}

func reaches(all map[string]*pkg, from, to string) bool {
	p := all[from]
	if p == nil {
		return false
	}
	for next := range p.ours {
		if next == to || reaches(all, next, to) {
			return true
		}
	}
	return false
}

func TestTopLevel(t *testing.T) {
	entries, err := filepath.Glob("*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Base(e)
		if name != "bin" && name != "out" && !slices.Contains(topLevel, name) {
			t.Errorf("folder %s is not part of the house", name)
		}
	}
}

// within tells whether a package lies in a folder of the house.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func union(a, b map[string]bool) map[string]bool {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// packages parses the imports of every Go file in-process: a test that shells out to the go
// command would stay cached as passing.
func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	all := map[string]*pkg{}
	for _, file := range goFiles(t) {
		folder := path.Dir(filepath.ToSlash(file))
		p := all[folder]
		if p == nil {
			p = &pkg{map[string]bool{}, map[string]bool{}, map[string]bool{}}
			all[folder] = p
		}
		for _, name := range imports(t, file) {
			ours, isOurs := strings.CutPrefix(name, module)
			switch test := strings.HasSuffix(file, "_test.go"); {
			case isOurs && test:
				p.tests[ours] = ours != folder // an external test of the same package
			case isOurs:
				p.ours[ours] = true
			case !test:
				p.others[name] = true
			}
		}
	}
	if len(all) < 30 {
		t.Fatalf("found %d packages: the test looks in the wrong place", len(all))
	}
	return all
}

func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "out" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range parsed.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}
