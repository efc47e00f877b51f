package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// hinted is an error of another package that says what helps.
type hinted struct{ error }

func (hinted) Hint() string { return "load the module" }

// tool is a program with one subcommand, which ends with what it was made with; ran gets its
// arguments and what --size was.
func tool(end error, ran *string) *Program {
	return &Program{
		Name: "tool", Doc: "does one thing",
		Commands: []*Command{{
			Name: "work", Args: "FILE [--size SIZE]", Doc: "do it", Long: "It is done at once.", Examples: []string{"tool work a --size 1MiB"},
			Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
				size := Bytes(1 << 10)
				flags.Var(&size, "size", "how much of it")
				return func(_ context.Context, args []string) error {
					*ran = fmt.Sprint(args, " ", size.String())
					return end
				}
			},
		}},
	}
}

// said runs a program and gives its exit code and what went to standard output and error.
func said(t *testing.T, p *Program, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	oldOut, oldErr := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = oldOut, oldErr }()
	dir := t.TempDir()
	var texts [2]string
	for i, file := range []**os.File{&os.Stdout, &os.Stderr} {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		*file = f
	}
	code = p.Main(context.Background(), args)
	for i := range texts {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return code, texts[0], texts[1]
}

const workPage = `tool work FILE [--size SIZE]

do it

It is done at once.

Flags:
      --size size   how much of it (default 1KiB)

Examples:
  tool work a --size 1MiB

` + ExitCodes + "\n"

const overview = `tool: does one thing

  work        do it
  help        this list, or one subcommand's flags and examples
  version     print the version, and what it was built from and runs on
  completion  print what bash, zsh or fish completes command lines by
  manual      print the manual page, for man -l -

tool help SUBCOMMAND explains one.
` + ExitCodes + "\n"

// Each of several errors has a line, whoever joined them; a sentence about two is one.
func TestErrorsHaveALineEach(t *testing.T) {
	a, b, c := errors.New("a is wrong"), errors.New("b is wrong"), errors.New("c is wrong")
	ran := ""
	end := Refuse("read the page", a, errors.Join(b, nil, errors.Join(c)), fmt.Errorf("%w, as %w", a, b))
	code, _, stderr := said(t, tool(end, &ran), "work")
	want := "tool: error: a is wrong\ntool: error: b is wrong\ntool: error: c is wrong\ntool: error: a is wrong, as b is wrong\ntool: hint: read the page\n"
	if code != Usage || stderr != want {
		t.Errorf("code %d, %q, want %q", code, stderr, want)
	}
}

// What each command line says, where, and how it ends.
func TestCommandLines(t *testing.T) {
	for line, want := range map[string]struct {
		code           int
		stdout, stderr string
		ran            string
	}{
		"work a b --size 2MiB": {Done, "", "", "[a b] 2MiB"},
		"work":                 {Done, "", "", "[] 1KiB"},
		"work -- --size":       {Done, "", "", "[--size] 1KiB"},
		"help":                 {Done, overview, "", ""},
		"--help":               {Done, overview, "", ""},
		"-h":                   {Done, overview, "", ""},
		"help work":            {Done, workPage, "", ""},
		"work --help":          {Done, workPage, "", ""},
		"work -h":              {Done, workPage, "", ""},
		"":                     {Usage, "", overview + "tool: error: a subcommand is missing\n", ""},
		"--size 1MiB":          {Usage, "", overview + "tool: error: a subcommand is missing\n", ""},
		"play":                 {Usage, "", "tool: error: no such subcommand \"play\"\ntool: hint: tool help lists them\n", ""},
		"help play":            {Usage, "", "tool: error: no such subcommand \"play\"\ntool: hint: tool help lists them\n", ""},
		"work --colour":        {Usage, "", "tool: error: unknown flag: --colour\ntool: hint: tool help work lists the flags\n", ""},
		"work --size 5":        {Usage, "", "tool: error: --size: size \"5\": want a unit, such as 64MiB\ntool: hint: tool help work lists the flags\n", ""},
	} {
		ran := ""
		code, stdout, stderr := said(t, tool(nil, &ran), strings.Fields(line)...)
		if code != want.code || stdout != want.stdout || stderr != want.stderr || ran != want.ran {
			t.Errorf("tool %s: exit code %d, want %d; ran with %q, want %q\nstdout %q\n  want %q\nstderr %q\n  want %q",
				line, code, want.code, ran, want.ran, stdout, want.stdout, stderr, want.stderr)
		}
	}
}

// The subcommand that is meant where none is named takes flags without its name.
func TestDefault(t *testing.T) {
	ran := ""
	p := tool(nil, &ran)
	p.Default = "work"
	for line, want := range map[string]string{"": "[] 1KiB", "--size 1MiB": "[] 1MiB", "work x": "[x] 1KiB"} {
		if code, _, stderr := said(t, p, strings.Fields(line)...); code != Done || ran != want {
			t.Errorf("tool %s: exit code %d, ran with %q, want %q; %s", line, code, ran, want, stderr)
		}
	}
	if _, stdout, _ := said(t, p, "help"); !strings.Contains(stdout, "\n  work        do it (the default)\n") {
		t.Errorf("help:\n%s", stdout)
	}
	if _, stdout, _ := said(t, p, "help", "work"); !strings.HasPrefix(stdout, "tool [work] FILE [--size SIZE]\n") {
		t.Errorf("help work:\n%s", stdout)
	}
	if code, _, _ := said(t, p, "x"); code != Usage {
		t.Errorf("an argument without the subcommand's name: exit code %d, want %d", code, Usage)
	}
}

// How a command ends decides the exit code; an error is said once, with what helps.
func TestExitCodes(t *testing.T) {
	wrong := errors.New("open x: no such file")
	for name, c := range map[string]struct {
		end    error
		code   int
		stderr string
	}{
		"done":                        {nil, Done, ""},
		"error":                       {wrong, Failed, "tool: error: open x: no such file\n"},
		"usage":                       {Usagef("top %d: want at least 1", 0), Usage, "tool: error: top 0: want at least 1\n"},
		"missing, nothing to say":     {&Coded{Code: Missing}, Missing, ""},
		"damaged, nothing to say":     {&Coded{Code: Damaged}, Damaged, ""},
		"code, error and hint":        {&Coded{Damaged, wrong, "copy it again"}, Damaged, "tool: error: open x: no such file\ntool: hint: copy it again\n"},
		"hint alone":                  {&Coded{Code: Missing, Hint: "look elsewhere"}, Missing, "tool: hint: look elsewhere\n"},
		"wrapped":                     {fmt.Errorf("write report: %w", &Coded{Code: Missing, Err: wrong}), Missing, "tool: error: write report: open x: no such file\n"},
		"hint of another package":     {fmt.Errorf("arm: %w", hinted{wrong}), Failed, "tool: error: arm: open x: no such file\ntool: hint: load the module\n"},
		"the command's hint is first": {&Coded{Failed, hinted{wrong}, "ask"}, Failed, "tool: error: open x: no such file\ntool: hint: ask\n"},
		"interrupted":                 {fmt.Errorf("read: %w", context.Canceled), Interrupted, ""},
	} {
		ran := ""
		code, stdout, stderr := said(t, tool(c.end, &ran), "work")
		if code != c.code || stdout != "" || stderr != c.stderr {
			t.Errorf("%s: exit code %d, want %d; stdout %q; stderr %q, want %q", name, code, c.code, stdout, stderr, c.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "v1.2.3"
	ran := ""
	facts := regexp.MustCompile(`^tool v1\.2\.3\n  commit  [^\n]+\n  built   by go1[^ ]* for \w+/\w+\n  runs    on [^\n]*\d[^\n]*, \d+ CPUs\n  reads   bundles up to format 1\n$`)
	for _, arg := range []string{"version", "--version"} {
		if code, stdout, stderr := said(t, tool(nil, &ran), arg); code != Done || !facts.MatchString(stdout) || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", arg, code, stdout, stderr)
		}
	}
	if b := Build("tool"); b.Program != "tool" || b.Version != "v1.2.3" || !strings.HasPrefix(b.Go, "go") {
		t.Errorf("%+v", b)
	}
}

// Whatever a line quotes, it is one line and shows itself: an operator's reason, a file's
// name, the kernel log.
func TestSay(t *testing.T) {
	p := tool(fmt.Errorf("triggered: \x1b[31m\u202e%s\n\u009b2Jspikeboxd: all is well", "kmsg"), new(string))
	if _, stdout, stderr := said(t, p, "work"); stdout != "" || stderr != `tool: error: triggered: \u001b[31m\u202ekmsg\u000a\u009b2Jspikeboxd: all is well`+"\n" {
		t.Errorf("%q, %q", stdout, stderr)
	}
}
