package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/control"
)

var status = &cli.Command{
	Name:     "status",
	Args:     "[--json]",
	Doc:      "ask the spikeboxd of this host what it records and how it is",
	Examples: []string{"spikebox status", "spikebox status --json | jq .vitals"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		socket := flags.String("control", control.Socket, "control socket of the recorder")
		asJSON := flags.Bool("json", false, "print the recorder's answer as it is")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("status takes no argument %q", args[0])
			}
			s, answer, err := control.Client{Socket: *socket}.Status(ctx)
			// An answer of a newer recorder may be no Status; what is no JSON is for nobody.
			if *asJSON && json.Valid(answer) {
				_, err := cli.Out.Write(answer)
				return err
			}
			if err != nil {
				return hinted(err)
			}
			return printStatus(&s)
		}
	},
}

var trigger = &cli.Command{
	Name:     "trigger",
	Args:     "[--reason TEXT]",
	Doc:      "have the spikeboxd of this host cut a bundle now",
	Examples: []string{"spikebox trigger --reason 'customers report timeouts'"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		socket := flags.String("control", control.Socket, "control socket of the recorder")
		reason := flags.String("reason", "", "why, for the bundle's manifest")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("trigger takes no argument %q", args[0])
			}
			if err := (control.Client{Socket: *socket}).Trigger(ctx, *reason); err != nil {
				return hinted(err)
			}
			_, err := fmt.Fprintln(cli.Out, "triggered; spikebox status names the bundle when it is written")
			return err
		}
	},
}

var drill = &cli.Command{
	Name: "drill",
	Args: "[--json]",
	Doc:  "have the spikeboxd of this host prove that it records",
	Long: `The recorder makes a harmless event of its own, a connection attempt to a port of its own
that nobody listens on, over loopback, cuts a bundle as a trigger does, and looks for the event
in it: in packets, in what the kernel's programs told and in the vitals. The bundle is removed
again, no other is for it, and triggers go on meanwhile. Exit code 1: something failed; 3: all
that could be tried was seen, and something could not be.

Armed rings are not on loopback: the event's packets are taken by one more ring of the same kind, and of
the armed ones it is compared whether they record what their interfaces count. A trigger on a single
refused connection or reset fires by it. A private network namespace is not used, as the armed
programs and counters do not look there.`,
	Examples: []string{"spikebox drill", "spikebox drill --json | jq -r .state"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		socket := flags.String("control", control.Socket, "control socket of the recorder")
		asJSON := flags.Bool("json", false, "print the recorder's answer as it is")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("drill takes no argument %q", args[0])
			}
			d, answer, err := control.Client{Socket: *socket}.Drill(ctx)
			switch {
			case err != nil:
				return hinted(err)
			case *asJSON:
				_, err = cli.Out.Write(answer)
			default:
				err = printDrill(&d)
			}
			return errors.Join(err, verdictOf(&d))
		}
	},
}

// verdictOf is a drill's exit code, as an error.
func verdictOf(d *control.Drill) error {
	switch d.State {
	case control.StepOK:
		return nil
	case control.StepUntried:
		return &cli.Coded{Code: cli.Missing}
	}
	return &cli.Coded{Code: cli.Failed}
}

func printDrill(d *control.Drill) error {
	w := tabwriter.NewWriter(cli.Out, 0, 0, 2, ' ', 0)
	for _, s := range d.Steps {
		fmt.Fprintln(w, plain.Row(s.Name, s.State, s.Text))
	}
	return w.Flush()
}

// hinted says what to look at where no recorder could be asked.
func hinted(err error) error {
	if _, ok := errors.AsType[*control.UnreachableError](err); ok {
		return &cli.Coded{Code: cli.Failed, Err: err, Hint: "is it running, with this --control, and may you read the socket?"}
	}
	return err
}

func printStatus(s *control.Status) error {
	w := tabwriter.NewWriter(cli.Out, 0, 0, 2, ' ', 0)
	row := func(name, text string, args ...any) { fmt.Fprintln(w, plain.Row(name, fmt.Sprintf(text, args...))) }
	row("recorder", "%s, pid %d, on %s", s.Program, s.PID, s.Host)
	tick := "no tick yet"
	if !s.LastTick.IsZero() {
		tick = fmt.Sprintf("last tick %s ago", ago(s.LastTick))
	}
	row("armed", "since %s, %s", s.Armed.Format(time.RFC3339), tick)
	row("triggers", "%s", strings.Join(s.Triggers, ", "))
	for _, sentence := range s.Blind {
		row("blind", "%s", sentence)
	}
	if b := s.Budget; b.Limit > 0 {
		row("cpu", "%s of the machine used (%s by itself, %s by programs), the limit is %s", unit.Percent(b.Used), unit.Percent(b.Own), unit.Percent(b.Programs), unit.FormatShare(b.Limit))
		row("", "%s", b.Ground)
		for _, t := range b.Tiers {
			if t.Shed {
				row("shed", "%s, which cost %s", t.Tier, unit.Percent(t.Used))
			}
		}
	}
	for _, i := range s.Interfaces {
		row(i.Name, "%s", recorded(&i))
		if i.Ring > 0 {
			row("", "%s", reach(&i))
		}
	}
	for _, src := range s.Sources {
		if src.State != format.Complete {
			row(src.Name, "%s: %s", src.State, src.Reason)
		}
	}
	row("bundles", "%d written, %d lost, %d triggers held back", s.Bundles, s.Lost, s.Suppressed)
	for _, h := range s.HeldBack {
		row("held back", "%s: %d times, until %s, by --%s", h.Trigger, h.Count, h.Until.Format(time.RFC3339), h.Reason)
	}
	if s.MissedTicks > 0 {
		row("missed", "%d ticks of 250ms did not come since it was armed", s.MissedTicks)
	}
	if s.LogDropped > 0 {
		row("log", "%d lines dropped, because nobody read them", s.LogDropped)
	}
	bundles(row, s)
	return w.Flush()
}

// bundles says what became of the last bundle, and of what is done with bundles.
func bundles(row func(name, text string, args ...any), s *control.Status) {
	if s.LastBundle != "" {
		row("last bundle", "%s", s.LastBundle)
	}
	if s.Fallback {
		row("", "in the fallback folder, because --dir did not take it")
	}
	if s.LeftOut != "" {
		row("", "has %s", s.LeftOut)
	}
	if d := s.Drill; d != nil {
		row("drill", "%s, %s ago", d.State, ago(d.Time))
	}
	if c := s.OnBundle; c != nil {
		row("on-bundle", "%d runs, %d of them failed; for %d bundles not run", c.Runs, c.Failed, c.Dropped)
	}
	if s.LastError != "" {
		row("last error", "%s", s.LastError)
	}
	if s.Pending {
		row("pending", "a trigger has fired, and its bundle is not written yet")
	}
}

// recorded says what an interface's ring holds.
func recorded(i *control.InterfaceStatus) string {
	holds := "holds nothing yet" // Covered is 1970 where it was never recorded
	if i.Covered.Unix() > 0 {
		holds = "holds the last " + ago(i.Covered).String()
	}
	if i.Capture != "" {
		holds += ", by " + i.Capture
	}
	return fmt.Sprintf("%s, %s, %d packets recorded, %d lost", i.State, holds, i.Packets, i.Lost)
}

// reach says how large a ring is, and how far back it goes as packets come now.
func reach(i *control.InterfaceStatus) string {
	text := "ring of " + unit.Size(int64(i.Ring))
	if i.Less != "" {
		text = "ring of " + i.Less
	}
	if i.Packed > 0 {
		text += fmt.Sprintf(", %s packets packed to %s bytes each", unit.Count(i.Packed), unit.Digits(float64(i.PackedBytes)/float64(i.Packed)))
	}
	if i.Short != "" {
		return text + "; it " + i.Short
	}
	return text + fmt.Sprintf("; at %s packets/s it reaches back at least %s", unit.Count(int64(i.Rate)), unit.Duration(time.Duration(i.Reach*float64(time.Second))))
}

func ago(t time.Time) time.Duration {
	d := time.Since(t)
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
