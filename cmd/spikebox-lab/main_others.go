//go:build !linux

// Command spikebox-lab makes incidents in Linux network namespaces. Elsewhere it only
// says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "spikebox-lab: error: it makes incidents in network namespaces, which only Linux has")
	os.Exit(1)
}
