// Command make writes every case of testdata/cases as a real bundle or capture: for a
// look at one with the tools, and for compare.sh.
//
//	go run ./analyzer/cases/make DIR
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spikebox/spikebox/analyzer/cases"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "make: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") { // a folder of that name was committed twice
		return fmt.Errorf("usage: go run ./analyzer/cases/make DIR")
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	all, err := cases.Load("testdata/cases")
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no cases in testdata/cases: run it from the repository's root")
	}
	for _, c := range all {
		if err != nil {
			break
		}
		_, err = c.Build(args[0])
	}
	return err
}
