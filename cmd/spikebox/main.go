// Command spikebox explains what the flight recorder or a packet capture caught. It runs
// anywhere, and never needs root or a network.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"

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

// writing is held by who writes files: an interrupt waits until they are whole, or gone.
// It is short: what takes long looks at its context.
var writing sync.Mutex

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	go func() {
		<-ctx.Done()
		stop() // a second one ends at once, for a disk that hangs
		writing.Lock()
		os.Exit(cli.Interrupted)
	}()
	os.Exit(program.Main(ctx, os.Args[1:]))
}
