// Package clitest holds what scripts of several commands need. Only tests import it.
package clitest

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// Code runs "code N COMMAND …" in a script and wants exactly that exit code: testscript's
// own "! exec" takes a crash for a usage error.
func Code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND …")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
