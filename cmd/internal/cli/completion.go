package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/pflag"

	_ "embed"
)

//go:embed completion.bash
var bash string

//go:embed completion.zsh
var zsh string

//go:embed completion.fish
var fish string

// completion writes what a shell completes the program's command line by, from the literals that help prints.
func (p *Program) completion(w io.Writer, args []string) error {
	scripts := map[string]string{"bash": bash, "zsh": zsh, "fish": fish}
	if len(args) != 1 || scripts[args[0]] == "" {
		return &Coded{Code: Usage, Err: fmt.Errorf("completion wants the name of one shell: bash, zsh or fish"),
			Hint: "source <(" + p.Name + " completion bash)"}
	}
	script, err := template.New(args[0]).Funcs(template.FuncMap{
		"flags": (*Command).flagList, "quote": quote, "colon": func(s string) string { return strings.ReplaceAll(s, ":", `\:`) },
		"value": value, "join": strings.Join, "usage": func(f *pflag.Flag) string { _, usage := pflag.UnquoteUsage(f); return usage },
		"seen": seen, "bracket": strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace,
	}).Parse(scripts[args[0]])
	if err != nil {
		return err
	}
	return script.Execute(w, p)
}

// quote makes a word of a shell's, which single quotes end; in fish they are told by a backslash, too.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "’") + "'" }

// seen is fish's condition for a subcommand: that the line has it, or, of what is meant where none is named, that it has no other.
func seen(p *Program, name string) string {
	if name != p.Default {
		return "__fish_seen_subcommand_from " + name
	}
	var others []string
	for _, c := range slices.Concat(p.Commands, p.Builtin()) {
		if c.Name != name {
			others = append(others, c.Name)
		}
	}
	return "not __fish_seen_subcommand_from " + strings.Join(others, " ")
}

// value is what zsh says of a flag's value; a switch has none.
func value(f *pflag.Flag) string {
	if f.NoOptDefVal != "" {
		return ""
	}
	return ":" + f.Value.Type() + ":_files"
}

// flags declares the command's flags, for those who only list them.
func (c *Command) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	flags.SortFlags = false
	if c.Setup != nil {
		c.Setup(flags)
	}
	return flags
}

func (c *Command) flagList() (all []*pflag.Flag) {
	c.flags().VisitAll(func(f *pflag.Flag) { all = append(all, f) })
	return all
}
