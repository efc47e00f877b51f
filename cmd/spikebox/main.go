// Command spikebox explains what the flight recorder or a packet capture caught. It runs
// anywhere, and never needs root or a network.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	_ "time/tzdata" // for --tz, wherever this runs

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
		packetLines,
		show,
		explain,
		timelines,
		histogram,
		diff,
		replay,
		watch,
		status,
		trigger,
		drill,
	},
}

// writing is held by who writes files: an interrupt waits until they are whole, or gone.
// It is short: what takes long looks at its context.
var writing sync.Mutex

const (
	// enoughMemory is where garbage is collected at any cost, in bytes: what is kept of an input is
	// bounded to some 350 MiB, and 512 MiB is what the program promises to stay below.
	enoughMemory = 400 << 20
	// smallInput is up to how many bytes of files that is so. The tables of live connections may
	// grow with larger ones.
	smallInput = 64 << 20
)

// boundMemory sets the limit for the files among the arguments.
func boundMemory(args []string) {
	var size int64
	for _, path := range args {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
	}
	debug.SetMemoryLimit(enoughMemory + 4*max(0, size-smallInput))
}

func main() {
	boundMemory(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	go func() {
		<-ctx.Done()
		stop() // a second one ends at once, for a disk that hangs
		writing.Lock()
		os.Exit(cli.Interrupted)
	}()
	os.Exit(program.Main(ctx, os.Args[1:]))
}
