//go:build linux

// Command spikebox-lab makes real network incidents with known truth, in network
// namespaces of its own, and records them with the real spikeboxd.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var program = &cli.Program{
	Name:     "spikebox-lab",
	Doc:      "makes real network incidents with known truth, in network namespaces of its own (Linux, as root)",
	Commands: []*cli.Command{list, show, run, score},
}

var list = &cli.Command{
	Name:  "list",
	Doc:   "list the incidents",
	Setup: func(*pflag.FlagSet) func(context.Context, []string) error { return printList },
}

var show = &cli.Command{
	Name:     "show",
	Args:     "INCIDENT",
	Doc:      "tell an incident's story, what is expected of its analysis, and its own flags",
	Examples: []string{"spikebox-lab show listen-overflow"},
	Setup:    func(*pflag.FlagSet) func(context.Context, []string) error { return printIncident },
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == lab.ActorCommand {
		if err := actor.Main(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(cli.Failed)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(program.Main(ctx, os.Args[1:]))
}

// printList prints one line an incident.
func printList(_ context.Context, args []string) error {
	if len(args) > 0 {
		return cli.Usagef("list takes no argument %q", args[0])
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, inc := range incident.All {
		fmt.Fprintf(w, "%s\t%s\n", inc.Name, inc.Doc)
	}
	return w.Flush()
}

// printIncident prints what the incident's literal says.
func printIncident(_ context.Context, args []string) error {
	inc, err := one(args)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n%s\n\n", inc.Name, inc.Doc, inc.Story)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "root finding:\t%s\n", or(inc.Expected.Root, "none"))
	for _, id := range inc.Expected.Effects {
		fmt.Fprintf(w, "effect:\t%s\n", id)
	}
	for _, p := range inc.Params {
		fmt.Fprintf(w, "--%s\t%s (%s; with --scale full %s)\n", p.Name, p.Doc, p.Small, p.Full)
	}
	return w.Flush()
}

// or is s, or what stands for an empty s.
func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// one finds the incident that is named by the arguments.
func one(args []string) (*lab.Incident, error) {
	if len(args) != 1 {
		return nil, cli.Usagef("want the name of one incident; spikebox-lab list has them")
	}
	var names []string
	for _, inc := range incident.All {
		if inc.Name == args[0] {
			return inc, nil
		}
		names = append(names, inc.Name)
	}
	return nil, &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("no incident %q", args[0]), Hint: cli.Meant(args[0], names, "spikebox-lab list has them")}
}
