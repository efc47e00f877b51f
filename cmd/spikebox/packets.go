package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/dissect"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format/plain"
)

var packetLines = &cli.Command{
	Name: "packets",
	Args: "BUNDLE|PCAP [--flow FLOW] [--finding CHECK] [--around TIME] [--frame N] [-w FILE]",
	Doc:  "print packets, decoded, or write them to a capture of their own",
	Long: `Takes one bundle or capture (pcap or pcapng, also .gz and .zst). Each flag leaves
packets out, and those that all flags let through are printed, one a line: frame
number (Wireshark's), time in UTC, interface, in or out, and what the headers say.

--flow takes a number as flows lists them, or both ends as in
192.0.2.7:41000-192.0.2.1:443; ICMP errors about the connection belong to it.
--finding takes the ID of a check that analyze found present: the packets of its
example connections. --around takes a time (2026-11-21T03:00:04.5Z, or 03:00:04.5 on the
day of the first packet), "trigger", or so long before or after it (trigger-2s).

-w writes the packets as pcapng, and prints nothing. Directions are not kept there.

Exit code 3: the capture ends before its end, or the bundle holds no packets.`,
	Examples: []string{
		"spikebox packets --around trigger --within 50ms web1.spike.tar.zst",
		"spikebox packets --finding syn-retransmit -w slice.pcapng web1.spike.tar.zst",
		"spikebox packets --flow 192.0.2.7:41000-192.0.2.1:443 incident.pcap.gz",
		"spikebox packets --frame 836,869,932 web1.spike.tar.zst",
	},
	Setup: setupPackets,
}

// packetFlags are the flags of packets.
type packetFlags struct {
	flow, finding, around string
	within                time.Duration
	frames                []uint
	write                 string
}

func setupPackets(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f packetFlags
	flags.StringVar(&f.flow, "flow", "", "only packets of connection `FLOW`")
	flags.StringVar(&f.finding, "finding", "", "only packets of the connections that the finding of `CHECK` shows")
	flags.StringVar(&f.around, "around", "", "only packets near `TIME`, or near the trigger")
	flags.DurationVar(&f.within, "within", time.Second, "how far from --around, on both sides")
	flags.UintSliceVar(&f.frames, "frame", nil, "only the packet with this number; repeatable, also as 4,9")
	flags.StringVarP(&f.write, "write", "w", "", "write the packets to `FILE` as pcapng")
	return func(ctx context.Context, args []string) error {
		switch {
		case len(args) != 1:
			return cli.Usagef("packets takes one bundle or capture, not %d", len(args))
		case f.within <= 0:
			return cli.Usagef("within %v: want more than 0", f.within)
		case f.around == "" && flags.Changed("within"):
			return cli.Usagef("--within says how far from --around, which is missing")
		case f.flow != "" && f.finding != "":
			return cli.Usagef("--flow and --finding exclude each other")
		case once(args[0]) && f.flow+f.finding != "":
			return cli.Usagef("--flow and --finding read the input twice: save it first")
		}
		return f.run(ctx, args[0])
	}
}

// run chooses and prints.
func (f *packetFlags) run(ctx context.Context, path string) (err error) {
	in, err := openRecords(path)
	if err != nil {
		return err
	}
	defer in.Close()
	var trigger time.Time
	if in.Manifest != nil {
		trigger = in.Manifest.Window.Trigger
	}
	wanted := choice{frames: f.frames, within: f.within, day: trigger}
	if f.around != "" {
		if wanted.near, err = moment(f.around, trigger); err != nil {
			return err
		}
	}
	switch {
	case f.flow != "":
		wanted.ends, err = flowEnds(path, f.flow)
	case f.finding != "":
		wanted.ends, err = findingEnds(path, f.finding)
	}
	if err != nil {
		return err
	}
	if f.write != "" {
		return f.slice(func(put putPacket) error { return wanted.each(ctx, in, put) })
	}
	out := bufio.NewWriterSize(cli.Out, 1<<16)
	return cmp.Or(wanted.each(ctx, in, func(rec *packet.Record, iface *packet.Interface) error {
		return printPacket(out, rec, iface)
	}), out.Flush())
}

// printPacket prints the line of a packet.
func printPacket(w io.Writer, rec *packet.Record, iface *packet.Interface) error {
	way := map[packet.Dir]string{packet.DirIn: "in", packet.DirOut: "out"}[rec.Dir]
	at := evidence.Unix(rec.Time).Format("15:04:05.000000000")
	_, err := fmt.Fprintf(w, "%7d  %s  %-8s %-3s  %s\n", rec.Frame, at, plain.Line(iface.Name), way, plain.Line(dissect.Summary(rec, iface.LinkType)))
	return err
}

// moment reads a time of a command line. The day of a bare clock time is that of the evidence.
func moment(text string, trigger time.Time) (func(day time.Time) time.Time, error) {
	if offset, ok := strings.CutPrefix(text, "trigger"); ok {
		if trigger.IsZero() {
			return nil, cli.Usagef("time %s: a capture has no trigger; give a time", text)
		}
		if after, err := time.ParseDuration(cmp.Or(offset, "0")); err == nil && (offset == "" || offset[0] == '+' || offset[0] == '-') {
			return func(time.Time) time.Time { return trigger.Add(after) }, nil
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return func(time.Time) time.Time { return at }, nil
	}
	clock, err := time.Parse("15:04:05", text) // and fractions of a second
	if err != nil {
		clock, err = time.Parse("15:04", text)
	}
	if err != nil {
		return nil, cli.Usagef("time %q: want 2026-11-21T03:00:04.5Z, 03:00:04.5, 03:00, trigger, or trigger-2s", text)
	}
	return func(day time.Time) time.Time {
		const whole = 24 * time.Hour
		return day.UTC().Truncate(whole).Add(clock.Sub(clock.Truncate(whole)))
	}, nil
}

// slice writes what each gives to a new file, which is whole or not there, or to standard output.
func (f *packetFlags) slice(each func(putPacket) error) error {
	if f.write == "-" {
		s := dissect.NewSlice(cli.Raw())
		return cmp.Or(each(s.Write), s.Flush())
	}
	// Held to the end: an interrupt ends each, and the file goes first.
	writing.Lock()
	defer writing.Unlock()
	file, err := os.OpenFile(f.write, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write packets: %w", err)
	}
	s := dissect.NewSlice(file)
	lost := each(s.Write) // what came before damage is written all the same
	err = cmp.Or(s.Flush(), file.Close())
	var coded *cli.Coded
	if err == nil && lost != nil && !errors.As(lost, &coded) {
		err = lost
	}
	if err != nil || s.N == 0 {
		os.Remove(f.write)
	}
	if err != nil {
		return fmt.Errorf("write packets: %w", err)
	}
	cli.Say("spikebox: %d packets written to %s", s.N, f.write)
	return lost
}
