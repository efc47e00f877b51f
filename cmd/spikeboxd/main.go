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

// hangsUp says that SIGHUP may come from a terminal that is closed, and mean the end: a service has no terminal, and
// nohup(1) has it ignored, which lasts until the first [signal.Notify].
var hangsUp = !signal.Ignored(syscall.SIGHUP) && hasTerminal()

// hungUp says that it has: the kernel takes a terminal from its processes before it tells them (tty_signal_session_leader
// in drivers/tty/tty_jobctrl.c).
func hungUp() bool { return hangsUp && !hasTerminal() }

// hasTerminal says whether this process has a controlling terminal.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err == nil {
		tty.Close()
	}
	return err == nil
}

func main() {
	// A first signal ends what listens to it, a second one kills; run has rules of its own, for
	// what it may be writing.
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	go func() {
		<-ctx.Done()
		stop()
	}()
	os.Exit(program.Main(ctx, os.Args[1:]))
}
