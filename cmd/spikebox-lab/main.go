//go:build linux

// Command spikebox-lab makes real network incidents with known truth, in network
// namespaces of its own, and records them with the real spikeboxd.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

// Exit codes, as of all commands of the project.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// command is one subcommand; main prints the help from these literals.
type command struct {
	name, args, doc string
	run             func(args []string) error
}

func commands() []*command {
	return []*command{
		{"list", "", "list the incidents", list},
		{"run", "INCIDENT -o DIR", "make one incident; leaves the bundle and truth.json in DIR", run},
		{"version", "", "print the version", version},
		{"help", "[INCIDENT]", "print this help, or an incident's story and its own flags", help},
	}
}

// errUsage marks an error of the command line.
var errUsage = errors.New("usage")

func main() {
	if len(os.Args) == 3 && os.Args[1] == lab.ActorCommand {
		os.Exit(report(actor.Main(os.Args[2], os.Stdin, os.Stdout)))
	}
	os.Exit(report(dispatch(os.Args[1:])))
}

func dispatch(args []string) error {
	if len(args) == 0 {
		usage(os.Stderr)
		return fmt.Errorf("%w: a subcommand is missing", errUsage)
	}
	if args[0] == "-h" || args[0] == "--help" {
		args = []string{"help"}
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:])
		}
	}
	return fmt.Errorf("%w: no such subcommand %q", errUsage, args[0])
}

// report prints an error and what helps, and returns the exit code.
func report(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "spikebox-lab: error: interrupted; everything is taken down")
		return exitInterrupted
	}
	fmt.Fprintf(os.Stderr, "spikebox-lab: error: %v\n", err)
	if errors.Is(err, errUsage) {
		fmt.Fprintln(os.Stderr, "spikebox-lab: hint: spikebox-lab help")
		return exitUsage
	}
	if lab.Unprivileged(err) {
		fmt.Fprintln(os.Stderr, "spikebox-lab: hint: it needs CAP_SYS_ADMIN and CAP_NET_ADMIN; run as root")
	}
	return exitError
}

func list(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: list takes no arguments", errUsage)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, inc := range lab.Incidents() {
		fmt.Fprintf(w, "%s\t%s\n", inc.Name, inc.Doc)
	}
	return w.Flush()
}

func run(args []string) error {
	if len(args) == 0 || args[0] == "" || args[0][0] == '-' {
		return fmt.Errorf("%w: run takes the name of an incident first; spikebox-lab list has them", errUsage)
	}
	inc, err := find(args[0])
	if err != nil {
		return err
	}
	opt := lab.Options{Log: os.Stderr, Params: map[string]string{}}
	fs := runFlags(inc, &opt)
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return help(args[:1])
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := settle(fs, inc, &opt); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	truth, err := lab.Run(ctx, inc, opt)
	if err == nil && truth.Bundle != "" {
		fmt.Println(opt.Dir + "/" + truth.Bundle)
	}
	return err
}

// runFlags declares the flags of run: the common ones, and the incident's own.
func runFlags(inc *lab.Incident, opt *lab.Options) *pflag.FlagSet {
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	fs.StringVarP(&opt.Dir, "out", "o", "", "folder for the bundle and truth.json")
	fs.Uint64Var(&opt.Seed, "seed", 1, "of everything that is drawn at random")
	fs.String("scale", "small", "small, or full for the load of a busy host")
	fs.StringVar(&opt.Spikeboxd, "spikeboxd", "", "the recorder (default: beside spikebox-lab, then in $PATH)")
	fs.BoolVar(&opt.Keep, "keep", false, "leave everything running until interrupted")
	fs.BoolVarP(&opt.Verbose, "verbose", "v", false, "print what spikeboxd and the actors say")
	fs.BoolVar(&opt.NoRecorder, "no-recorder", false, "make the incident without a recorder")
	fs.Lookup("no-recorder").Hidden = true
	for _, p := range inc.Params {
		fs.String(p.Name, "", fmt.Sprintf("%s (%s; full: %s)", p.Doc, p.Small, p.Full))
	}
	return fs
}

// settle takes over what Parse has found.
func settle(fs *pflag.FlagSet, inc *lab.Incident, opt *lab.Options) error {
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
	}
	if opt.Dir == "" {
		return fmt.Errorf("%w: run needs -o DIR", errUsage)
	}
	scale, _ := fs.GetString("scale") // declared as a string
	if scale != "small" && scale != "full" {
		return fmt.Errorf("%w: --scale is small or full, not %q", errUsage, scale)
	}
	opt.Full = scale == "full"
	for _, p := range inc.Params {
		if f := fs.Lookup(p.Name); f.Changed {
			opt.Params[p.Name] = f.Value.String()
		}
	}
	return nil
}

func find(name string) (*lab.Incident, error) {
	for _, inc := range lab.Incidents() {
		if inc.Name == name {
			return inc, nil
		}
	}
	return nil, fmt.Errorf("%w: no incident %q; spikebox-lab list has them", errUsage, name)
}

func help(args []string) error {
	if len(args) == 0 {
		usage(os.Stdout)
		return nil
	}
	inc, err := find(args[0])
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n%s\n\nspikebox-lab run %[1]s -o DIR\n", inc.Name, inc.Doc, inc.Story)
	fmt.Print(runFlags(inc, &lab.Options{}).FlagUsages())
	return nil
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "spikebox-lab makes real network incidents with known truth. Linux, as root.")
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(t, "  spikebox-lab %s %s\t%s\n", c.name, c.args, c.doc)
	}
	t.Flush()
}

func version([]string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("read build information: this binary has none")
	}
	fmt.Printf("spikebox-lab %s %s\n", info.Main.Version, info.GoVersion)
	return nil
}
