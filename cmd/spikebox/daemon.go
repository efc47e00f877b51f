package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
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
			if *asJSON && answer != nil {
				_, err := os.Stdout.Write(answer)
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
			fmt.Println("triggered; spikebox status names the bundle when it is written")
			return nil
		}
	},
}

// hinted says what to look at where no recorder could be asked.
func hinted(err error) error {
	if _, ok := errors.AsType[*control.UnreachableError](err); ok {
		return &cli.Coded{Code: cli.Failed, Err: err, Hint: "is it running, with this --control, and may you read the socket?"}
	}
	return err
}

func printStatus(s *control.Status) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "recorder\t%s, pid %d, on %s\n", s.Program, s.PID, s.Host)
	fmt.Fprintf(w, "armed\tsince %s, last tick %s ago\n", s.Armed.Format(time.RFC3339), ago(s.LastTick))
	fmt.Fprintf(w, "triggers\t%s\n", strings.Join(s.Triggers, ", "))
	for _, sentence := range s.Never {
		fmt.Fprintf(w, "never\t%s\n", sentence)
	}
	for _, i := range s.Interfaces {
		holds := "holds nothing yet" // Covered is zero where it was never recorded
		if !i.Covered.IsZero() {
			holds = "holds the last " + ago(i.Covered).String()
		}
		fmt.Fprintf(w, "%s\t%s, %s, %d packets recorded, %d lost\n", i.Name, i.State, holds, i.Packets, i.Lost)
	}
	for _, src := range s.Sources {
		if src.State != format.Complete {
			fmt.Fprintf(w, "%s\t%s: %s\n", src.Name, src.State, src.Reason)
		}
	}
	fmt.Fprintf(w, "bundles\t%d written, %d lost, %d triggers held back\n", s.Bundles, s.Lost, s.Suppressed)
	if s.LastBundle != "" {
		fmt.Fprintf(w, "last bundle\t%s\n", s.LastBundle)
	}
	if s.LastError != "" {
		fmt.Fprintf(w, "last error\t%s\n", s.LastError)
	}
	if s.Pending {
		fmt.Fprintf(w, "pending\ta trigger has fired, and its bundle is not written yet\n")
	}
	return w.Flush()
}

func ago(t time.Time) time.Duration {
	d := time.Since(t)
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
