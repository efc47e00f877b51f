//go:build linux

package recorder

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// signals asks for a bundle at every SIGUSR1, until the function it gives is called.
func signals(requests chan<- format.Trigger) (stop func()) {
	received, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(received, unix.SIGUSR1)
	go func() {
		for {
			select {
			case <-received:
			case <-done:
				return
			}
			select {
			case requests <- format.Trigger{Kind: "signal", Reason: "SIGUSR1", Time: time.Now()}:
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(received)
		close(done)
	}
}
