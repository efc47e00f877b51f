package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var flows = &cli.Command{
	Name: "flows",
	Args: "BUNDLE|PCAP… [--sort KEY] [--top N] [--peer PREFIX] [--port N] [--events FLOW]",
	Doc:  "list the TCP connections: handshake, repetitions, round trips, end",
	Long: `Takes a bundle, captures (pcap or pcapng, also .gz and .zst; "-" is standard input),
or both; several are merged by time. One row for each connection, in the order in which
they ended: rows come while the input is read, and memory grows with connections that
are open at once. With --top only that many rows are kept; --sort alone keeps the first
100,000, and says how many more there are.

FLOW numbers connections by their first packets. The numbers do not depend on --sort or
filters, and --events takes them, or both ends as in 192.0.2.7:41000-192.0.2.1:443
(IPv6: [2001:db8::7]:41000-[2001:db8::1]:443). Ends that were used again mean all
connections that used them. An event's frame is Wireshark's; of several inputs it is
INPUT:FRAME, captures from 0 in the order given, the bundle's packets last.

CONN is the time from the client's first SYN to its ACK, repetitions included;
RTT is the sum of both sides' median round trips, P99 the slower side's 99th percentile.
RETR counts segments sent again by both sides, SYNs (SYN) and SYN-ACKs (SACK) included.
The table fits 80 columns, 60 without its times, and has more of them from 134 on (terminal or $COLUMNS);
--sort adds its key's; --wide has all, and the Wireshark display filter of the row, as do --csv and --json.

--json prints JSON Lines, one object for each connection or event; --csv two rows for
each connection, what the client and what the server sent. The side that sent the SYN
is the client; without one, the lower port is the server's.

` + sortHelp() + `

Exit code 3: a capture ends before its end, the bundle holds no packets, or there are
more connections than are kept.
Exit code 4: the bundle is damaged; what is whole was read.`,
	Examples: []string{
		"spikebox flows web1.spike.tar.zst --sort retransmits --top 20",
		"spikebox flows --peer 10.0.0.0/8 --port 443 --wide client.pcapng server.pcapng.gz",
		"spikebox flows --events 17 incident.pcap",
		"zstdcat incident.pcap.zst | spikebox flows --json - | jq 'select(.syn_retransmits > 0)'",
	},
	Setup: setupFlows,
}

// sortHelp lists the keys for the help page.
func sortHelp() string {
	var b strings.Builder
	b.WriteString("Keys of --sort:")
	for _, k := range listing.Keys {
		fmt.Fprintf(&b, "\n  %-15s %s", k.Name, k.Doc)
	}
	return b.String()
}

// flowFlags are the flags of flows.
type flowFlags struct {
	csv, json, wide bool
	sort            string
	top             int
	peers           cli.Prefixes
	ports           []uint
	events          string
}

func setupFlows(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f flowFlags
	flags.StringVar(&f.sort, "sort", "", "largest first by this key, see above; first and last: oldest first")
	flags.IntVar(&f.top, "top", 0, "only the first `N` of them; without --sort those with the most bytes")
	flags.Var(&f.peers, "peer", "only connections with an end in this prefix; repeatable")
	flags.UintSliceVar(&f.ports, "port", nil, "only connections with an end at this port; repeatable")
	flags.StringVar(&f.events, "events", "", "instead, what happened in connection `FLOW`, in time order")
	flags.BoolVar(&f.wide, "wide", false, "all columns of the table, however long the lines are")
	flags.BoolVar(&f.csv, "csv", false, "comma-separated values")
	flags.BoolVar(&f.json, "json", false, "JSON Lines")
	return func(_ context.Context, args []string) error {
		if err := f.check(args, flags.Changed("top")); err != nil {
			return err
		}
		// As much as a pipe holds (pipe(7)): a row is some hundred bytes, and there may be millions.
		out := bufio.NewWriterSize(cli.Out, 1<<16)
		err := f.run(out, args)
		if ferr := out.Flush(); err == nil && ferr != nil {
			err = fmt.Errorf("write flows: %w", ferr)
		}
		return err
	}
}

// check refuses what contradicts itself.
func (f *flowFlags) check(args []string, topped bool) error {
	switch {
	case len(args) == 0:
		return cli.Usagef("flows of what? a bundle or captures are missing")
	case f.csv && f.json:
		return cli.Usagef("--csv and --json exclude each other")
	case f.wide && (f.csv || f.json):
		return cli.Usagef("--wide is for the table; --csv and --json have all fields")
	case topped && f.top < 1:
		return cli.Usagef("top %d: want at least 1", f.top)
	case f.events != "" && (f.sort != "" || topped || len(f.peers)+len(f.ports) > 0):
		return cli.Usagef("--events is about one connection: it takes no --sort, --top, --peer or --port")
	case f.sort != "" && listing.FindKey(f.sort) == nil:
		var names []string
		for _, k := range listing.Keys {
			names = append(names, k.Name)
		}
		return &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("no sort key %q", f.sort), Hint: cli.Meant(f.sort, names, "spikebox help flows lists them")}
	}
	for _, p := range f.ports {
		if p == 0 || p > 65535 {
			return cli.Usagef("port %d: want 1 to 65535", p)
		}
	}
	return nil
}

// run prints connections, or the events of one.
func (f *flowFlags) run(w io.Writer, paths []string) error {
	if f.events != "" {
		return f.listEvents(w, paths)
	}
	return f.listFlows(w, paths)
}

// form chooses one of the three forms of a row.
func form[T any](f *flowFlags, json, csv, table listing.Printer[T]) listing.Printer[T] {
	switch {
	case f.json:
		return listing.Headed(json)
	case f.csv:
		return listing.Headed(csv)
	}
	return listing.Headed(table)
}

// listFlows prints flows while they end, so that memory grows with live ones only; those
// to be sorted are kept. Nothing is printed, not even the columns' names, before an input
// turns out to be one. The first error of writing ends printing; reading goes on to its
// end.
func (f *flowFlags) listFlows(w io.Writer, paths []string) error {
	put, done := listing.Behind(form(f, listing.JSON(w), listing.CSV(w), listing.Table(w, f.wide, style().Width, f.key())))
	selected, kept := listing.Selection{Peers: f.peers, Ports: f.ports}, f.ranking()
	var row listing.Row // of all flows: Behind keeps a copy
	e, err := readFlows(paths, evidence.Options{Flow: func(fl *flow.Flow) {
		switch {
		case !selected.Has(fl):
		case kept != nil:
			kept.Add(fl)
		default:
			// Now, because the table takes the flow back when this returns.
			row = listing.MakeRow(fl)
			put(&row)
		}
	}})
	if err != nil {
		done() // what came before the error is printed
		return err
	}
	if kept != nil {
		for _, r := range kept.Sorted() {
			put(r)
		}
		if n := kept.Left(); n > 0 && f.top == 0 {
			e.Partial.Add("flows", fmt.Errorf("only the first %d are listed, %d more are not: --top N, --peer and --port choose", mostSorted, n))
		}
	}
	put(nil) // the columns' names, where no row came
	if err := done(); err != nil {
		return fmt.Errorf("write flows: %w", err)
	}
	return whole(e)
}

// mostSorted bounds the rows that --sort keeps without --top, to some 100 MB.
const mostSorted = 100_000

// ranking is what --sort and --top ask for; nil where rows are printed as they come.
func (f *flowFlags) ranking() *listing.Ranking {
	if key := f.key(); key != nil {
		return listing.NewRanking(key, cmp.Or(f.top, mostSorted))
	}
	return nil
}

// key is what rows are sorted by; nil where they are printed as they come.
func (f *flowFlags) key() *listing.Key {
	switch {
	case f.sort != "":
		return listing.FindKey(f.sort)
	case f.top > 0:
		return listing.FindKey("bytes")
	}
	return nil
}

// listEvents prints the events of the connection as they are found: nothing is kept.
func (f *flowFlags) listEvents(w io.Writer, paths []string) error {
	meant, err := listing.Which(f.events)
	if err != nil {
		return &cli.Coded{Code: cli.Usage, Err: err}
	}
	put := form(f, listing.EventJSON(w), listing.EventCSV(w), listing.EventTable(w, len(paths) > 1))
	found := false
	e, err := readFlows(paths, evidence.Options{
		Event: func(e *flow.Event) {
			if meant(e.Flow) {
				row := listing.MakeEventRow(e)
				put(&row)
			}
		},
		Flow: func(fl *flow.Flow) { found = found || meant(fl) },
	})
	switch {
	case err != nil:
		return err
	case !found:
		return noConnection(e, f.events)
	}
	if err := put(nil); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return whole(e)
}

// readFlows makes the pass over the packets.
func readFlows(paths []string, opts evidence.Options) (*evidence.Evidence, error) {
	bar := startBar()
	opts.OnlyFlows, opts.Progress = true, &bar.progress
	e, err := evidence.Read(paths, opts)
	bar.stop()
	if err != nil {
		return nil, opened(paths, anyInput, err)
	}
	return e, nil
}

// whole turns what was lost of the inputs into words and an exit code. A damaged bundle
// is more than a capture that ends early.
func whole(e *evidence.Evidence) error {
	if e.Packets == nil {
		if err := damaged(e.Damage); err != nil {
			return err
		}
		return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("the bundle holds no packets"), Hint: "spikebox inspect says why"}
	}
	for _, d := range e.Packets.Damage {
		cli.Warn("spikebox: damaged: %v", d)
	}
	partial(e)
	if err := damaged(e.Damage); err != nil || len(e.Packets.Damage)+len(e.Partial.List) == 0 {
		return err
	}
	return &cli.Coded{Code: cli.Missing}
}
