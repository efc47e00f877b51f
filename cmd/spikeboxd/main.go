//go:build linux

// Command spikeboxd is the armed flight recorder for network latency incidents.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var program = &cli.Program{
	Name:     "spikeboxd",
	Doc:      "stays armed; a trigger cuts a bundle that holds the seconds before it",
	Default:  "run",
	Commands: []*cli.Command{run, check, vitals, sources, doctor, calibrate},
}

func main() {
	// A first signal ends what listens to it, a second one kills; run has rules of its own, for
	// what it may be writing.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-ctx.Done()
		stop()
	}()
	os.Exit(program.Main(ctx, os.Args[1:]))
}
