package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/format/nearest"
)

// Meant is the hint for a name that there is not: what may have been meant, and then what
// helps in any case.
func Meant(word string, names []string, otherwise string) string {
	if name := nearest.Name(word, names); name != "" {
		return fmt.Sprintf("did you mean %q? %s", name, otherwise)
	}
	return otherwise
}

// unknown is the error for a subcommand that there is not.
func (p *Program) unknown(name string) error {
	names := []string{"help", "version", "completion", "manual"}
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	return &Coded{Code: Usage, Err: fmt.Errorf("no such subcommand %q", name), Hint: Meant(name, names, p.Name+" help lists them")}
}

// refused puts an error of pflag's into our words: it names flags that are there, and no
// functions of Go's.
func (p *Program) refused(c *Command, flags *pflag.FlagSet, err error) error {
	hint := p.Name + " help " + c.Name + " lists the flags"
	if none, ok := errors.AsType[*pflag.NotExistError](err); ok && len(none.GetSpecifiedShortnames()) == 0 {
		var names []string
		flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if name := nearest.Name(none.GetSpecifiedName(), names); name != "" {
			hint = fmt.Sprintf("did you mean --%s? %s", name, hint)
		}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = fmt.Errorf("--%s: %w", bad.GetFlag().Name, Wanted(bad))
	}
	return &Coded{Code: Usage, Err: err, Hint: hint}
}

// Wanted says what a flag takes, of an error that its Set gave. Flags of ours say it themselves.
func Wanted(err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	value, kind := bad.GetValue(), bad.GetFlag().Value.Type()
	switch {
	case errors.Is(bad, strconv.ErrRange):
		return fmt.Errorf("%q is too large", value)
	case kind == "duration":
		return fmt.Errorf("duration %q: want a number with its unit, such as 30s or 200ms", value)
	case kind == "bool":
		return fmt.Errorf("%q: want true or false", value)
	case slices.Contains([]string{"int", "uint", "uintSlice"}, kind):
		return fmt.Errorf("%q: want a whole number", value)
	}
	return errors.Unwrap(bad)
}
