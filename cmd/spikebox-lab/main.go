//go:build linux

// Command spikebox-lab makes real network incidents with known truth, in network
// namespaces of its own, and records them with the real spikeboxd.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
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

var run = &cli.Command{
	Name: "run",
	Args: "INCIDENT -o DIR",
	Doc:  "make one incident; leaves the bundle and truth.json in DIR",
	Long: `Builds hosts from network namespaces and veth pairs, lets real servers and clients
talk, arms spikeboxd on the server's host, makes the incident, and waits for the
bundle, whose path it prints. truth.json beside it says what was done to which flows
and when, with the kernel's own counters. The machine's own network is not touched,
and nothing is left behind.

spikebox-lab show INCIDENT lists the flags that an incident has besides these.`,
	Examples: []string{
		"spikebox-lab run listen-overflow -o /tmp/incident",
		"spikebox-lab run tcp-collapse --rmem 4MiB -o /tmp/incident",
	},
	Setup: setupRun,
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
	for _, inc := range lab.Incidents() {
		fmt.Fprintf(w, "%s\t%s\n", inc.Name, inc.Doc)
	}
	return w.Flush()
}

// printIncident prints what the incident's literal says.
func printIncident(_ context.Context, args []string) error {
	inc, err := incident(args)
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

// incident finds the one incident that is named by the arguments.
func incident(args []string) (*lab.Incident, error) {
	if len(args) != 1 {
		return nil, cli.Usagef("want the name of one incident; spikebox-lab list has them")
	}
	for _, inc := range lab.Incidents() {
		if inc.Name == args[0] {
			return inc, nil
		}
	}
	return nil, cli.Usagef("no incident %q; spikebox-lab list has them", args[0])
}

// setupRun declares the flags of run.
func setupRun(flags *pflag.FlagSet) func(context.Context, []string) error {
	opt := lab.Options{Log: os.Stderr, Params: map[string]string{}}
	scale := scaleFlag(flags)
	flags.StringVarP(&opt.Dir, "out", "o", "", "folder for the bundle and truth.json")
	flags.Uint64Var(&opt.Seed, "seed", 1, "of everything that is drawn at random")
	flags.StringVar(&opt.Spikeboxd, "spikeboxd", "", "the recorder (default: beside spikebox-lab, then in $PATH)")
	flags.BoolVar(&opt.Keep, "keep", false, "leave everything running until interrupted")
	flags.BoolVarP(&opt.Verbose, "verbose", "v", false, "print what spikeboxd and the actors say")
	flags.BoolVar(&opt.NoRecorder, "no-recorder", false, "make the incident without a recorder")
	flags.Lookup("no-recorder").Hidden = true
	ownFlags(flags)
	return func(ctx context.Context, args []string) error {
		inc, err := incident(args)
		if err != nil {
			return err
		}
		if opt.Dir == "" {
			return cli.Usagef("run needs -o DIR")
		}
		if opt.Full, err = full(*scale); err != nil {
			return err
		}
		if err := takeOwn(flags, inc, opt.Params); err != nil {
			return err
		}
		truth, err := lab.Run(ctx, inc, opt)
		if err == nil && truth.Bundle != "" {
			fmt.Println(filepath.Join(opt.Dir, truth.Bundle))
		}
		return err
	}
}

func scaleFlag(flags *pflag.FlagSet) *string {
	return flags.String("scale", "small", "small, or full for the load of a busy host")
}

// full reads the value of --scale.
func full(scale string) (bool, error) {
	if scale != "small" && scale != "full" {
		return false, cli.Usagef("--scale is small or full, not %q", scale)
	}
	return scale == "full", nil
}

// ownFlags declares every incident's own flags, for the incident is known only after
// the flags are parsed; takeOwn refuses those of others.
func ownFlags(flags *pflag.FlagSet) {
	for _, inc := range lab.Incidents() {
		for _, p := range inc.Params {
			if flags.Lookup(p.Name) == nil {
				flags.String(p.Name, "", p.Doc)
				flags.Lookup(p.Name).Hidden = true
			}
		}
	}
}

// takeOwn takes the values of the incident's own flags, where they were given.
func takeOwn(flags *pflag.FlagSet, inc *lab.Incident, into map[string]string) error {
	own := map[string]bool{}
	for _, p := range inc.Params {
		own[p.Name] = true
		if f := flags.Lookup(p.Name); f.Changed {
			into[p.Name] = f.Value.String()
		}
	}
	for _, other := range lab.Incidents() {
		for _, p := range other.Params {
			if !own[p.Name] && flags.Changed(p.Name) {
				return cli.Usagef("%s has no flag --%s; spikebox-lab show %[1]s lists its flags", inc.Name, p.Name)
			}
		}
	}
	return nil
}
