//go:build !linux

// Command spikeboxd is the armed flight recorder for network latency incidents. It
// records what the Linux kernel does, so it runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "spikeboxd: error: it records what the Linux kernel does, and runs on Linux only")
	fmt.Fprintln(os.Stderr, "spikeboxd: hint: bundles are analysed anywhere, with spikebox")
	os.Exit(1)
}
