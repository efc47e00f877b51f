//go:build linux

package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// impatience is how soon after a second signal a third ends the recorder at once.
const impatience = 5 * time.Second

// hear gives a context that a signal ends, with the signal's name as its cause, asks for
// a bundle at every SIGUSR1 and, where that is given, reloads at every SIGHUP that does not mean the end, until done is
// called. Before it, each of these signals kills.
func hear(ctx context.Context, requests chan<- format.Trigger, reload func(over <-chan struct{}) (ends bool), log *slog.Logger) (heard context.Context, done func()) {
	heard, cancel := context.WithCancelCause(ctx)
	fire, stop, again := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	over := make(chan struct{})
	signal.Notify(fire, unix.SIGUSR1)
	stops := []os.Signal{unix.SIGTERM, unix.SIGINT}
	if reload == nil {
		stops = append(stops, unix.SIGHUP)
	} else {
		signal.Notify(again, unix.SIGHUP)
		go heedReload(again, stop, reload, over)
	}
	signal.Notify(stop, stops...)
	go heedFire(fire, requests, over)
	go heedStop(stop, stops, cancel, log, over)
	return heard, func() {
		signal.Stop(fire)
		signal.Stop(stop)
		signal.Stop(again)
		close(over)
		cancel(nil)
	}
}

// heedFire asks for bundles. One that is asked for while the recorder is being armed waits.
func heedFire(fire <-chan os.Signal, requests chan<- format.Trigger, over <-chan struct{}) {
	for {
		select {
		case <-fire:
		case <-over:
			return
		}
		select {
		case requests <- format.Trigger{Kind: "signal", Reason: "SIGUSR1", Time: time.Now()}:
		case <-over:
			return
		}
	}
}

// heedReload reloads once for what comes while it does, or passes it on to stop.
func heedReload(again <-chan os.Signal, stop chan<- os.Signal, reload func(over <-chan struct{}) (ends bool), over <-chan struct{}) {
	for {
		select {
		case s := <-again:
			if !reload(over) {
				continue
			}
			select {
			case stop <- s:
			case <-over:
			}
		case <-over:
			return
		}
	}
}

// heedStop ends the recorder by cancel. Service managers send a second signal at once
// (SIGHUP behind SIGTERM), and people who wait send it too: it must not cost the bundle that
// they wait for. Whoever sends a third one soon after it means it.
func heedStop(stop chan os.Signal, stops []os.Signal, cancel context.CancelCauseFunc, log *slog.Logger, over <-chan struct{}) {
	for n := 1; ; n++ {
		var by string
		select {
		case s := <-stop:
			by = unix.SignalName(s.(syscall.Signal))
		case <-over:
			return
		}
		if n == 1 {
			cancel(errors.New("told to stop by " + by))
			continue
		}
		log.Info(fmt.Sprintf("told again to stop, by %s: what is pending is being finished; "+
			"once more within %v ends it at once, and loses the bundle", by, impatience))
		signal.Reset(stops...) // the next one does what the kernel does: it kills
		select {
		case <-time.After(impatience):
		case <-over:
			return
		}
		signal.Notify(stop, stops...)
	}
}
