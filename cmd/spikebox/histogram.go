package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

var histogram = &cli.Command{
	Name: "histogram",
	Args: "BUNDLE [--name GLOB] [--cpu N] [--json]",
	Doc:  "print how long softirqs and kernel functions ran",
	Long: `One table before the trigger, and one from it on: from what the tick told of at which the vital went
beyond its limit. Of a trigger by hand or by the kernel log, where conditions begin one after the other, and in
bundles of before, nothing begins there, and one table more is of the second around it, which may tell of either side.
A value is the lower bound of its row, a power of two: 1us is 2^10 ns, 1ms is 2^20 ns.
Softirqs belong to the machine, not to a network namespace. Where there are many the recorder times them
at times, and of the others knows those that the timer's ticks met twice: they ran at least so long.`,
	Examples: []string{"spikebox histogram incident.spike.tar.zst --name 'NET_RX'", "spikebox histogram incident.spike.tar.zst --name 'tcp_*'"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		name := flags.String("name", "*", "only softirqs and functions of this name")
		cpu := flags.Int("cpu", -1, "only this CPU")
		asJSON := flags.Bool("json", false, "one JSON object a line")
		return func(_ context.Context, args []string) error {
			if _, err := path.Match(*name, ""); err != nil || len(args) != 1 {
				return cli.Usagef("histogram takes one bundle, and a pattern such as 'tcp_*' for --name")
			}
			r, err := openBundle(args)
			if err != nil {
				return err
			}
			defer r.Close()
			return runHistogram(r, *name, *cpu, *asJSON)
		}
	},
}

// runHistogram adds up the rows that were asked for, and prints what can be read of a member that
// is not whole. A bundle without them says why.
func runHistogram(r *format.Reader, name string, cpu int, asJSON bool) error {
	// One member by the seek table: to read the bundle as evidence would take its packets, too.
	content, err := r.Open(member.LatenciesName)
	if errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(damaged(r.Damage()), noLatencies(r.Manifest))
	}
	if err != nil {
		return err
	}
	defer content.Close()
	sums := report.NewSums(r.Manifest.Trigger)
	in := &keepError{r: content}
	err = member.EachLatency(in, func(l *member.Latency) {
		if match, _ := path.Match(name, l.Name); match && (cpu < 0 || l.CPU == cpu) {
			sums.Add(l)
		}
	})
	if n := sums.Left(); err == nil && n > 0 {
		err = fmt.Errorf("it has more names than are added up: %d lines are not", n)
	}
	histograms, write := sums.List(), report.HistogramText
	if asJSON {
		write = report.HistogramJSON
	}
	if err := write(cli.Out, histograms); err != nil {
		return err
	}
	damage := r.Damage()
	switch {
	case in.err != nil:
		damage = append(damage, in.err)
	case err != nil:
		cli.Warn("spikebox: partial: read member %q: %v", member.LatenciesName, err)
	}
	switch lost := damaged(damage); {
	case lost != nil:
		return lost
	case len(histograms) == 0:
		return noLatencies(r.Manifest)
	case err != nil:
		return &cli.Coded{Code: cli.Missing}
	}
	return nil
}

// keepError keeps what ended reading other than the end: the content is damaged then, which is
// another thing than a line that is none.
type keepError struct {
	r   io.Reader
	err error
}

// Read reads on.
func (k *keepError) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	if err != io.EOF {
		k.err = err
	}
	return n, err
}

// noLatencies says why nothing is there: the probe was refused, or nothing matches.
func noLatencies(m *format.Manifest) error {
	for _, s := range m.Sources {
		if s.Name == "probe.softirq" && s.State != format.Complete {
			return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("no latencies were recorded: %s", s.Reason)}
		}
	}
	return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("no softirq or function of this name and CPU ran in the window")}
}
