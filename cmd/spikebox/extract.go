package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	Long: `Writes into a folder named after the bundle, as tar --zstd -xf would, but never over
a file that is there, and of a damaged bundle everything that is whole. A MEMBER may
be a folder (static/) or a pattern ('snapshots/*/proc/net/netstat').
With -o - the members go to standard output.`,
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
	return func(_ context.Context, args []string) error {
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
		if dir == "-" {
			return copyMembers(r, want, func(_ string, content io.Reader) error {
				_, err := io.Copy(os.Stdout, content)
				return err
			})
		}
		return unpack(r, dir, want)
	}
}

// unpack writes members below dir. It goes through os.Root, which no name can leave.
func unpack(r *format.Reader, dir string, want []string) error {
	folder := path.Base(r.Manifest.Name)
	if err := os.MkdirAll(path.Join(dir, folder), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	root, err := os.OpenRoot(path.Join(dir, folder))
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	return copyMembers(r, want, func(name string, content io.Reader) error {
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	})
}

// copyMembers gives each wanted member to write. A damaged member costs only what of it
// is missing.
func copyMembers(r *format.Reader, want []string, write func(name string, content io.Reader) error) error {
	errs := r.Damage()
	found := map[string]bool{}
	err := r.Walk(func(m format.Member, content io.Reader) error {
		pattern, ok := wanted(m.Name, want)
		if !ok {
			return nil
		}
		found[pattern] = true
		damage := &damageReader{r: content}
		if err := write(m.Name, damage); err != nil && damage.err == nil {
			return fmt.Errorf("extract member %q: %w", m.Name, err)
		}
		if damage.err != nil {
			errs = append(errs, damage.err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, pattern := range want {
		if !found[pattern] {
			return &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("extract member %q: it is not in the bundle", pattern), Hint: "spikebox inspect lists the members"}
		}
	}
	return damaged(errs)
}

// damageReader remembers that reading failed, so that it is not mistaken for an error
// of writing.
type damageReader struct {
	r   io.Reader
	err error
}

// Read reads on.
func (d *damageReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
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
