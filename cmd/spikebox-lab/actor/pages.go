//go:build linux

package actor

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var pages = &Actor{
	Name: "pages",
	Doc:  "reads pages of a file again and again, as a database does whose memory is too small",
	run:  readPages,
}

// Pages is what the pages actor is told at its start. It begins at the command "begin".
type Pages struct {
	Comm    string `json:"comm"`
	File    string `json:"file"` // made, and removed
	Bytes   int    `json:"bytes"`
	Threads int    `json:"threads"`
}

// readPages reads a file without a single block, so that no disk has to do anything: what is thrown
// away of it is filled with zeros again.
func readPages(ctx context.Context, c *Cue) error {
	var p Pages
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	f, err := os.OpenFile(p.File, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(p.File)
	if err := f.Truncate(int64(p.Bytes)); err != nil {
		return err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, p.Bytes, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s into memory: %w", p.File, err)
	}
	c.ready("")
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	var begun sync.Once
	err = c.commands(func(verb, _ string) error {
		if verb != "begin" {
			return fmt.Errorf("no such command %q", verb)
		}
		begun.Do(func() {
			for range p.Threads {
				readers.Go(func() { touch(ctx, memory) })
			}
		})
		return nil
	})
	cancel()
	readers.Wait()
	return err
}

// touched keeps the compiler from leaving the reading out.
var touched atomic.Uint32

// touch reads a byte of each page, round after round.
func touch(ctx context.Context, memory []byte) {
	for page := os.Getpagesize(); ctx.Err() == nil; {
		var sum uint32
		for at := 0; at < len(memory) && ctx.Err() == nil; at += page {
			sum += uint32(memory[at])
		}
		touched.Add(sum)
	}
}
