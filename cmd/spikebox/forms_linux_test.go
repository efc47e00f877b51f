//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every command gives the same of a bundle in whatever form it comes, also through a pipe, which can be read once only;
// or it says that it reads its input twice. It never takes what it has read itself for an empty file.
func TestInputForms(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a hundred commands")
	}
	plain, err := filepath.Abs("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	packed, folder := otherForms(t, plain)
	for _, c := range slices.Concat(worstBundle, [][]string{{"packets", "--flow", "1"}, {"packets", "--around", "trigger"}, {"diff", plain}}) {
		if c[0] == "watch" { // takes what arrives in a folder
			continue
		}
		want, code, _ := output(t, c, plain, nil)
		for _, form := range []string{"-", "/dev/fd/3", packed, folder} {
			var through []byte
			if !filepath.IsAbs(form) || form == "/dev/fd/3" {
				through = bundle
			}
			if through != nil && slices.Contains(c, "IN") { // nobody gives one pipe twice
				continue
			}
			switch got, gotCode, stderr := output(t, c, form, through); {
			case through != nil && gotCode == 2 && (strings.Contains(stderr, "twice") || strings.Contains(stderr, "only")):
			case gotCode != code:
				t.Errorf("%v of %s ends with code %d, of the file with %d: %s", c, form, gotCode, code, stderr)
			case got != want:
				t.Errorf("%v of %s prints %.200q, of the file %.200q", c, form, got, want)
			}
		}
	}
}

// otherForms gives the bundle as .tar.gz and as a folder.
func otherForms(t *testing.T, path string) (packed, folder string) {
	t.Helper()
	dir := t.TempDir()
	if _, code, stderr := output(t, []string{"extract", "-o", dir}, path, nil); code != 0 {
		t.Fatalf("extract: code %d: %s", code, stderr)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("extracted %v, %v", all, err)
	}
	packed = filepath.Join(t.TempDir(), "bundle.tar.gz")
	if out, err := exec.Command("tar", "-czf", packed, "-C", dir, filepath.Base(all[0])).CombinedOutput(); err != nil {
		t.Fatalf("pack: %v: %s", err, out)
	}
	return packed, all[0]
}

// output runs a command on an input, or on both of its inputs, with something on standard input and descriptor 3.
func output(t *testing.T, command []string, input string, through []byte) (stdout string, code int, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(command), input)
	for i := range args {
		switch args[i] {
		case "OUT":
			args[i] = t.TempDir()
		case "IN":
			args[i] = input
		}
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "spikebox"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if through != nil {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		go func() {
			defer w.Close()
			_, _ = w.Write(through) // a command that refuses its input reads none of it
		}()
		if cmd.ExtraFiles = []*os.File{r}; input == "-" {
			cmd.Stdin, cmd.ExtraFiles = r, nil
		}
	}
	_ = cmd.Run() // by its code
	// What differs is its path, and in which order a folder has its members.
	if input == "-" {
		input = "standard input"
	}
	lines := strings.Split(strings.ReplaceAll(out.String(), input, "INPUT"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n"), cmd.ProcessState.ExitCode(), errs.String()
}
