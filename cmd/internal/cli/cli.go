// Package cli is what the project's commands have in common: subcommands and their help
// from one literal, errors with hints, and the exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// Exit codes of all commands.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2
	Missing     = 3 // done, but evidence is missing
	Damaged     = 4 // the bundle is damaged and was partly read
	Interrupted = 130
)

// ExitCodes explains them, for help pages.
const ExitCodes = `Exit codes: 0 done · 1 error · 2 usage · 3 done, evidence missing ·
4 bundle damaged, partly read · 130 interrupted`

// Program is a command with its subcommands.
type Program struct {
	Name     string
	Doc      string // one sentence
	Commands []*Command
	// Default is the subcommand that is meant where none is named; empty: one must be.
	Default string
}

// Command is one subcommand.
type Command struct {
	Name     string
	Args     string // of the synopsis: "BUNDLE [-o DIR]"
	Doc      string // one line
	Long     string // what help adds to it
	Examples []string
	// First is what the first argument may be, for shells to complete; nil: it is a file.
	First []string
	// Log is where its errors go, by what the flags were when it ended; nil, or one that gives nil: to
	// standard error, as sentences.
	Log func(*pflag.FlagSet) *slog.Logger
	// Setup declares the flags and gives the function that runs with what they say.
	Setup func(*pflag.FlagSet) func(ctx context.Context, args []string) error
}

// Coded is an error with an exit code of its own.
type Coded struct {
	Code int
	Err  error  // nil where nothing needs to be said
	Hint string // what the operator can do about it
}

func (c *Coded) Error() string {
	if c.Err == nil {
		return fmt.Sprintf("exit code %d", c.Code)
	}
	return c.Err.Error()
}

// Unwrap gives the error that was coded.
func (c *Coded) Unwrap() error { return c.Err }

// Refuse is what is wrong with a command line, all of it; nil where nothing is.
func Refuse(hint string, errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return &Coded{Code: Usage, Err: err, Hint: hint}
	}
	return nil
}

// Usagef is an error of the command line.
func Usagef(text string, args ...any) error {
	return &Coded{Code: Usage, Err: fmt.Errorf(text, args...)}
}

// Main runs the program with its arguments (without its name) and gives the exit code.
func (p *Program) Main(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	if ferr := Out.Flush(); err == nil {
		err = ferr
	}
	return p.report(err)
}

func (p *Program) dispatch(ctx context.Context, args []string) error {
	// Before a subcommand is known no flag set is, either: these three are words like the others.
	name := p.Default
	if len(args) > 0 && (!strings.HasPrefix(args[0], "-") || args[0] == "-h" || args[0] == "--help" || args[0] == "--version") {
		name, args = strings.TrimLeft(args[0], "-"), args[1:]
	}
	switch name {
	case "":
		p.overview(errOut)
		return Usagef("a subcommand is missing")
	case "h", "help":
		return p.help(args)
	case "completion":
		return p.completion(Out, args)
	case "manual":
		return p.manual(Out)
	case "version":
		return p.version(Out)
	}
	c := p.command(name)
	if c == nil {
		return p.unknown(name)
	}
	return p.run(ctx, c, args)
}

// Builtin are the subcommands that every program has, without flags.
func (p *Program) Builtin() []*Command {
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	return []*Command{
		{Name: "help", Doc: "this list, or one subcommand's flags and examples", First: names},
		{Name: "version", Doc: "print the version, and what it was built from and runs on"},
		{Name: "completion", Doc: "print what bash, zsh or fish completes command lines by", First: []string{"bash", "zsh", "fish"}},
		{Name: "manual", Doc: "print the manual page, for man -l -"},
	}
}

func (p *Program) command(name string) *Command {
	for _, c := range p.Commands {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (p *Program) run(ctx context.Context, c *Command, args []string) error {
	flags := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	run := c.Setup(flags)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return p.page(Out, c)
	case err != nil:
		err = p.refused(c, flags, err)
	default:
		err = run(ctx, flags.Args())
	}
	if err != nil && c.Log != nil {
		return &logged{err, c.Log(flags)}
	}
	return err
}

// logged is an error of a command that has a log.
type logged struct {
	error
	log *slog.Logger // nil: sentences to standard error
}

// Unwrap gives the error.
func (l *logged) Unwrap() error { return l.error }

// report prints an error and what helps, and gives the exit code.
func (p *Program) report(err error) int {
	var coded *Coded
	tell := func(kind string, what any) { fail("%s: %s: %v", p.Name, kind, what) }
	if l, ok := err.(*logged); ok {
		if err = l.error; l.log != nil {
			tell = func(kind string, what any) { l.log.Error(fmt.Sprint(what), "event", kind) }
		}
	}
	switch {
	case err == nil:
		return Done
	case errors.Is(err, context.Canceled):
		return Interrupted
	case !errors.As(err, &coded):
		coded = &Coded{Code: Failed, Err: err}
	}
	if coded.Err != nil {
		for _, one := range each(err) {
			tell("error", one)
		}
	}
	if hint := hintOf(err, coded); hint != "" {
		tell("hint", hint)
	}
	return coded.Code
}

// each takes errors apart that were joined, also by those who called whoever joined them: a line is for one.
func each(err error) (all []error) {
	var coded *Coded
	if errors.As(err, &coded) && coded == err {
		err = coded.Err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(err.Error(), "\n") { // one, or a sentence about several
		return []error{err}
	}
	for _, one := range joined.Unwrap() {
		all = append(all, each(one)...)
	}
	return all
}

// hintOf gives the command's own hint, or that of the package the error comes from.
func hintOf(err error, coded *Coded) string {
	var hinted interface{ Hint() string }
	if coded.Hint == "" && errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return coded.Hint
}

func (p *Program) help(args []string) error {
	if len(args) == 0 {
		p.overview(Out)
		return nil
	}
	c := p.command(args[0])
	if c == nil {
		return p.unknown(args[0])
	}
	return p.page(Out, c)
}

func (p *Program) overview(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\n", p.Name, p.Doc)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range p.Commands {
		doc := c.Doc
		if c.Name == p.Default {
			doc += " (the default)"
		}
		fmt.Fprintf(table, "  %s\t%s\n", c.Name, doc)
	}
	for _, c := range p.Builtin() {
		fmt.Fprintf(table, "  %s\t%s\n", c.Name, c.Doc)
	}
	table.Flush()
	fmt.Fprintf(w, "\n%s help SUBCOMMAND explains one.\n%s\n", p.Name, ExitCodes)
}

func (c *Command) synopsis(p *Program) string {
	name := p.Name + " " + c.Name
	if c.Name == p.Default {
		name = p.Name + " [" + c.Name + "]"
	}
	return strings.TrimSpace(name + " " + c.Args)
}

// page is one subcommand's help.
func (p *Program) page(w io.Writer, c *Command) error {
	fmt.Fprintf(w, "%s\n\n%s\n", c.synopsis(p), c.Doc)
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", c.Long)
	}
	if usage := c.flags().FlagUsages(); usage != "" {
		fmt.Fprintf(w, "\nFlags:\n%s", usage)
	}
	if len(c.Examples) > 0 {
		fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.Join(c.Examples, "\n  "))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", ExitCodes)
	return err
}
