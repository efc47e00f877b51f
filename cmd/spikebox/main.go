// Command spikebox explains what the flight recorder or a packet capture caught. It runs
// anywhere, and never needs root or a network.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var program = &cli.Program{
	Name: "spikebox",
	Doc:  "says what happened, what caused what, and what can be ruled out",
	Commands: []*cli.Command{
		analyze,
		inspect,
		verify,
		extract,
		flows,
		explain,
		timelines,
		histogram,
		replay,
		status,
		trigger,
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	go func() {
		<-ctx.Done()
		stop()
		os.Exit(cli.Interrupted) // nothing is ever half under a final name
	}()
	os.Exit(program.Main(ctx, os.Args[1:]))
}
