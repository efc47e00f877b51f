package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// Inspection is `inspect --json`: the manifest and its members.
type Inspection struct {
	*format.Manifest
	Members []Member `json:"members"`
	Damage  []string `json:"damage"`
}

// Member is a file of the bundle; its sum is empty where SHA256SUMS lacks it.
type Member struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Complete bool   `json:"complete"`
}

// Inspect asks a bundle that is open, whole or damaged.
func Inspect(r *format.Reader) *Inspection {
	all := &Inspection{Manifest: r.Manifest, Members: []Member{}, Damage: []string{}}
	for _, m := range r.Members() {
		all.Members = append(all.Members, Member{m.Name, m.Size, m.SHA256, m.Complete})
	}
	for _, err := range r.Damage() {
		all.Damage = append(all.Damage, err.Error())
	}
	return all
}

// Text prints what a person wants to know first.
func (i *Inspection) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, text string, args ...any) {
		fmt.Fprintln(t, plain.Row(name, fmt.Sprintf(text, args...)))
	}
	row("bundle", "%s, format %d", i.Name, i.Format)
	row("recorder", "%s %s", i.Recorder.Program, i.Recorder.Version)
	row("host", "%s, Linux %s %s, %d CPUs, %s", i.Host.Name, i.Host.Kernel, i.Host.Arch, i.Host.CPUs, unit.Size(int64(i.Host.MemoryBytes)))
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
		fmt.Fprintln(t, plain.Row(s.Name, string(s.State), s.Variant, lost, s.Reason))
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
func (i *Inspection) members(w io.Writer) error {
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
		// A search and no map: some dozen names stand for thousands of files, in the bundle's order.
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
		fmt.Fprintln(t, plain.Row(g.name, unit.Size(g.bytes), remark))
	}
	return t.Flush()
}
