//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
	"github.com/spikebox/spikebox/format"
)

// testCase is what the kernel itself has to say about an incident.
type testCase struct {
	name   string
	moves  []move
	delays []delay
	// exact: the retransmissions of the clients' flows are all the kernel counted
	// there. Not so where the FIN of a flow that is over is retransmitted as well.
	exact bool
	// alone: it loads the machine so much that others beside it would not be what
	// they are meant to be.
	alone bool
}

// calm is how many times less there has to be of something in the baseline than in the
// incident. Not nothing: a busy machine has tail-loss probes and slow round trips of its own.
const calm = 5

// move says that a counter of a host moves by at least n during an incident, and calm
// times less between arming and its start.
type move struct {
	host, counter string
	n             int64
}

// delay says that a series reaches at least ms during an incident, and that its median
// before was calm times less than what it reached.
type delay struct {
	series string
	ms     float64
}

var testCases = []*testCase{
	{name: "healthy", exact: true},
	{name: "healthy-busy", exact: true},
	{name: "healthy-full-speed"},
	{name: "healthy-scan"},
	{name: "healthy-deploy"},
	{name: "healthy-checks"},
	{name: "healthy-interrupted"},
	{name: "healthy-deferred"},
	{name: "healthy-mobile"},
	{name: "healthy-build", alone: true},
	{name: "healthy-cron"},
	{name: "healthy-backup"},
	{name: "healthy-morning"},
	{name: "healthy-tcpdump"},
	{name: "healthy-router"},
	{name: "healthy-container-deploy"},
	{name: "listen-overflow", exact: true, moves: []move{
		{"edge-1", "TcpExt.ListenOverflows", 50}, {"clients", "TcpExt.TCPSynRetrans", 100}}},
	{name: "ack-dropped-locally", moves: []move{
		{"edge-1", "state.SYN_RECV", 40}, {"edge-1", "TcpExt.TCPSynRetrans", 100}}},
	{name: "synack-lost", exact: true, moves: []move{
		{"edge-1", "state.SYN_RECV", 40}, {"edge-1", "TcpExt.TCPSynRetrans", 100},
		{"clients", "TcpExt.TCPSynRetrans", 100}}},
	{name: "syn-dropped", exact: true, moves: []move{{"clients", "TcpExt.TCPSynRetrans", 60}}},
	{name: "synack-dropped-locally", moves: []move{{"edge-1", "TcpExt.TCPTimeouts", 40}, {"clients", "TcpExt.TCPSynRetrans", 40}}},
	{name: "reply-without-route", moves: []move{{"clients", "TcpExt.TCPSynRetrans", 40}}},
	{name: "neighbour-failed", moves: []move{{"edge-1", "TcpExt.TCPSynRetrans", 40}}},
	{name: "upstream-blackhole", moves: []move{
		{"edge-1", "TcpExt.TCPSynRetrans", 60}, {"edge-1", "state.SYN_SENT", 20}}},
	{name: "syn-flood", moves: []move{
		{"edge-1", "TcpExt.SyncookiesSent", 2000}, {"edge-1", "TcpExt.TCPReqQFullDoCookies", 2000}}},
	{name: "refused", moves: []move{{"edge-1", "Tcp.OutRsts", 30}}},
	{name: "reset-storm", moves: []move{
		{"edge-1", "Tcp.EstabResets", 30}, {"clients", "Tcp.EstabResets", 30}}},
	{name: "middlebox-reset", moves: []move{{"edge-1", "Tcp.EstabResets", 40}, {"clients", "Tcp.EstabResets", 40}}},
	{name: "rtt-spike-all", moves: []move{{"router", "clients.qdisc.overlimits", 100}},
		delays: []delay{{"server.rtt.max_ms", 300}}},
	{name: "rtt-spike-one-peer", moves: []move{{"router", "branch.qdisc.overlimits", 100}},
		delays: []delay{{"server.rtt.max_ms", 300}}},
	{name: "loss-burst", moves: []move{{"edge-1", "Tcp.RetransSegs", 50}}},
	{name: "path-loss", moves: []move{{"edge-1", "Tcp.RetransSegs", 30}}},
	{name: "pmtu-blackhole", moves: []move{{"edge-1", "TcpExt.TCPTimeouts", 40}}},
	{name: "peers-vanish", moves: []move{{"edge-1", "TcpExt.TCPTimeouts", 40}}},
	{name: "qdisc-drop", moves: []move{{"edge-1", "eth0.qdisc.drops", 100}, {"edge-1", "Tcp.RetransSegs", 50}}},
	{name: "forwarded-blackhole", moves: []move{{"clients", "TcpExt.TCPSynRetrans", 20}}},
	{name: "forwarded-next-hop", moves: []move{{"clients", "TcpExt.TCPSynRetrans", 20}}},
	{name: "forwarded-refused", moves: []move{{"clients", "Tcp.AttemptFails", 20}}},
	{name: "forwarded-stalled"},
	{name: "forwarded-loss"},
	{name: "container-upstream-dead"},
	{name: "memory-pressure", alone: true},
	{name: "app-frozen"},
	{name: "slow-application"},
	{name: "cpu-starved"},
	{name: "slow-upstream"},
	{name: "upstream-breaks-off"},
	{name: "resolver-silent"},
	{name: "udp-frozen"},
	{name: "zero-window", moves: []move{{"clients", "TcpExt.TCPToZeroWindowAdv", 6}}},
	{name: "close-wait-leak", moves: []move{{"edge-1", "state.CLOSE_WAIT", 100}}},
	{name: "fin-wait2-pileup", moves: []move{{"edge-1", "state.FIN_WAIT2", 100}}},
	{name: "port-exhaustion", moves: []move{{"edge-1", "state.TIME_WAIT", 290}}},
	{name: "conntrack-full", moves: []move{
		{"edge-1", "conntrack.drop", 20}, {"clients", "TcpExt.TCPSynRetrans", 20}}},
	{name: "conntrack-hog", moves: []move{{"edge-1", "conntrack.entries", 1500}}},
	{name: "udp-rcvbuf", moves: []move{{"edge-1", "Udp.RcvbufErrors", 1000}}},
	{name: "echo-delayed", delays: []delay{{"echo.rtt_ms", 1000}}},
	{name: "softirq-stall", alone: true, delays: []delay{{"echo.rtt_ms", 30}}},
	{name: "softnet-drop", alone: true, moves: []move{{"edge-1", "softnet.dropped", 100}}},
	{name: "tcp-collapse", alone: true, moves: []move{
		{"edge-1", "TcpExt.PruneCalled", 1}, {"edge-1", "TcpExt.TCPRcvCollapsed", 30000}}},
}

// TestIncidents makes every incident with the real binaries, and holds the bundle
// and its analysis against the truth.
func TestIncidents(t *testing.T) {
	needRoot(t)
	var known []string
	for _, inc := range incident.All {
		known = append(known, inc.Name)
	}
	for _, c := range testCases {
		if i := slices.Index(known, c.name); i >= 0 {
			known = slices.Delete(known, i, i+1)
		}
		t.Run(c.name, func(t *testing.T) {
			if c.alone && testing.Short() {
				t.Skip("it loads the machine for many seconds: not with -short")
			}
			if !c.alone {
				t.Parallel()
			}
			dir := t.TempDir()
			truth := makeIncident(t, c.name, dir)
			checkCounters(t, truth, c)
			m := checkBundle(t, truth, filepath.Join(dir, truth.Bundle))
			checkAnalysis(t, truth, filepath.Join(dir, truth.Bundle))
			if c.exact {
				checkFlows(t, truth, filepath.Join(dir, truth.Bundle), m.Window.End)
			}
		})
	}
	if len(known) > 0 {
		t.Errorf("incidents without a test case: %v", known)
	}
}

// TestVariants makes incidents over IPv6, with other servers and through a translation of addresses: what was told of
// them as they were written must be told then, too.
func TestVariants(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name  string
		flags []string
		needs string // program
	}{
		{name: "reply-without-route", flags: []string{"--ip", "6"}},
		{name: "neighbour-failed", flags: []string{"--ip", "6"}},
		{name: "pmtu-blackhole", flags: []string{"--ip", "6"}},
		{name: "upstream-blackhole", flags: []string{"--nat"}},
		{name: "synack-lost", flags: []string{"--server", "nginx"}, needs: "nginx"},
		{name: "app-frozen", flags: []string{"--ip", "6", "--server", "haproxy"}, needs: "haproxy"},
		{name: "healthy-deferred", flags: []string{"--server", "nginx"}, needs: "nginx"},
	} {
		t.Run(c.name+strings.Join(c.flags, ""), func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil {
				t.Skipf("needs %s: apt-get install nginx-light haproxy", c.needs)
			}
			t.Parallel()
			dir := t.TempDir()
			truth := makeIncident(t, c.name, dir, c.flags...)
			checkAnalysis(t, truth, filepath.Join(dir, truth.Bundle))
		})
	}
}

func makeIncident(t *testing.T, name, dir string, flags ...string) *lab.Truth {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "spikebox-lab"), append([]string{"run", name, "--baseline", "3s", "-o", dir}, flags...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("spikebox-lab run %s: %v\n%s", name, err, &said)
	}
	truth, err := lab.ReadTruth(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, truth.Bundle); strings.TrimSpace(string(out)) != want {
		t.Errorf("spikebox-lab printed %q, want the bundle's path %q", out, want)
	}
	return truth
}

// checkCounters holds the truth against the kernel's own counters.
func checkCounters(t *testing.T, truth *lab.Truth, c *testCase) {
	t.Helper()
	for _, m := range c.moves {
		before, during := truth.Moved(m.host, m.counter, "armed", "start"), truth.Moved(m.host, m.counter, "start", "end")
		if during < m.n || before*calm > during {
			t.Errorf("%s of %s moved by %d before the incident and by %d during it, want hardly and at least %d",
				m.counter, m.host, before, during, m.n)
		}
	}
	for _, d := range c.delays {
		checkDelay(t, truth, d)
	}
	var flows int64
	for _, f := range truth.Flows {
		if f.ClientPort == 0 && f.End != "no port" {
			t.Fatalf("a flow of %s without a port: %+v", f.Group, f)
		}
		flows += int64(f.Retransmits)
	}
	// What a connection sends again after its program has looked, as its FIN, the kernel alone has counted:
	// a few at most, on a machine whose programs wait for a CPU.
	const late = 3
	if kernel := truth.Moved("clients", "Tcp.RetransSegs", "armed", "left"); c.exact && (kernel < flows || kernel > flows+late) {
		t.Errorf("the flows have %d retransmissions, the kernel counted %d", flows, kernel)
	}
}

func checkDelay(t *testing.T, truth *lab.Truth, d delay) {
	t.Helper()
	var before []float64
	during := 0.0
	for _, s := range truth.Series[d.series] {
		if s.Time < truth.Trigger.NotBefore {
			before = append(before, s.Value)
		} else {
			during = max(during, s.Value)
		}
	}
	slices.Sort(before)
	if len(before) == 0 || before[len(before)/2]*calm > during || during < d.ms {
		t.Errorf("%s was up to %v ms in the incident, want %v, and before that %v", d.series, during, d.ms, before)
	}
}

// checkBundle holds the bundle against what the lab did.
func checkBundle(t *testing.T, truth *lab.Truth, path string) *format.Manifest {
	t.Helper()
	r, err := format.Open(path, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if d := r.Damage(); len(d) > 0 {
		t.Errorf("the bundle is damaged: %v", d)
	}
	m := r.Manifest
	if at := m.Trigger.Time.UnixNano(); at < truth.Trigger.NotBefore {
		t.Errorf("%s fired %d ms before the incident began", m.Trigger.Expr, (truth.Trigger.NotBefore-at)/1e6)
	}
	if start := m.Window.Start.UnixNano(); start > truth.Trigger.NotBefore-2e9 {
		t.Errorf("the window begins %d ms before the incident, want a baseline of 2 s at least", (truth.Trigger.NotBefore-start)/1e6)
	}
	kind := "vital"
	if truth.Trigger.Signal {
		kind = "signal"
	}
	if m.Trigger.Kind != kind || m.Host.Name != truth.Recorder.Host {
		t.Errorf("trigger of kind %q on host %q, want %q on %q", m.Trigger.Kind, m.Host.Name, kind, truth.Recorder.Host)
	}
	checkListeners(t, truth, r)
	return m
}

// checkListeners wants every listener of the recorder's host in the bundle, with the
// process that the lab started.
func checkListeners(t *testing.T, truth *lab.Truth, r *format.Reader) {
	t.Helper()
	f, err := r.Open("sockets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type owner struct {
		port, pid int
		comm      string
	}
	found := map[owner]bool{}
	for d := json.NewDecoder(f); d.More(); {
		var s struct {
			State   string
			Port    int `json:"local_port"`
			Process []struct {
				PID  int
				Comm string
			}
		}
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Process {
			found[owner{s.Port, p.PID, p.Comm}] = found[owner{s.Port, p.PID, p.Comm}] || s.State == "LISTEN"
		}
	}
	for _, l := range truth.Listeners {
		if l.Host == truth.Recorder.Host && !l.Gone && !found[owner{l.Port, l.PID, l.Comm}] {
			t.Errorf("listener %s:%d of %s (pid %d) is not in sockets.jsonl: %v", l.Addr, l.Port, l.Comm, l.PID, found)
		}
	}
}

// checkAnalysis wants the root and its effects among the findings, and nothing else
// that is a warning or worse, but for what the tests beside it do to the machine. A check that the
// analyzer does not have yet is logged.
func checkAnalysis(t *testing.T, truth *lab.Truth, path string) {
	t.Helper()
	document, err := lab.Analyze(t.Context(), filepath.Join(bin, "spikebox"), path)
	if err != nil {
		t.Fatal(err)
	}
	j, err := lab.Judge(truth, document)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("verdict: %s", j.Verdict)
	if len(j.Unbuilt) > 0 {
		t.Logf("no check yet: %v", j.Unbuilt)
	}
	if j.Starved {
		j.False = slices.DeleteFunc(j.False, lab.OfTheMachine)
	}
	if len(j.Missed)+len(j.False) > 0 {
		t.Errorf("missed findings %v, false findings %v in\n%s", j.Missed, j.False, document)
	}
}

// checkFlows wants the analyzer to count for each flow what the client's kernel
// counted: retransmitted SYNs, and all retransmissions.
func checkFlows(t *testing.T, truth *lab.Truth, path string, end time.Time) {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "spikebox"), "flows", "--json", path).Output()
	if err != nil {
		t.Fatalf("spikebox flows: %v", err)
	}
	type ends struct {
		addr string
		port int
	}
	type row struct {
		Client         string
		ClientPort     int `json:"client_port"`
		SynRetransmits int `json:"syn_retransmits"`
		C2S            struct{ Retransmits int }
	}
	rows := map[ends]row{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r row
		if err := d.Decode(&r); err != nil {
			t.Fatalf("parse flows: %v", err)
		}
		rows[ends{r.Client, r.ClientPort}] = r
	}
	compared := 0
	for _, f := range truth.Flows {
		r, there := rows[ends{f.Client, f.ClientPort}]
		if f.End != "done" || f.Last > end.UnixNano() {
			continue // it goes on after the bundle's end
		}
		compared++
		if !there || r.SynRetransmits != f.SynRetransmits || r.C2S.Retransmits != f.Retransmits {
			t.Errorf("flow %s:%d has %d SYNs and %d segments sent again, the kernel says %d and %d",
				f.Client, f.ClientPort, r.SynRetransmits, r.C2S.Retransmits, f.SynRetransmits, f.Retransmits)
		}
	}
	if compared < 10 {
		t.Errorf("only %d flows to compare", compared)
	}
}
