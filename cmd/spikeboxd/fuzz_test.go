//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzSettings reads configurations. What is taken of one is a flag at a line of it, and what is refused names the file.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{
		"ring 128MiB\n# comment\n\ntrigger = syn_recv > 50 and rto > 3\n--once\nbefore=45s\n", "config other.conf", "rinng 1\nring", "before 1s\nbefore 2s",
		"=", "--", "trigger\r\nkmsg \xff\x00", strings.Repeat("x\n", 30),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var run runFlags
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		run.declare(flags)
		all, errs := parseSettings(flags, "x.conf", text)
		if len(errs) > wrongMost+1 || len(all) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d settings and %d errors", len(all), len(errs))
		}
		for _, err := range errs {
			if !strings.HasPrefix(err.Error(), "x.conf:") {
				t.Fatalf("error %q", err)
			}
		}
		for _, s := range all {
			flag := flags.Lookup(s.name)
			if flag == nil || s.name == "config" || len(s.values) == 0 || len(s.values) > 1 && !isList(flag) || !strings.HasPrefix(s.from, "x.conf:") {
				t.Fatalf("setting %+v", s)
			}
			if err := set(flags, s); err != nil && !strings.HasPrefix(err.Error(), s.from) {
				t.Fatalf("error %q", err)
			}
		}
		run.refusals(flags)
		cfg := run.config(flags)
		_ = cfg.Check()
	})
}
