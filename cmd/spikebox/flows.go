package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var flows = &cli.Command{
	Name: "flows",
	Args: "BUNDLE|PCAP… [--csv|--json]",
	Doc:  "list the TCP connections: handshake, repetitions, round trips, end",
	Long: `One row for each connection, in the order in which they ended. --json prints JSON
Lines, one object for each; --csv two rows for each, what the client and what the
server sent. The side that sent the SYN is the client; without one, the lower port is
the server's.`,
	Examples: []string{
		"spikebox flows web1.spike.tar.zst",
		"spikebox flows --json incident.pcap | jq 'select(.syn_retransmits > 0)'",
	},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		asCSV := flags.Bool("csv", false, "comma-separated values, two rows for each connection")
		asJSON := flags.Bool("json", false, "JSON Lines")
		return func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return cli.Usagef("flows of what? a bundle or captures are missing")
			}
			if *asCSV && *asJSON {
				return cli.Usagef("--csv and --json exclude each other")
			}
			out := bufio.NewWriterSize(os.Stdout, 1<<16)
			err := listFlows(args, printer(out, *asCSV, *asJSON))
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		}
	},
}

// flowPrinter prints flows one by one; with nil it prints what comes before the first.
type flowPrinter func(f *flow.Flow) error

// printer chooses the form.
func printer(w io.Writer, asCSV, asJSON bool) flowPrinter {
	switch {
	case asJSON:
		return jsonFlows(w)
	case asCSV:
		return csvFlows(w)
	}
	return tableFlows(w)
}

// listFlows prints flows while they end, so that memory grows with live ones only. Nothing
// is printed, not even the columns' names, before an input turns out to be one. The
// first error of writing (a closed pipe) ends printing; reading goes on to its end.
func listFlows(paths []string, put flowPrinter) error {
	bar := startBar()
	var failed error
	headed := false
	head := func() {
		if !headed {
			headed, failed = true, put(nil)
		}
	}
	e, err := evidence.Read(paths, evidence.Options{Progress: &bar.progress, Flow: func(f *flow.Flow) {
		if head(); failed == nil {
			failed = put(f)
		}
	}})
	bar.stop()
	if err != nil {
		return opened(err)
	}
	switch head(); {
	case failed != nil:
		return fmt.Errorf("write flows: %w", failed)
	case e.Packets == nil:
		return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("the bundle holds no packets"), Hint: "spikebox inspect says why"}
	}
	if len(e.Packets.Damage) > 0 {
		for _, d := range e.Packets.Damage {
			fmt.Fprintf(os.Stderr, "spikebox: damaged: %v\n", d)
		}
		return &cli.Coded{Code: cli.Missing}
	}
	return damaged(e.Damage)
}

// jsonFlows prints an object a line, in the agreed form.
func jsonFlows(w io.Writer) flowPrinter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(f *flow.Flow) error {
		if f == nil {
			return nil
		}
		return enc.Encode(f.Row())
	}
}

// csvFlows prints two rows for each flow, one for each direction.
func csvFlows(w io.Writer) flowPrinter {
	out := csv.NewWriter(w)
	return func(f *flow.Flow) error {
		if f == nil {
			out.Write(flow.CSVHeader)
		} else {
			for _, row := range f.CSV() {
				out.Write(row)
			}
		}
		out.Flush()
		return out.Error()
	}
}

// tableFlows sets columns as wide as IPv4 needs; an IPv6 address pushes its row to the
// right.
func tableFlows(w io.Writer) flowPrinter {
	const row = "%-21s %-21s %8s %9s %7s %4s %4s %4s  %s\n"
	return func(f *flow.Flow) error {
		if f == nil {
			_, err := fmt.Fprintf(w, row, "CLIENT", "SERVER", "PACKETS", "BYTES", "RTT", "SYN", "SACK", "RETR", "END")
			return err
		}
		c, s := f.C2S(), f.S2C()
		rtt := "-"
		if ns := f.Handshake.RTT(); ns >= 0 {
			rtt = strings.ReplaceAll(short(ns), " ", "")
		}
		_, err := fmt.Fprintf(w, row, f.Client, f.Server, fmt.Sprint(c.Packets+s.Packets), compact(c.Bytes+s.Bytes), rtt,
			again(f.Handshake.SYNRetransmits), again(f.Handshake.SYNACKRetransmits), again(c.Retransmits+s.Retransmits), f.End)
		return err
	}
}

// again writes a count of repetitions, with nothing for none: what is wrong stands out.
func again(n uint32) string {
	if n == 0 {
		return "·"
	}
	return fmt.Sprint(n)
}

// compact writes bytes in at most six characters.
func compact(n uint64) string {
	return strings.ReplaceAll(strings.TrimSuffix(size(int64(n)), "iB"), " ", "")
}

// short writes a duration in at most six characters: 250µs, 12.3ms, 1.02s.
func short(ns int64) string {
	switch {
	case ns < 1e6:
		return fmt.Sprintf("%dµs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3gms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.3gs", float64(ns)/1e9)
}
