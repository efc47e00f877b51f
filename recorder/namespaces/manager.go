//go:build linux

package namespaces

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/spikebox/spikebox/recorder/control"
)

// askMost is how long a recorder has to answer, which takes it a tick.
const askMost = 5 * time.Second

// report tells the service manager that all recorders are armed, and from then on that all of them that have a
// namespace answer, until ctx is done. The children tell it nothing: it heeds one process.
func (k *Keeper) report(ctx context.Context) {
	pace := time.Second
	patience, err := daemon.SdWatchdogEnabled(false)
	watched := err == nil && patience > 0
	if watched {
		pace = min(pace, patience/4)
	}
	ready := false
	for ctx.Err() == nil {
		if k.answer(ctx) {
			if !ready {
				ready = true
				k.mu.Lock()
				n := len(k.children)
				k.mu.Unlock()
				_, _ = daemon.SdNotify(false, fmt.Sprintf("%s\nSTATUS=armed in %d of %d network namespaces", daemon.SdNotifyReady, n, len(k.Targets)))
			}
			if watched {
				_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			}
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
		}
	}
}

// answer says whether every child that runs answers. One without a socket cannot be asked.
func (k *Keeper) answer(ctx context.Context) bool {
	k.mu.Lock()
	var running []Target
	for t := range k.children {
		running = append(running, t)
	}
	k.mu.Unlock()
	for _, t := range running {
		socket := k.Socket(t)
		if socket == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, askMost)
		_, _, err := control.Client{Socket: socket}.Status(ctx)
		cancel()
		if err != nil {
			return false
		}
	}
	return true
}
