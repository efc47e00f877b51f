//go:build linux

package recorder_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// budgetEnv has the test binary be a recorder that measures each half second: what it costs,
// or where a file is named what that says.
const budgetEnv = "SPIKEBOX_TEST_BUDGET"

// armWithBudget is spikeboxd run, with the flags that the tests give.
func armWithBudget(figures string) {
	cfg := recorder.Config{Root: "/", RingBytes: 1 << 20, Before: 30 * time.Second, Log: testns.Log(func(line string) { fmt.Fprintln(os.Stderr, line) })}
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	flags.StringVar(&cfg.Dir, "dir", "", "")
	flags.StringVar(&cfg.Control, "control", "", "")
	flags.DurationVar(&cfg.After, "after", 0, "")
	flags.String("min-free", "", "")
	flags.String("log-level", "", "")
	flags.Func("interface", "", func(s string) error { cfg.Interfaces = append(cfg.Interfaces, s); return nil })
	flags.Func("trigger", "", func(s string) error { cfg.Triggers = append(cfg.Triggers, s); return nil })
	flags.Func("cpu-budget", "", func(s string) (err error) {
		if s != "off" {
			cfg.CPUBudget, err = unit.ParseShare(s)
		}
		return err
	})
	flags.Parse(os.Args[1:])
	cfg.SetGauge(func(m *budget.Meter) budget.Gauge {
		m.Period = 2
		if figures == "" {
			return m
		}
		return &readings{Meter: m, path: figures}
	})
	cfg.SetShed(func(shed func(string, bool) error) func(string, bool) error {
		return func(probe string, off bool) error {
			for there(figures + ".hang") { // as where the kernel does not come back
				time.Sleep(5 * time.Millisecond)
			}
			return shed(probe, off)
		}
	})
	if err := recorder.Run(context.Background(), cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readings takes a meter's measures and puts what a file says in the place of what they say.
type readings struct {
	*budget.Meter
	path string
}

// Tick reads a tier and what it costs, at a load that is as high.
func (r *readings) Tick(now time.Time) (budget.Measure, bool) {
	if _, ok := r.Meter.Tick(now); !ok {
		return budget.Measure{}, false
	}
	text, err := os.ReadFile(r.path)
	var tier string
	var cost float64
	if _, serr := fmt.Sscan(string(text), &tier, &cost); err != nil || serr != nil {
		panic(fmt.Sprint(err, serr))
	}
	m := budget.Measure{Cost: make([]float64, len(budget.Tiers)), Load: 1e6 * cost}
	i := slices.IndexFunc(budget.Tiers, func(t *budget.Tier) bool { return t.ID == tier })
	if r.Armed(i) {
		m.Cost[i], m.Programs = cost, cost
	}
	return m, true
}

// limited is a recorder with a budget, and a load for it.
func limited(t *testing.T, figures string, args ...string) *daemon {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	ns := testns.New(t)
	d := start(t, ns, fmt.Sprintf(`shift 2; %s=%s exec %s "$@"`, budgetEnv, figures, self), append([]string{"--interface", "lo"}, args...)...)
	d.says("armed on", 1)
	for _, s := range d.status().Sources {
		if s.Name == "probe.rtt" && s.State != format.Complete {
			t.Skipf("the probe of round trips is not armed: %s", s.Reason)
		}
	}
	testns.Do(t, ns, func() { chatter(t) })
	return d
}

// chatter has a connection exchange small messages until the test ends.
func chatter(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	client, err := net.Dial("tcp4", l.Addr().String())
	must(t, err)
	server, err := l.Accept()
	must(t, err)
	go io.Copy(server, server)
	go func() {
		for buf := make([]byte, 64); ; {
			client.Write(buf)
			if _, err := io.ReadFull(client, buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		l.Close()
	})
}

// A budget that nothing fits into, with what it really costs under a real load: tiers go in the
// published order, and a bundle says of each what it lacks.
func TestBudgetSheds(t *testing.T) {
	t.Parallel()
	d := limited(t, "", "--cpu-budget", "0.001%")
	d.says("shed rtt (", 1)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	bundle := d.bundle()
	m := bundle.Manifest
	if b := m.Budget; b.Limit != 1e-5 || b.Used <= b.Limit || b.Own <= 0 || b.Ground == "" || len(b.Shed) == 0 {
		t.Errorf("budget %+v", b)
	}
	var order, published []string
	for _, tier := range budget.Tiers {
		published = append(published, tier.ID)
	}
	for _, shed := range m.Budget.Shed {
		order = append(order, shed.Tier)
		for _, name := range shed.Sources {
			if s := source(t, bundle, name); s.State != format.Unsupported &&
				(s.State != format.Partial || !strings.Contains(s.Reason, "for the CPU budget of 0.001%")) {
				t.Errorf("%s was shed, and %s is %s (%s)", shed.Tier, name, s.State, s.Reason)
			}
		}
	}
	if !slices.IsSortedFunc(order, func(a, b string) int { return slices.Index(published, a) - slices.Index(published, b) }) {
		t.Errorf("shed in the order %q, want that of %q", order, published)
	}
	for _, v := range m.Vitals {
		if v.Name == "rtt.p99" && !strings.HasPrefix(v.Reason, "shed for the CPU budget") {
			t.Errorf("rtt.p99 has the reason %q", v.Reason)
		}
	}
	for _, name := range []string{"packets", "snapshots", "vitals.listeners", "vitals.tcp", "probe.retransmit", "probe.listeners"} {
		if s := source(t, bundle, name); strings.Contains(s.Reason, "shed") {
			t.Errorf("what is never shed: %+v", s)
		}
	}
}

// What is shed has no vital, and which trigger cannot fire is told. It comes back when the
// budget has room, and is whole again; between a trigger and its bundle nothing is shed.
func TestBudgetComesBack(t *testing.T) {
	t.Parallel()
	figures := filepath.Join(t.TempDir(), "figures")
	cost := func(text string) {
		must(t, os.WriteFile(figures+".new", []byte(text), 0o644))
		must(t, os.Rename(figures+".new", figures))
	}
	cost("softirq 0.02")
	d := limited(t, figures, "--cpu-budget", "1%", "--after", "3s", "--trigger", "softirq.max > 10s", "--trigger", "syn_recv > 1000000")
	d.says("shed softirq (2.0 %)", 1)
	d.says(`the trigger "softirq.max > 10s" cannot fire until its vitals are there: softirq.max cannot be measured (shed for the CPU budget of 1%)`, 1)
	d.wait("has no softirq.max", func() bool { _, ok := d.status().Vitals["softirq.max"]; return !ok })
	if s := d.status(); len(s.Blind) != 1 || len(s.Budget.Shed) != 2 || s.Budget.Shed[1].Tier != "softirq" {
		t.Errorf("status %+v, blind %q", s.Budget, s.Blind)
	}
	cost("softirq 0.001")
	d.says("softirq is back", 1)
	d.wait("has softirq.max", func() bool { _, ok := d.status().Vitals["softirq.max"]; return ok })
	if longest := d.status().Vitals["softirq.max"]; longest >= 10 {
		t.Errorf("a softirq took %v s", longest)
	}
	d.signal(unix.SIGUSR1)
	d.says("triggered", 1)
	cost("softirq 0.02")
	d.says("bundle written", 1)
	d.says("shed softirq", 2)
	if log := d.log(); strings.LastIndex(log, "shed softirq") < strings.Index(log, "bundle written") {
		t.Error("softirq was shed within an incident")
	}
	bundle := d.bundle()
	spans := bundle.Manifest.Budget.Shed
	i := slices.IndexFunc(spans, func(s format.Shed) bool { return s.Tier == "softirq" })
	if i < 0 || !spans[i].To.After(spans[i].From) {
		t.Fatalf("it was shed %+v", spans)
	}
	for _, name := range []string{"probe.softirq", "vitals.softirq", "events"} {
		if s := source(t, bundle, name); s.State != format.Partial || !strings.Contains(s.Reason, " to "+spans[i].To.Format(time.TimeOnly)) {
			t.Errorf("%s is %s (%s)", name, s.State, s.Reason)
		}
	}
	empty, full := column(t, bundle, "softirq.max")
	if empty == 0 || full == 0 {
		t.Errorf("softirq.max is empty in %d rows and not in %d", empty, full)
	}
}

// The kernel hangs while it takes programs off, and while it puts them back: triggers are looked at all the same,
// and the vitals are told again when their programs are there, and no sooner.
func TestBudgetHangs(t *testing.T) {
	t.Parallel()
	figures := filepath.Join(t.TempDir(), "figures")
	cost := func(text string) {
		must(t, os.WriteFile(figures+".new", []byte(text), 0o644))
		must(t, os.Rename(figures+".new", figures))
	}
	hang := func() { must(t, os.WriteFile(figures+".hang", nil, 0o644)) }
	release := func() { must(t, os.Remove(figures+".hang")) }
	cost("rtt 0.02")
	hang()
	d := limited(t, figures, "--cpu-budget", "1%")
	has := func() bool { _, ok := d.status().Vitals["rtt.p99"]; return ok }
	d.says("shed rtt (2.0 %)", 1)
	d.wait("has no rtt.p99", func() bool { return !has() })
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	cost("rtt 0.001")
	d.says("rtt is back", 1)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 2)
	if s := d.status(); has() || len(s.Budget.Shed) == 0 || !s.Budget.Shed[0].To.IsZero() {
		t.Errorf("its programs hang, and rtt.p99 is there: %t; shed %+v", has(), s.Budget.Shed)
	}
	release()
	d.wait("has rtt.p99", has)
	if s := d.status().Budget.Shed; s[0].To.IsZero() {
		t.Errorf("it is back, and shed %+v", s)
	}
}

// column counts the rows of vitals.csv in which a vital is empty, and in which not.
func column(t *testing.T, bundle *format.Reader, vital string) (empty, full int) {
	t.Helper()
	scene := &scene{bundle: bundle}
	rows := strings.Split(strings.TrimSpace(string(scene.text(t, member.VitalsName))), "\n")
	at := slices.Index(strings.Split(rows[0], ","), vital)
	if at < 0 {
		t.Fatalf("no column %s in %s", vital, rows[0])
	}
	for _, row := range rows[1:] {
		if strings.Split(row, ",")[at] == "" {
			empty++
		} else {
			full++
		}
	}
	return empty, full
}
