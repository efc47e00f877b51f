package cli

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// hostile is a program whose literals hold what shells and roff take for their own.
func hostile() *Program {
	return &Program{Name: "toold", Doc: "it's a 'tool': $(touch x) \\ [y]", Default: "run", Commands: []*Command{
		{Name: "run", Doc: "run: it's `the` default", Long: ".hidden macro\n'and another\nback\\slash", Args: "[FLAG …]", Examples: []string{"toold --a-flag 'x'"},
			Setup: func(f *pflag.FlagSet) func(context.Context, []string) error {
				f.String("a-flag", "x", "what's $(this): \"a [thing]\"")
				f.Bool("switch", false, "on; off")
				return nil
			}},
		{Name: "show", Doc: "show", First: []string{"kmsg", "sockets"}, Setup: func(f *pflag.FlagSet) func(context.Context, []string) error {
			f.Bool("json", false, "as JSON")
			return nil
		}},
	}}
}

// What bash proposes for a command line that ends in a word.
func TestBashCompletion(t *testing.T) {
	var script bytes.Buffer
	if err := hostile().completion(&script, []string{"bash"}); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"toold ":             "run show help version completion manual",
		"toold s":            "show",
		"toold --":           "--a-flag --switch", // of the default
		"toold show --":      "--json",
		"toold run x --s":    "--switch",
		"toold help sh":      "show",
		"toold completion z": "zsh",
		"toold show ":        "kmsg sockets",
		"toold show s":       "sockets",
		"toold show kmsg b":  "", // a file
		"toold show bundle-": "",
	} {
		words := strings.Split(line, " ")
		call := "COMP_WORDS=('" + strings.Join(words, "' '") + "'); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _toold; echo ${COMPREPLY[@]}"
		out, err := exec.Command("bash", "-c", script.String()+"\n"+call).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q, want %q (%v)", line, got, want, err)
		}
	}
}

// What fish proposes, where it is installed.
func TestFishCompletion(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip("fish is not installed")
	}
	var script bytes.Buffer
	if err := hostile().completion(&script, []string{"fish"}); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"toold sh":           "show",
		"toold --a":          "--a-flag", // of the default
		"toold --switch --a": "--a-flag",
		"toold run --a":      "--a-flag",
		"toold show --":      "--json",
		"toold show k":       "kmsg",
		"toold help sh":      "show",
	} {
		out, err := exec.Command("fish", "--no-config", "-c", script.String()+"\ncomplete -C '"+line+"'").CombinedOutput()
		var got []string
		for proposal := range strings.Lines(string(out)) {
			name, _, _ := strings.Cut(strings.TrimSpace(proposal), "\t")
			got = append(got, name)
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%q completes to %q, want %q (%v)", line, got, want, err)
		}
	}
}

// Other shells parse theirs, where they are installed.
func TestCompletionParses(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var script bytes.Buffer
		if err := hostile().completion(&script, []string{shell}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(script.String(), "a-flag") {
			t.Errorf("%s: no flag in it", shell)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		parse := exec.Command(path, "-n", "/dev/stdin")
		parse.Stdin = &script
		if out, err := parse.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v %s", shell, err, out)
		}
	}
	if err := hostile().completion(new(bytes.Buffer), []string{"tcsh"}); err == nil {
		t.Error("tcsh: no error")
	}
}

// No text of the literals is taken for a macro, and every flag is there.
func TestManual(t *testing.T) {
	var page bytes.Buffer
	if err := hostile().manual(&page); err != nil {
		t.Fatal(err)
	}
	known := " .TH .SH .SS .PP .TP .nf .fi "
	for line := range strings.SplitSeq(page.String(), "\n") {
		if macro, _, _ := strings.Cut(line, " "); strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(known, " "+macro+" ") {
			t.Errorf("line %q begins a macro", line)
		}
	}
	for _, want := range []string{`.TH "TOOLD" "8"`, `\&.hidden macro`, `\(aqand another`, `back\eslash`, `\fB\-\-a\-flag\fR string`, `(default x)`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, page.String())
		}
	}
}
