package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Meant is the hint for a name that there is not: what may have been meant, and then what
// helps in any case.
func Meant(word string, names []string, otherwise string) string {
	if name := nearest(word, names); name != "" {
		return fmt.Sprintf("did you mean %q? %s", name, otherwise)
	}
	return otherwise
}

// nearest gives the name that a word was most likely to be: one that differs in a third of
// its letters at most, else the shortest that the word is a part of; "" where none is near.
func nearest(word string, names []string) string {
	word = strings.ToLower(word)
	best, least := "", max(1, len(word)/3)+1
	for _, name := range names {
		// Letters that one has more are as many differences: bundles have 100,000 names.
		if max(len(name)-len(word), len(word)-len(name)) >= least {
			continue
		}
		if d := distance(word, strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best != "" || len(word) < 3 { // one letter is a part of most names
		return best
	}
	for _, name := range names {
		if strings.Contains(strings.ToLower(name), word) && (best == "" || len(name) < len(best)) {
			best = name
		}
	}
	return best
}

// distance counts the letters to insert, take away, change or swap with their neighbour
// (optimal string alignment; Boytsov 2011, "Indexing methods for approximate dictionary searching").
func distance(a, b string) int {
	// Three rows of the matrix: a swap looks back two.
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := above[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// unknown is the error for a subcommand that there is not.
func (p *Program) unknown(name string) error {
	names := []string{"help", "version"}
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
		if name := nearest(none.GetSpecifiedName(), names); name != "" {
			hint = fmt.Sprintf("did you mean --%s? %s", name, hint)
		}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = fmt.Errorf("--%s: %w", bad.GetFlag().Name, wanted(bad))
	}
	return &Coded{Code: Usage, Err: err, Hint: hint}
}

// wanted says what a flag takes. Flags of ours say it themselves.
func wanted(bad *pflag.InvalidValueError) error {
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
