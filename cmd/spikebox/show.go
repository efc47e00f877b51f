package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/exhibit"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var show = &cli.Command{
	Name: "show",
	Args: "WHAT BUNDLE [--from TIME] [--to TIME] [--flow ENDS] [--process NAME|PID]",
	Doc:  "print what a bundle holds as a table: log, events, sockets …",
	Long: showHelp() + `

TIME is 2026-11-21T03:00:04.5Z, 03:00:04.5 on the day of the trigger, "trigger", or so
long before or after it: trigger-2s, trigger+500ms.
ENDS is an address, an address with its port, or both ends as in
192.0.2.7:41000-192.0.2.1:443. Programs take the members themselves, which extract
gives: format/SPEC.md of the source describes them.

Exit code 3: the bundle has no such member, or it could not be read to its end.
Exit code 4: the bundle is damaged; what is whole was printed.`,
	Examples: []string{
		"spikebox show kmsg web1.spike.tar.zst",
		"spikebox show events --from trigger --flow 192.0.2.1:443 web1.spike.tar.zst",
		"spikebox show sockets --process nginx web1.spike.tar.zst",
	},
	First: kinds(),
	Setup: setupShow,
}

// kinds are the names of what can be shown.
func kinds() (names []string) {
	for _, k := range exhibit.Kinds {
		names = append(names, k.Name)
	}
	return names
}

// showHelp lists what can be shown for the help page.
func showHelp() string {
	var b strings.Builder
	b.WriteString("WHAT is one of these; in brackets what its rows can be chosen by:")
	for _, k := range exhibit.Kinds {
		fmt.Fprintf(&b, "\n  %-10s %s", k.Name, k.Doc)
		if len(k.By) > 0 {
			fmt.Fprintf(&b, " %v", k.By)
		}
	}
	return b.String()
}

// showFlags are the flags of show.
type showFlags struct{ from, to, flow, process string }

func setupShow(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f showFlags
	flags.StringVar(&f.from, "from", "", "only what was at `TIME` or later")
	flags.StringVar(&f.to, "to", "", "only what was at `TIME` or before")
	flags.StringVar(&f.flow, "flow", "", "only rows of connections with these `ENDS`")
	flags.StringVar(&f.process, "process", "", "only rows of the process with this `NAME` or number")
	return func(_ context.Context, args []string) error {
		if len(args) != 2 {
			return cli.Usagef("show takes what to show and one bundle: spikebox show kmsg BUNDLE")
		}
		kind := exhibit.Find(args[0])
		if kind == nil {
			return &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("nothing named %q to show", args[0]), Hint: cli.Meant(args[0], kinds(), "spikebox help show lists all")}
		}
		for by, given := range map[exhibit.By]bool{exhibit.Time: f.from+f.to != "", exhibit.Flow: f.flow != "", exhibit.Process: f.process != ""} {
			if given && !slices.Contains(kind.By, by) {
				return cli.Usagef("the rows of %s cannot be chosen by %s", kind.Name, by)
			}
		}
		return f.run(kind, args[1])
	}
}

// run prints one kind of a bundle.
func (f *showFlags) run(kind *exhibit.Kind, path string) error {
	r, err := openBundle([]string{path})
	if err != nil {
		return err
	}
	defer r.Close()
	choice := exhibit.Choice{Process: f.process}
	trigger := r.Manifest.Window.Trigger
	for text, to := range map[*string]*time.Time{&f.from: &choice.From, &f.to: &choice.To} {
		if *text == "" {
			continue
		}
		at, err := moment(*text, trigger)
		if err != nil {
			return err
		}
		*to = at(trigger)
	}
	if f.flow != "" {
		if choice.Ends, err = endsOf(f.flow); err != nil {
			return err
		}
	}
	out := bufio.NewWriterSize(cli.Out, 1<<16)
	err = kind.Show(out, r, &choice)
	if ferr := out.Flush(); ferr != nil {
		return fmt.Errorf("write %s: %w", kind.Name, ferr)
	}
	all := r.Damage()
	if damage := (*format.DamageError)(nil); errors.As(err, &damage) {
		all = append(all, damage)
	}
	if lost := damaged(all); lost != nil {
		return lost
	}
	switch {
	case errors.Is(err, exhibit.ErrNoRows) && *f != (showFlags{}):
		cli.Warn("spikebox: no row of %s is wanted", kind.Name) // silence would read as calm where a choice is misspelt
		return nil
	case errors.Is(err, exhibit.ErrNoRows):
		cli.Warn("spikebox: %s is empty: nothing was there, or nothing happened", kind.Member)
		return nil
	case errors.Is(err, os.ErrNotExist):
		return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("the bundle holds no %s", kind.Member), Hint: "spikebox inspect says why"}
	case err != nil:
		cli.Warn("spikebox: partial: %v", err)
		return &cli.Coded{Code: cli.Missing}
	}
	return nil
}

// endsOf reads one or both ends of a connection; an address alone means all of its ports.
func endsOf(text string) (func(a, b netip.AddrPort) bool, error) {
	var meant []func(netip.AddrPort) bool
	for _, one := range strings.Split(text, "-") {
		if addr, err := netip.ParseAddr(one); err == nil {
			meant = append(meant, func(e netip.AddrPort) bool { return e.Addr() == addr })
			continue
		}
		whole, err := netip.ParseAddrPort(one)
		if err != nil {
			return nil, cli.Usagef("flow %q: want an address, an address with its port, or both ends as in 192.0.2.7:41000-192.0.2.1:443", text)
		}
		meant = append(meant, func(e netip.AddrPort) bool { return e == whole })
	}
	switch len(meant) {
	case 1:
		return func(a, b netip.AddrPort) bool { return meant[0](a) || meant[0](b) }, nil
	case 2:
		return func(a, b netip.AddrPort) bool { return meant[0](a) && meant[1](b) || meant[1](a) && meant[0](b) }, nil
	}
	return nil, cli.Usagef("flow %q: want one end or both", text)
}
