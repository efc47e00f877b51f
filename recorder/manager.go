//go:build linux

package recorder

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// manager tells the service manager how the recorder is, as sd_notify(3) has it; where there is
// none it does nothing. It speaks beside the loop, which must not wait for a manager that hangs.
type manager struct {
	queue *lines
	pace  time.Duration // of signs of life; 0: none are wanted
	last  time.Time     // of them
}

func newManager() *manager {
	m := &manager{queue: newLines(nil)}
	// Half of what it waits, as sd_watchdog_enabled(3) recommends.
	if patience, err := daemon.SdWatchdogEnabled(false); err == nil {
		m.pace = patience / 2
	}
	return m
}

// tell has a state told soon.
func (m *manager) tell(state string) {
	m.queue.put(func() {
		// Where nobody hears it nothing is lost but the manager's own view.
		_, _ = daemon.SdNotify(false, state)
	})
}

// alive says, each time that half of the manager's patience is over, that the loop goes on.
func (m *manager) alive(now time.Time) {
	if m.pace > 0 && now.Sub(m.last) >= m.pace {
		m.last = now
		m.tell(daemon.SdNotifyWatchdog)
	}
}

// armed says that it records, and what systemctl status shows of it.
func (m *manager) armed(r *Recorder) {
	if r.stopping {
		return
	}
	m.tell(fmt.Sprintf("%s\nSTATUS=armed on %s by %d triggers; %d bundles written, %d lost",
		daemon.SdNotifyReady, r.interfaces(), len(r.watched()), r.written, r.lost))
}

// stopping says that it ends, which may take as long as a bundle.
func (m *manager) stopping() { m.tell(daemon.SdNotifyStopping) }

// close waits for what is to be said.
func (m *manager) close() { m.queue.flush(flushMost) }
