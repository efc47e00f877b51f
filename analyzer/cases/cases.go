// Package cases turns the incidents under testdata/cases into real bundles and captures,
// for the tests of the packages that read them. A case is a folder of short texts that
// tell the incident:
//
//	case.json      the story, the window, the trigger and what must be found
//	packets.txt    packets in words (see Pcapng)
//	netstat.csv    time and counters of /proc/net/netstat, a row for each snapshot
//	snmp.csv       counters of /proc/net/snmp's Tcp, likewise
//	snapshots.txt  other kernel texts, from when on they read so (see texts)
//	vitals.csv, clocks.csv, listeners.csv, sockets.jsonl, kmsg.txt, static/…   as in a bundle,
//	               and events.jsonl, softirq.jsonl, drops.csv, processes.jsonl and the others
//
// Vitals of which a case's vitals.csv says nothing, but for those of round trips, are 0 all the time.
//
// Times are seconds since the window's start in all of them. The texts that a case does not tell
// are those of quiet.txt, beside the cases: a host on which nothing moves.
package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// Start is when every case begins.
var Start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// Case is case.json.
type Case struct {
	Name    string
	Dir     string
	Story   string                    `json:"story"`
	Capture bool                      `json:"capture"` // a bare capture, not a bundle
	Seconds float64                   `json:"seconds"` // length of the window
	Trigger format.Trigger            `json:"trigger"`
	Clocks  []format.Clock            `json:"clocks"` // instead of two good readings
	Sources []format.Source           `json:"sources"`
	Config  map[string]format.Setting `json:"config"` // the recorder's flags
	Budget  format.Budget             `json:"budget"`
	Damage  Damage                    `json:"damage"` // since it was written
	Want    Want                      `json:"want"`
}

// Want is what an analysis must give.
type Want struct {
	// Findings are lines "SEVERITY ID OBJECT", with " < CAUSE, CAUSE" where there are
	// causes, in the order of the report.
	Findings []string `json:"findings"`
	Unknown  []string `json:"unknown"` // IDs; every other check must be absent
	Verdict  []string `json:"verdict"` // words that it must hold
	Says     []string `json:"says"`    // words that the report must hold, line breaks aside
	Silent   []string `json:"silent"`  // and words that it must not
}

// Load reads every case below root, the repository's testdata/cases.
func Load(root string) ([]*Case, error) {
	dirs, err := filepath.Glob(filepath.Join(root, "*", "case.json"))
	if err != nil {
		return nil, err
	}
	var all []*Case
	for _, path := range dirs {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c := &Case{Dir: filepath.Dir(path), Name: filepath.Base(filepath.Dir(path))}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields() // a misspelt expectation would expect nothing
		if err := dec.Decode(c); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// Find reads the case of a name below root.
func Find(root, name string) (*Case, error) {
	all, err := Load(root)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("find case %q in %s: there is none", name, root)
}

// Build writes the case as a file below dir and gives its path.
func (c *Case) Build(dir string) (string, error) {
	packets, err := c.packets()
	if err != nil {
		return "", err
	}
	if c.Capture {
		path := filepath.Join(dir, c.Name+".pcapng")
		return path, os.WriteFile(path, packets, 0o600)
	}
	w, err := format.Create(dir, "host-20261121T030000Z-"+c.Name, Start)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if err := w.Manifest(c.manifest()); err != nil {
		return "", err
	}
	if err := c.members(w); err != nil {
		return "", err
	}
	if packets != nil {
		err = errors.Join(w.NewFrame(), w.Add(member.PacketsName, packets))
	}
	if err != nil {
		return "", err
	}
	path, err := w.Commit()
	if err == nil && c.Damage != (Damage{}) {
		err = c.Damage.apply(path)
	}
	return path, err
}

func (c *Case) packets() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "packets.txt"))
	if os.IsNotExist(err) && c.source("packets") == nil {
		text, err = []byte("host 192.0.2.10"), nil // none came by
	}
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Pcapng(string(text), Start)
}

// manifest says of every source that it is complete, unless the case says otherwise.
func (c *Case) manifest() *format.Manifest {
	end := Start.Add(seconds(c.Seconds))
	m := &format.Manifest{
		Format: format.Version, Name: "host-20261121T030000Z-" + c.Name,
		Recorder: format.Build{Program: "spikeboxd", Version: "v0.0.0", Go: "go"},
		Host:     format.Host{Name: "host", Kernel: "6.18.0", Arch: "x86_64", CPUs: 2, MemoryBytes: 8 << 30, NetNS: 4026531840, ClockTick: 100},
		Trigger:  c.Trigger, Window: format.Window{Start: Start, Trigger: c.Trigger.Time, End: end},
		Sources: c.Sources, Clocks: c.Clocks, Config: c.Config, Budget: c.Budget,
		Vitals: []format.VitalInfo{
			{Name: "rtt.p99", Unit: "s"}, {Name: "listen.overflows", Unit: "1/s"},
			{Name: "resets", Unit: "1/s"}, {Name: "tcp.established", Unit: "1"}, {Name: "tcp.mem", Unit: "B"},
		},
	}
	m.Vitals = append(m.Vitals, quiet...)
	if m.Trigger.Kind == "" {
		m.Trigger = format.Trigger{Kind: "signal", Time: Start.Add(seconds(c.Seconds / 2))}
	}
	m.Window.Trigger = m.Trigger.Time
	if m.Clocks == nil {
		for _, at := range []time.Time{Start, end} {
			since := at.Sub(Start).Nanoseconds() + 1e12 // booted 1000 s before
			m.Clocks = append(m.Clocks, format.Clock{At: "armed", Realtime: at.UnixNano(), Monotonic: since, Boottime: since, Synchronized: true, MaxErrorNs: 2e6})
		}
		m.Clocks[1].At = "freeze"
	}
	for _, name := range []string{"packets", "vitals.rtt", "vitals.tcp", "vitals.udp", "probe.response", "snapshots", "sockets", "kmsg", "sysctl",
		"probe.softirq", "probe.stacks", "probe.drop", "events", "conntrack", "qdisc", "links", "ethtool", "netfilter", "processes"} {
		if c.source(name) == nil {
			m.Sources = append(m.Sources, format.Source{Name: name, State: format.Complete})
		}
	}
	return m
}

// members adds the texts of the case, with their times made absolute.
func (c *Case) members(w *format.Writer) error {
	for _, name := range []string{member.VitalsName, member.ClocksName, member.ListenersName, member.KmsgName, member.EventsName,
		member.LatenciesName, member.DropsName, member.SocketsName, member.ProcessesName, member.ConntrackName, member.ConntrackSummaryName} {
		text, err := os.ReadFile(filepath.Join(c.Dir, name))
		if os.IsNotExist(err) {
			continue
		}
		switch {
		case err != nil || name == member.ConntrackName || name == member.ConntrackSummaryName:
		case strings.HasSuffix(name, ".jsonl"):
			text, err = absoluteRows(text)
		default:
			text, err = absolute(text)
		}
		if err == nil && name == member.VitalsName {
			text = quietVitals(text)
		}
		if err == nil {
			err = w.Add(name, text)
		}
		if err != nil {
			return fmt.Errorf("case %s: member %s: %w", c.Name, name, err)
		}
	}
	// Frames begin where the recorder begins them, so that a cut costs the same.
	return errors.Join(c.stacks(w), w.NewFrame(), c.static(w), w.NewFrame(), c.netstat(w), c.texts(w))
}

func (c *Case) static(w *format.Writer) error {
	root := filepath.Join(c.Dir, "static")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".jsonl") {
			if text, err = absoluteRows(text); err != nil {
				return err
			}
		}
		rel, err := filepath.Rel(c.Dir, path)
		if err != nil {
			return err
		}
		return w.Add(filepath.ToSlash(rel), text)
	})
}

// netstat makes the snapshots of /proc/net/netstat and /proc/net/snmp, in the kernel's form.
func (c *Case) netstat(w *format.Writer) error {
	quiet, err := readings(filepath.Join(c.Dir, "..", "quiet.txt"))
	if err != nil {
		return err
	}
	rest := ""
	for _, q := range quiet {
		if q.path == "proc/net/snmp" {
			rest = q.text // the other protocols'
		}
	}
	return errors.Join(c.counters(w, "netstat.csv", "proc/net/netstat", "TcpExt", ""), c.counters(w, "snmp.csv", "proc/net/snmp", "Tcp", rest))
}

// counters makes the snapshots of one kernel text out of a table of times and counters.
func (c *Case) counters(w *format.Writer, file, path, protocol, rest string) error {
	text, err := os.ReadFile(filepath.Join(c.Dir, file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")
	names := strings.ReplaceAll(strings.TrimPrefix(rows[0], "time,"), ",", " ")
	for _, row := range rows[1:] {
		offset, values, _ := strings.Cut(row, ",")
		at, err := strconv.ParseFloat(offset, 64)
		if err != nil {
			return fmt.Errorf("case %s: %s: %w", c.Name, file, err)
		}
		name := member.SnapshotName(Start.Add(seconds(at)), path)
		// A line of names, a line of values (netstat_seq_show and snmp_seq_show in net/ipv4/proc.c).
		body := fmt.Sprintf("%s: %s\n%s: %s\n", protocol, names, protocol, strings.ReplaceAll(values, ",", " "))
		if err := w.Add(name, []byte(rest+body)); err != nil {
			return err
		}
	}
	return nil
}

// quiet are the vitals that are 0 on a host at which nothing happens.
var quiet = []format.VitalInfo{
	{Name: "syn_recv", Unit: "1"}, {Name: "accept.queue.fill", Unit: "ratio"}, {Name: "ports.fill", Unit: "ratio"},
	{Name: "tcp.close_wait", Unit: "1"}, {Name: "tcp.last_ack", Unit: "1"}, {Name: "tcp.fin_wait2", Unit: "1"}, {Name: "tcp.time_wait", Unit: "1"},
	{Name: "udp.stalled", Unit: "s"},
}

// quietVitals adds columns of 0 for those that a vitals.csv does not tell of.
func quietVitals(text []byte) []byte {
	var out bytes.Buffer
	var zeros string
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i == 0 {
			for _, v := range quiet {
				if !strings.Contains(line+",", ","+v.Name+",") {
					line, zeros = line+","+v.Name, zeros+",0"
				}
			}
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintln(&out, line+zeros)
	}
	return out.Bytes()
}

// absolute turns the first column of each line from seconds into Unix ns.
func absolute(text []byte) ([]byte, error) {
	var out bytes.Buffer
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i == 0 && strings.HasPrefix(line, "time,") {
			fmt.Fprintln(&out, line)
			continue
		}
		end := strings.IndexAny(line, ", ")
		if end < 0 {
			return nil, fmt.Errorf("line %d has no time", i+1)
		}
		at, err := strconv.ParseFloat(line[:end], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		fmt.Fprintf(&out, "%d%s\n", Start.Add(seconds(at)).UnixNano(), line[end:])
	}
	return out.Bytes(), nil
}

// seconds rounds, as 4.1 s would otherwise be a nanosecond less.
func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }
