//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/hook"
	"github.com/spikebox/spikebox/recorder/namespaces"
)

var run = &cli.Command{
	Name: "run",
	Args: "[FLAG …]",
	Doc:  "arm the recorder until it is told to stop",
	Long: `With no flag at all it records every interface that is up, keeps 30 s before and 10 s
after, and fires on what hurts whoever it hits: an accept queue
that overflows or from which nobody takes, SYNs that are repeated, half-open
connections, timeouts, losses, round trips or resets five times their usual, a service
that is gone, ports or connection tracking used up … README.md lists them with reasons.

A trigger is VITAL > LIMIT [for DURATION] [and …], as in 'rtt.p99 > 200ms for 2s',
'conntrack.fill > 80%', 'retrans.ratio > 2% for 2s and rto > 20' or 'syn_recv > 5x':
five times what is usual for the vital, which is what nine of ten ticks stay below in
the last hour and at the same time of other days; a little more than what it held at in
the same minutes of two other days is no news, either. It is known from 81 s of traffic
on, and until then the largest so far stands for it, or a ceiling of the vital's. With < it fires when a vital falls and stays
low (for DURATION). What goes on for long makes another bundle when it is twice as old.
SIGUSR1 fires by hand. SIGTERM and SIGINT finish what is pending and end; a
third of them within 5 s of the second ends it at once.

Beyond --cpu-budget it gives up evidence, one thing at a time, and takes it back when
there is room: ` + tiers() + `, in this order. Packets as they come, half-open
connections, events of retransmissions and the counters of /proc are never given up.
spikebox status tells what is, and every bundle what it lacks.

--on-bundle runs a command for each bundle that is on disk, beside the recorder: one at a
time, at the lowest priority, without its capabilities, for at most --on-bundle-timeout. It has
SPIKEBOX_BUNDLE (the path), _HOST, _REASON (a sentence), _TRIGGER, _KIND, _VITAL, _VALUE, _TIME,
_BYTES and _LEFT_OUT in its environment, and what it prints goes to the log. It begins no
shell: give it one where it needs one, as in 'sh -c "logger bundle $SPIKEBOX_BUNDLE"'.

It needs CAP_BPF and CAP_NET_ADMIN for packets by tcx, or CAP_NET_RAW for packets by a
socket, and CAP_BPF and CAP_PERFMON for what only the kernel can tell, CAP_SYS_ADMIN to know what its programs cost; what it is not allowed to see is said once and in the manifest, and
it records the rest. Nobody need read its log: it waits for no reader.

` + settingsHelp + `
SIGHUP reads the file again. Triggers, what bounds bundles and --conntrack-max are
taken from it, and recording goes on; it says which of the other flags wait for a
restart. What is wrong in it is said, and changes nothing. Where the terminal that it was
started at is closed, SIGHUP ends the recorder, as SIGTERM does; not under nohup(1).`,
	Examples: []string{
		"spikeboxd",
		"spikeboxd run --interface eth0 --rtt 200ms --syn-recv 250 --dir /var/lib/spikebox",
		"spikeboxd run --trigger 'listen.overflows > 0' --before 1m --port 443",
	},
	Log:   errorLog,
	Setup: setupRun,
}

// runFlags are the flags of run: a configuration, and what becomes one.
type runFlags struct {
	recorder.Config
	ring      cli.Room
	keepBytes cli.Bytes
	minFree   cli.Percent
	cpu, pack cli.Cap
	peers     cli.Prefixes
	ports     []uint
	rtt       time.Duration
	synRecv   int
	netns     []string
	capture   string
	logFormat string
	logLevel  string
	onBundle  string
	file      string // of the configuration
}

// tiers names what the CPU budget sheds, in its order.
func tiers() string {
	var names []string
	for _, t := range budget.Tiers {
		names = append(names, t.ID)
	}
	return strings.Join(names, ", ")
}

func setupRun(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f runFlags
	f.declare(flags)
	return func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return cli.Usagef("run takes no argument %q", args[0])
		}
		given := changed(flags)
		cfg, _, err := f.settle(flags)
		if err != nil {
			return err
		}
		cfg.Reload, cfg.HungUp = func() (recorder.Config, error) { return again(given) }, hungUp
		child := within(&cfg)
		cfg.Log = logger(f.logFormat == "json", f.logLevel, cfg.NetNS)
		hook.Adopt()
		if targets, _ := f.targets(); targets != nil && !child {
			return keep(ctx, &cfg, targets)
		}
		return arm(ctx, cfg)
	}
}

// errorLog is for what ends a start or a run: what reads its log as JSON reads these, too, whether the
// command line, the environment or the file has asked for that.
func errorLog(flags *pflag.FlagSet) *slog.Logger {
	if format := flags.Lookup("log-format"); format.Value.String() == "json" {
		return logger(true, "error", "")
	}
	return nil
}

// settle gives what the command line, the environment and the file say together, and from
// where the flags are that the command line did not set. Its error says all that is wrong.
func (f *runFlags) settle(flags *pflag.FlagSet) (cfg recorder.Config, from map[string]string, err error) {
	from, errs := settle(flags, os.Environ())
	errs = append(errs, f.refusals(flags)...)
	cfg = f.config(flags)
	if len(errs) == 0 { // else what was not taken would be checked as its default
		errs = append(errs, cfg.Check())
	}
	return cfg, from, cli.Refuse("spikeboxd help run explains the flags", errs...)
}

// again settles anew: the same command line, and what the file says now.
func again(given []setting) (recorder.Config, error) {
	var f runFlags
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.declare(flags)
	for _, s := range given {
		if err := set(flags, s); err != nil {
			return recorder.Config{}, err
		}
	}
	cfg, _, err := f.settle(flags)
	return cfg, err
}

// declare names the flags in the order of the help page.
func (f *runFlags) declare(flags *pflag.FlagSet) {
	// A flag.Value has no default beside the one that it holds.
	f.keepBytes, f.minFree, f.cpu, f.pack = 2<<30, 0.1, 0.01, capture.DefaultPackCPU
	flags.StringVar(&f.file, "config", configFile, "file of flags; the usual one need not be there")
	flags.StringSliceVar(&f.Interfaces, "interface", nil, "interface to record; repeatable (default: every one that is up)")
	flags.DurationVar(&f.rtt, "rtt", 0, "short for --trigger 'rtt.p99 > DURATION for 1s'")
	flags.IntVar(&f.synRecv, "syn-recv", 0, "short for --trigger 'syn_recv > N'")
	flags.StringArrayVar(&f.Triggers, "trigger", nil, "vital and limit that cut a bundle; repeatable")
	flags.StringArrayVar(&f.Patterns, "kmsg", nil, "regular expression; a kernel-log line that matches cuts a bundle; repeatable")
	flags.DurationVar(&f.Before, "before", recorder.DefaultBefore, "how much of the time before the trigger goes into the bundle")
	flags.DurationVar(&f.After, "after", recorder.DefaultAfter, "how much of the time after the trigger goes into the bundle")
	flags.StringVar(&f.Dir, "dir", "/var/lib/spikebox", "folder for bundles")
	flags.StringVar(&f.Fallback, "fallback-dir", "", "folder for bundles that --dir does not take, such as one on tmpfs")
	flags.Var(&f.ring, "ring", "memory of the packet rings of all interfaces together; auto: a hundredth of the machine's, from 16 MiB to 512 MiB, and at most a quarter of a cgroup's limit")
	flags.Var(&f.pack, "pack-cpu", "most of one CPU that packing takes: of packets that would be forgotten although they are younger than --before and --after; off: none are packed")
	flags.StringVar(&f.capture, "capture", string(capture.Auto), "how packets are captured: tcx (Linux 6.6 and later), tpacket, or auto: tcx where it is to be had")
	flags.IntVar(&f.SnapLen, "snaplen", capture.DefaultSnapLen, "most header bytes kept of a packet")
	flags.IntVar(&f.Payload, "payload", 0, "bytes kept behind the headers")
	flags.IntVar(&f.Conntrack, "conntrack-max", 200_000, "most lines of the connection-tracking dump; its summary is exact all the same")
	flags.UintSliceVar(&f.ports, "port", nil, "record only packets from or to this port; repeatable")
	flags.Var(&f.peers, "peer", "record only packets from or to this address or prefix; repeatable")
	flags.DurationVar(&f.Policy.Cooldown, "cooldown", 5*time.Minute, "shortest time between two bundles of one trigger")
	flags.IntVar(&f.Policy.MaxPerDay, "max-per-day", 20, "most bundles of one trigger in 24 hours; all together three times as many, and each its first all the same; 0 is no cap")
	flags.IntVar(&f.Retention.Keep, "keep", 20, "most bundles of this host in a folder; of the most frequent trigger the oldest goes first, the last of a trigger and those with NAME.keep beside them stay; 0 is no cap")
	flags.Var(&f.keepBytes, "keep-bytes", "most bytes of this host's bundles in a folder, the new one included; for a quarter of them the last of a trigger goes, too; 0B is no cap")
	flags.Var(&f.minFree, "min-free", "share of the file system that stays free: old bundles go for it where that helps, and a new one takes little of it")
	flags.Var(&f.cpu, "cpu-budget", "most of the machine's CPU time that it takes: beyond, evidence is shed and comes back later; off: no limit")
	flags.StringVar(&f.Control, "control", control.Socket, "control socket; empty: none")
	flags.StringVar(&f.Metrics, "metrics", "", "address at which Prometheus gets /metrics: HOST:PORT or unix:PATH; empty: none")
	flags.StringArrayVar(&f.netns, "netns", []string{namespaces.Own}, "network namespace to record: own, a path such as /run/netns/NAME, pid:N or container:ID; repeatable, each by a recorder of its own; all: the own one, and kernel events of every one on the machine")
	flags.StringVar(&f.logFormat, "log-format", "text", "text: sentences, with time and level, or with a priority where standard error is the journal; json: a document a line, with fields")
	flags.StringVar(&f.logLevel, "log-level", "info", "least that the log has: "+strings.Join(levels, ", "))
	flags.StringVar(&f.onBundle, "on-bundle", "", "command to run for each bundle that is on disk, without a shell: see above")
	flags.DurationVar(&f.OnBundleTimeout, "on-bundle-timeout", time.Minute, "longest run of --on-bundle")
	flags.BoolVar(&f.Once, "once", false, "end after the first bundle and print its path")
	flags.StringVar(&f.Root, "root", "/", "where /proc, /sys and /dev lie; another tree than / is for tests of the recorder itself")
	flags.BoolVar(&f.DryRun, "dry-run", false, "say what would fire, write nothing")
}

// refusals names numbers that no recorder can be armed with: a limit below zero would fire at
// once and for ever.
func (f *runFlags) refusals(flags *pflag.FlagSet) (errs []error) {
	refuse := func(wrong bool, text string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(text, args...))
		}
	}
	// pflag takes any sign; an --rtt that is not given is 0 as well, and only Changed tells.
	refuse(flags.Changed("rtt") && f.rtt <= 0, "rtt %v: want more than 0", f.rtt)
	// A variable that is empty must not make it record everything.
	refuse(flags.Changed("interface") && len(f.Interfaces) == 0, "interface %q: want the name of one", "")
	refuse(f.synRecv < 0, "syn-recv %d: want 0 or more", f.synRecv)
	refuse(f.Policy.Cooldown < 0, "cooldown %v: want 0 or more", f.Policy.Cooldown)
	refuse(f.Policy.MaxPerDay < 0, "max-per-day %d: want 0 or more", f.Policy.MaxPerDay)
	refuse(f.Retention.Keep < 0, "keep %d: want 0 or more", f.Retention.Keep)
	refuse(f.Conntrack <= 0, "conntrack-max %d: want at least 1", f.Conntrack)
	for _, p := range f.ports {
		refuse(p == 0 || p > 65535, "port %d: want 1 to 65535", p)
	}
	refuse(f.OnBundleTimeout <= 0, "on-bundle-timeout %v: want more than 0", f.OnBundleTimeout)
	if _, err := words(f.onBundle); err != nil {
		errs = append(errs, err)
	}
	_, err := capture.ParseWay(f.capture)
	refuse(err != nil, "capture %v", err)
	refuse(f.logFormat != "text" && f.logFormat != "json", "log-format %q: want text or json", f.logFormat)
	refuse(!slices.Contains(levels, f.logLevel), "log-level %q: want one of %s", f.logLevel, strings.Join(levels, ", "))
	_, wrong := f.targets()
	return append(errs, wrong...)
}

// config gives what the recorder is armed with.
func (f *runFlags) config(flags *pflag.FlagSet) recorder.Config {
	cfg := f.Config
	cfg.Build = cli.Build("spikeboxd")
	if flags.Changed("rtt") {
		// One slow tick may be one late acknowledgement: the hold asks for a second of them.
		cfg.Triggers = append(cfg.Triggers, fmt.Sprintf("rtt.p99 > %v for 1s", f.rtt))
	}
	if flags.Changed("syn-recv") {
		cfg.Triggers = append(cfg.Triggers, fmt.Sprintf("syn_recv > %d", f.synRecv))
	}
	for _, p := range f.ports {
		cfg.Ports = append(cfg.Ports, uint16(p))
	}
	cfg.Capture = capture.Way(f.capture)
	cfg.AllNetNS = len(f.netns) == 1 && f.netns[0] == everyNetNS
	cfg.RingBytes, cfg.Peers = int(f.ring), f.peers
	cfg.Retention.Bytes, cfg.Retention.MinFree = int64(f.keepBytes), float64(f.minFree)
	cfg.CPUBudget, cfg.PackCPU = float64(f.cpu), float64(f.pack)
	cfg.OnBundle, _ = words(f.onBundle) // see refusals
	cfg.Flags = inForce(flags)
	return cfg
}

// words takes a command apart, as a shell would that has quotes and nothing else.
func words(command string) ([]string, error) {
	parser := shellwords.NewParser()
	all, err := parser.Parse(command)
	switch {
	case err != nil:
		return nil, fmt.Errorf("on-bundle %q: %w", command, err)
	case parser.Position >= 0: // at one of ; & | < >
		return nil, fmt.Errorf("on-bundle %q: %q needs a shell: give it to one, as in sh -c '…'", command, command[parser.Position:])
	case len(all) == 0 && command != "":
		return nil, fmt.Errorf("on-bundle %q: want a command", command)
	case len(all) > 0:
		if _, err := exec.LookPath(all[0]); err != nil {
			return nil, fmt.Errorf("on-bundle %q: %w", command, err)
		}
	}
	return all, nil
}

// inForce gives every flag's value, for the manifest.
func inForce(flags *pflag.FlagSet) map[string]format.Setting {
	all := map[string]format.Setting{}
	flags.VisitAll(func(f *pflag.Flag) {
		if list, ok := f.Value.(lister); ok {
			all[f.Name] = format.Setting{List: append([]string{}, list.GetSlice()...)}
			return
		}
		all[f.Name] = format.Setting{Text: f.Value.String()}
	})
	return all
}

// lastWords is how long the end waits for a log that takes no line.
const lastWords = 2 * time.Second

func arm(ctx context.Context, cfg recorder.Config) error {
	cfg.Written = func(path string) { fmt.Fprintln(cli.Raw(), path) }
	// A reader of the log or of the paths that is gone costs what it would have read, and
	// does not kill: only commands that end by themselves should (spikeboxd sources | head).
	signal.Ignore(unix.SIGPIPE)
	// The recorder hears the signals itself, and by which of them it was told to stop.
	err := recorder.Run(context.WithoutCancel(ctx), cfg)
	// Saying err is what is left to do, which nobody may read.
	time.AfterFunc(lastWords, func() { os.Exit(cli.Failed) })
	return err
}
