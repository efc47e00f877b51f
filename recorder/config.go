//go:build linux

package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/metrics"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Config is what a recorder is armed with.
type Config struct {
	Build      format.Build
	Root       string      // of /proc and /sys: "/", or a fixture tree
	Interfaces []string    // empty: see capture.SetConfig
	Capture    capture.Way // empty: capture.Auto
	RingBytes  int         // 0: capture.AutoBytes
	PackCPU    float64     // see capture.SetConfig
	SnapLen    int
	Payload    int
	Ports      []uint16
	Peers      []netip.Prefix
	Triggers   []string // expressions of package trigger; empty, and no Patterns: trigger.Defaults
	Patterns   []string // regular expressions; a line of the kernel log that matches is a trigger
	Before     time.Duration
	After      time.Duration
	Dir        string
	Fallback   string // folder for bundles that Dir does not take; empty: none
	Control    string // path of the control socket; empty: none
	Metrics    string // address for Prometheus, see metrics.Listen; empty: none
	Policy     trigger.Policy
	Retention  freeze.Retention
	CPUBudget  float64 // most of the machine's CPU time that it takes, or evidence is shed; 0: no limit
	Conntrack  int     // most lines of the connection-tracking dump; 0: 200,000
	NetNS      string  // what the operator calls the namespace that this process was put into; empty: it was not
	AllNetNS   bool    // eBPF events and histograms of every network namespace
	Once       bool    // stop after the first bundle
	DryRun     bool    // say what would fire, write nothing
	// OnBundle is a command with its arguments that is run for every bundle on disk, each time for at most OnBundleTimeout;
	// empty: none.
	OnBundle        []string
	OnBundleTimeout time.Duration
	// Home is the network namespace that OnBundle is run in; nil: the recorder's own.
	Home *os.File
	// Flags are the options in force by their names, for the manifest.
	Flags map[string]format.Setting
	// Log is for the operator: a sentence that says all, and attributes for programs. What the
	// events are that it tells of, see log.go; nil: nobody is told.
	Log *slog.Logger
	// Reload gives the configuration as it is at a SIGHUP; nil: SIGHUP ends the recorder. Of what
	// it gives the flags that reload.go names are taken.
	Reload func() (Config, error)
	// HungUp says of a SIGHUP whether it comes of a terminal that is gone, and ends the recorder all the same; nil: of none.
	HungUp func() bool
	// Written is told of every bundle on disk.
	Written func(path string)

	// Tests:
	gauge func(*budget.Meter) budget.Gauge                                  // what measures in a meter's place
	shed  func(func(probe string, off bool) error) func(string, bool) error // what takes probes off and back
}

// The window of a recorder that is told none.
const (
	DefaultBefore = 30 * time.Second
	DefaultAfter  = 10 * time.Second
)

// dirs are the folders for bundles, in the order in which they are tried.
func (c *Config) dirs() []string {
	if c.Fallback == "" {
		return []string{c.Dir}
	}
	return []string{c.Dir, c.Fallback}
}

// insists says whether the recorder is not armed without packets: who asked for one way of capturing is not given
// none, and what failed for another reason than this host's may be mended.
func (c *Config) insists(refused error) bool {
	return refused != nil && (c.Capture == capture.TCX || source.State(refused) != format.Unsupported)
}

// sources is what the one-off sources need to know.
func (c *Config) sources(clock host.Moment) source.Env {
	return source.Env{Root: c.Root, ConntrackMax: c.Conntrack, Clock: clock}
}

// ownNetNS is what AllNetNS cannot widen: the kernel shows it to one namespace at a time.
const ownNetNS = "packets, listeners, sockets and /proc/net are those of the recorder's own network namespace; " +
	"kernel events, round-trip times and drops are those of all"

// netns is the namespace that the probes are filtered by; 0 is all.
func (c *Config) netns() uint32 {
	if c.AllNetNS {
		return 0
	}
	return host.NetNS()
}

// The longest window: its rings of vitals and snapshots are allocated at the start.
const maxWindow = 10 * time.Minute

// Check says what a recorder cannot be armed with, all of it, joined.
func (c *Config) Check() error {
	_, _, err := c.check()
	return err
}

// check parses the triggers.
func (c *Config) check() (triggers []*trigger.Trigger, patterns []*regexp.Regexp, err error) {
	var errs []error
	refuse := func(err error) { errs = append(errs, err) }
	window := c.Before + c.After
	if c.Before < 0 || c.After < 0 || window > maxWindow {
		refuse(fmt.Errorf("use a window of %v before and %v after: at most %v together", c.Before, c.After, maxWindow))
	}
	if c.Dir == "" {
		refuse(errors.New("use no folder for bundles: one is needed"))
	}
	for _, err := range []error{
		capture.Filter{SnapLen: c.SnapLen, Payload: c.Payload, Peers: c.Peers}.Check(), metrics.Check(c.Metrics),
	} {
		refuse(err)
	}
	for _, name := range c.Interfaces {
		if !possible(name) {
			refuse(fmt.Errorf("interface %q: no interface can have this name", name))
		}
	}
	for _, expr := range c.Patterns {
		p, err := regexp.Compile(expr)
		switch {
		case err != nil:
			refuse(fmt.Errorf("compile kernel-log pattern: %w", err))
		case p.MatchString("") && p.MatchString(anyLine): // as of a variable that is empty
			refuse(fmt.Errorf("kernel-log pattern %q: every line of the log matches it", expr))
		}
		patterns = append(patterns, p)
	}
	vitals := vital.Units()
	for _, expr := range c.expressions() {
		t, err := trigger.Parse(expr, vitals)
		if err != nil {
			refuse(err)
			continue
		}
		// Who asked for none of these triggers is not told to widen a window for them.
		if t.Longest() > window && len(c.Triggers) > 0 {
			refuse(fmt.Errorf("arm trigger %q: it holds for %v, and a bundle keeps %v: give --before more", t.Expr, t.Longest(), window))
		}
		triggers = append(triggers, t)
	}
	return triggers, patterns, errors.Join(errs...)
}

// anyLine is a line that nobody looks for.
const anyLine = "\x00"

// possible says whether the kernel lets an interface have this name (dev_valid_name in net/core/dev.c).
func possible(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < unix.IFNAMSIZ && !strings.ContainsAny(name, "/: \t\n\v\f\r")
}

// expressions are the triggers in force.
func (c *Config) expressions() []string {
	if len(c.Triggers) == 0 && len(c.Patterns) == 0 {
		return trigger.Expressions()
	}
	return c.Triggers
}

// ringBytes is the memory of the packet rings, and where nobody said how that came.
func (c *Config) ringBytes() (n int, why string) {
	if c.RingBytes > 0 {
		return c.RingBytes, ""
	}
	return capture.AutoBytes(c.Root)
}

func (c *Config) packets() capture.SetConfig {
	bytes, _ := c.ringBytes()
	return capture.SetConfig{
		Interfaces: c.Interfaces,
		Bytes:      bytes,
		Way:        c.Capture,
		Filter:     capture.Filter{SnapLen: c.SnapLen, Payload: c.Payload, Ports: c.Ports, Peers: c.Peers},
		Before:     c.Before,
		After:      c.After,
		PackCPU:    c.PackCPU,
		Notify: func(e capture.Event) {
			c.Log.Info(e.Text, "event", "interface", "interface", e.Interface, "state", string(e.State))
		},
	}
}

// defaultLateRTT makes a round trip an event of its own where no trigger says what is
// late: nothing within a continent takes longer.
const defaultLateRTT = 200 * time.Millisecond

// lateRTT is the smallest limit that a trigger sets on round-trip times.
func lateRTT(triggers []*trigger.Trigger) time.Duration {
	late := time.Duration(0)
	for _, t := range triggers {
		for _, c := range t.Conditions {
			limit := time.Duration(c.Limit * float64(time.Second))
			// rtt.late counts connections: its "2" is no two seconds.
			if strings.HasPrefix(c.Vital, "rtt.") && c.Unit == unit.Seconds && c.Above && !c.Factor && limit > 0 && (late == 0 || limit < late) {
				late = limit
			}
		}
	}
	if late == 0 {
		return defaultLateRTT
	}
	return late
}

// fired puts a trigger that fired into the manifest's form, which has room for the first of
// its conditions.
func fired(f trigger.Fired) format.Trigger {
	first := f.Trigger.Conditions[0]
	return format.Trigger{
		Kind: "vital", Expr: f.Trigger.Expr, Vital: first.Vital,
		Limit: f.Limit, Value: f.Value, Unit: first.Unit, Time: f.Time, Since: f.Since,
	}
}

// describe says what fired in one line for the log.
func describe(t format.Trigger) string {
	if t.Kind != "vital" {
		return strings.TrimSpace(t.Kind + " " + t.Reason)
	}
	return fmt.Sprintf("%s (it is %s)", t.Expr, unit.Format(t.Value, t.Unit))
}

// asked says of a vital, at any tick, whether the operator has a trigger on it: what costs much is armed for that. The
// default triggers ask for nothing.
func (c *Config) asked(triggers []*trigger.Trigger) func(vital string) bool {
	on := map[string]bool{}
	for _, t := range triggers {
		for _, condition := range t.Conditions {
			on[condition.Vital] = len(c.Triggers) > 0
		}
	}
	return func(vital string) bool { return on[vital] }
}
