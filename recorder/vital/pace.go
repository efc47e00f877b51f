//go:build linux

package vital

import "time"

// paceShare bounds what a dump of sockets may cost: it waits at least 200 times as long
// as the last one took, so that half a percent of one CPU is the most, however many
// sockets there are.
const paceShare = 200

// pace spaces out what is dear: dumps of sockets, not reads of counters.
type pace struct {
	every time.Duration // at the least
	next  time.Time
}

// run calls f where its time has come.
func (p *pace) run(now time.Time, f func() error) error {
	if now.Before(p.next) {
		return nil
	}
	start := time.Now()
	err := f()
	p.next = now.Add(max(p.every, paceShare*time.Since(start)))
	return err
}
