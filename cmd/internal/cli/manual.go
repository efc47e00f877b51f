package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// manual writes the program's page in man(7)'s language, from the literals that help prints.
func (p *Program) manual(w io.Writer) error {
	page := &roff{}
	page.macro("TH", strings.ToUpper(p.Name), p.section(), "", "spikebox "+Build(p.Name).Version, "")
	page.macro("SH", "NAME")
	page.text(p.Name + " - " + p.Doc)
	page.macro("SH", "SYNOPSIS")
	for _, c := range p.Commands {
		page.literal(c.synopsis(p))
	}
	page.macro("SH", "SUBCOMMANDS")
	for _, c := range p.Commands {
		page.command(c)
	}
	page.macro("SH", "EXIT STATUS")
	page.text(strings.TrimPrefix(ExitCodes, "Exit codes: "))
	_, err := io.WriteString(w, page.String())
	return err
}

// section is 8 for what a system runs, and 1 for what its users do.
func (p *Program) section() string {
	if strings.HasSuffix(p.Name, "d") {
		return "8"
	}
	return "1"
}

func (r *roff) command(c *Command) {
	r.macro("SS", c.Name)
	r.text(c.Doc + ".")
	if c.Long != "" {
		r.macro("PP")
		r.literal(c.Long)
	}
	c.flags().VisitAll(func(f *pflag.Flag) {
		kind, doc := pflag.UnquoteUsage(f)
		r.macro("TP")
		r.text(strings.TrimSpace(`\fB--`+f.Name+`\fR `+kind), true)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			doc += " (default " + f.DefValue + ")"
		}
		r.text(doc)
	})
	for _, example := range c.Examples {
		r.macro("PP")
		r.literal(example)
	}
}

// roff is text in man(7)'s language.
type roff struct{ strings.Builder }

// escapes are for what roff takes for its own. A hyphen would become another character.
var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "'", `\(aq`)

func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		fmt.Fprintf(r, ` "%s"`, escapes.Replace(a))
	}
	r.WriteByte('\n')
}

// text writes a paragraph. Marked holds requests of its own, \fB and \fR.
func (r *roff) text(s string, marked ...bool) {
	if len(marked) == 0 {
		s = escapes.Replace(s)
	} else {
		s = strings.ReplaceAll(s, "-", `\-`)
	}
	// A dot at a line's start would be a macro; \& is no character.
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		r.WriteString(line + "\n")
	}
}

// literal writes lines as they are.
func (r *roff) literal(s string) {
	r.macro("nf")
	r.text(s)
	r.macro("fi")
}
