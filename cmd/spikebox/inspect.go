package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var inspect = &cli.Command{
	Name:     "inspect",
	Args:     "BUNDLE [--json]",
	Doc:      "say what is in a bundle: host, trigger, sources, members",
	Examples: []string{"spikebox inspect web1.spike.tar.zst", "spikebox inspect --json web1.spike.tar.zst | jq .sources"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		asJSON := flags.Bool("json", false, "print the manifest with the members as JSON")
		return func(_ context.Context, args []string) error {
			if len(args) > 1 {
				return cli.Usagef("inspect takes one bundle, not %d", len(args))
			}
			return runInspect(args, *asJSON)
		}
	},
}

// inspection is `inspect --json`: the manifest and its members.
type inspection struct {
	*format.Manifest
	Members []inspected `json:"members"`
	Damage  []string    `json:"damage"`
}

// inspected is a file of the bundle; its sum is empty where SHA256SUMS lacks it.
type inspected struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Complete bool   `json:"complete"`
}

// runInspect prints also what a damaged bundle says of itself, and then the damage.
func runInspect(args []string, asJSON bool) error {
	r, err := openBundle(args)
	if err != nil {
		return err
	}
	defer r.Close()
	all := inspection{Manifest: r.Manifest, Members: []inspected{}, Damage: []string{}}
	for _, m := range r.Members() {
		all.Members = append(all.Members, inspected{m.Name, m.Size, m.SHA256, m.Complete})
	}
	for _, err := range r.Damage() {
		all.Damage = append(all.Damage, err.Error())
	}
	if asJSON {
		err = writeJSON(os.Stdout, all)
	} else {
		err = all.text(os.Stdout)
	}
	if err != nil {
		return err
	}
	return damaged(r.Damage())
}

// text prints what a person wants to know first.
func (i *inspection) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, text string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, report.Plain(fmt.Sprintf(text, args...)))
	}
	row("bundle", "%s, format %d", i.Name, i.Format)
	row("recorder", "%s %s", i.Recorder.Program, i.Recorder.Version)
	row("host", "%s, Linux %s %s, %d CPUs, %s", i.Host.Name, i.Host.Kernel, i.Host.Arch, i.Host.CPUs, size(int64(i.Host.MemoryBytes)))
	row("trigger", "%s at %s", triggerText(i.Trigger), i.Trigger.Time.UTC().Format(time.RFC3339Nano))
	row("window", "%s to %s (%.1f s before the trigger, %.1f s after)", i.Window.Start.UTC().Format(time.RFC3339), i.Window.End.UTC().Format("15:04:05Z"),
		i.Window.Trigger.Sub(i.Window.Start).Seconds(), i.Window.End.Sub(i.Window.Trigger).Seconds())
	for _, warning := range i.Warnings {
		row("warning", "%s", warning)
	}
	fmt.Fprintf(t, "\nSOURCE\tSTATE\tHOW\tLOST\tREMARK\n")
	for _, s := range i.Sources {
		lost := ""
		if s.Lost > 0 {
			lost = fmt.Sprintf("%d %s", s.Lost, s.Unit)
		}
		fmt.Fprintln(t, strings.Join([]string{report.Plain(s.Name), report.Plain(string(s.State)), report.Plain(s.Variant), report.Plain(lost), report.Plain(s.Reason)}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return i.members(w)
}

// triggerText says in a word why the rings were cut.
func triggerText(t format.Trigger) string {
	switch {
	case t.Expr != "":
		return t.Expr
	case t.Reason != "":
		return t.Kind + " (" + t.Reason + ")"
	}
	return t.Kind
}

// members prints single members by themselves and folders as one line.
func (i *inspection) members(w io.Writer) error {
	type group struct {
		name   string
		files  int
		bytes  int64
		broken int
	}
	var groups []*group
	for _, m := range i.Members {
		name := m.Name
		if folder, _, ok := strings.Cut(name, "/"); ok {
			name = folder + "/"
		}
		at := slices.IndexFunc(groups, func(g *group) bool { return g.name == name })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &group{name: name})
		}
		g := groups[at]
		g.files++
		g.bytes += m.Bytes
		if !m.Complete {
			g.broken++
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nMEMBER\tSIZE\tREMARK\n")
	for _, g := range groups {
		remark := ""
		if g.files > 1 || strings.HasSuffix(g.name, "/") {
			remark = fmt.Sprintf("%d files", g.files)
		}
		if g.broken > 0 {
			remark = strings.TrimPrefix(remark+fmt.Sprintf(", %d damaged", g.broken), ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", g.name, size(g.bytes), remark)
	}
	return t.Flush()
}
