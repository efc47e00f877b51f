//go:build linux

package actor

import (
	"context"
	"runtime"
	"time"
)

var burn = &Actor{
	Name: "burn",
	Doc:  "keeps CPUs busy, as a compiler does",
	run:  keepBusy,
}

// Burn is what the burn actor is told at its start.
type Burn struct {
	Comm    string        `json:"comm"`
	Threads int           `json:"threads"`
	For     time.Duration `json:"for"` // 0: until stopped
}

// keepBusy spins on as many threads as it is told.
func keepBusy(ctx context.Context, c *Cue) error {
	var p Burn
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	runtime.GOMAXPROCS(p.Threads + 1) // one to hear that it shall stop
	end := time.Now().Add(p.For)
	for range p.Threads {
		go func() {
			for ctx.Err() == nil && (p.For == 0 || time.Now().Before(end)) {
				for n := range 1 << 16 {
					_ = n
				}
			}
		}()
	}
	c.ready("")
	return c.commands(nil)
}
