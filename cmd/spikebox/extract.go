package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var extract = &cli.Command{
	Name: "extract",
	Args: "BUNDLE [-o DIR] [MEMBER…]",
	Doc:  "unpack the bundle, or some of it",
	Long: `Writes the bundle's folder, as tar --zstd -xf would, but never over a file that is
there, and never through a link. Every sum is checked: a member that is not whole gets
".damaged" appended to its name. A MEMBER may be a folder (static/) or a pattern
('snapshots/*/proc/net/netstat'). With -o - the members go to standard output.`,
	Examples: []string{
		"spikebox extract web1.spike.tar.zst",
		"spikebox extract web1.spike.tar.zst packets.pcapng -o - | tshark -r -",
	},
	Setup: setupExtract,
}

// setupExtract checks the patterns before anything is written.
func setupExtract(flags *pflag.FlagSet) func(context.Context, []string) error {
	var dir string
	flags.StringVarP(&dir, "output", "o", ".", "where the bundle's folder goes; - is standard output")
	return func(ctx context.Context, args []string) error {
		r, err := openBundle(args)
		if err != nil {
			return err
		}
		defer r.Close()
		want := args[1:]
		for _, pattern := range want {
			if _, err := path.Match(pattern, ""); err != nil {
				return cli.Usagef("member %q: %v", pattern, err)
			}
		}
		return unpack(ctx, r, dir, want)
	}
}

// unpack writes the wanted members below dir, or to standard output. A damaged member
// costs only what of it is missing.
func unpack(ctx context.Context, r *format.Reader, dir string, want []string) error {
	found := map[string]bool{}
	wants := func(name string) bool {
		pattern, ok := wanted(name, want)
		found[pattern] = found[pattern] || ok
		return ok
	}
	var bad []error
	var err error
	if dir == "-" {
		bad, err = copyMembers(cli.Raw(), r, wants)
	} else {
		// To its end, also where the context ends it: the file that is half written goes first.
		writing.Lock()
		defer writing.Unlock()
		bad, err = format.Extract(ctx, r, dir, wants)
	}
	if err != nil {
		return err
	}
	for _, pattern := range want {
		if !found[pattern] {
			var names []string
			for _, m := range r.Members() {
				names = append(names, m.Name)
			}
			hint := cli.Meant(pattern, names, "spikebox inspect lists the members")
			return &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("extract member %q: it is not in the bundle", pattern), Hint: hint}
		}
	}
	return damaged(append(r.Damage(), bad...))
}

// copyMembers writes members one after the other; the errors of the first kind are damage.
func copyMembers(w io.Writer, r *format.Reader, want func(name string) bool) (bad []error, err error) {
	err = r.Walk(func(m format.Member, content io.Reader) error {
		if !want(m.Name) {
			return nil
		}
		_, err := io.Copy(w, content)
		if damage := (*format.DamageError)(nil); errors.As(err, &damage) {
			bad = append(bad, damage)
			return nil
		}
		return err
	})
	return bad, err
}

// wanted says which pattern asks for a member; all are wanted where none is named.
func wanted(name string, want []string) (pattern string, ok bool) {
	if len(want) == 0 {
		return "", true
	}
	for _, w := range want {
		if match, _ := path.Match(w, name); match || strings.HasPrefix(name, strings.TrimSuffix(w, "/")+"/") {
			return w, true
		}
	}
	return "", false
}
