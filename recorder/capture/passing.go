//go:build linux

package capture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

const (
	// passingWait is after how long an attempt that passes again has somebody waiting: a SYN is
	// repeated after a second, a little less by the jiffy.
	passingWait = 900 * time.Millisecond
	// passingTold is for how long a repetition counts: they lie a second apart, then two, then more.
	passingTold = 5 * time.Second
	// serviceKept is for how long a service counts that has answered: what a scan found open once is
	// nobody's upstream an hour later.
	serviceKept = 15 * time.Minute
)

// Passing is what the programs of all interfaces note of handshakes that this host forwards
// (bpf/passing.h). It has a fixed size, and is safe for concurrent use.
type Passing struct {
	mu      sync.Mutex
	table   *ebpf.Map
	memory  []byte
	seed    uint64 // of the programs' hashes
	noted   *bpf.TapPassing
	clients map[client]bool // of the last reading
}

// client is who waits for a service that answers others, on one side of a translation.
type client struct{ hash, side uint32 }

// NewPassing makes the table, or says why this kernel has no programs that would fill it.
func NewPassing() (*Passing, error) {
	if err := canTap(); err != nil {
		return nil, err
	}
	spec, err := bpf.LoadTap()
	if err != nil {
		return nil, fmt.Errorf("read programs: %w", err)
	}
	p := &Passing{seed: rand.Uint64(), clients: map[client]bool{}}
	if p.table, err = ebpf.NewMap(spec.Maps[bpf.TapMapTapPassing]); err != nil {
		return nil, &tapError{err}
	}
	size, page := int(unsafe.Sizeof(bpf.TapPassing{})), os.Getpagesize()
	p.memory, err = unix.Mmap(p.table.FD(), 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %s into memory: %w", bpf.TapMapTapPassing, err), p.table.Close())
	}
	p.noted = (*bpf.TapPassing)(unsafe.Pointer(unsafe.SliceData(p.memory)))
	return p, nil
}

// Waiting counts the connections through this host whose SYN was repeated, and not answered, within
// the last seconds: all of those to a service that has answered nobody since they began, and one
// for each client of others, by whom a single one may be banned. Where addresses are
// translated both sides show the same ones, and the larger counts. Services that never answered do not.
func (p *Passing) Waiting() (int, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted == nil {
		return 0, fmt.Errorf("read what passes: %w", os.ErrClosed)
	}
	if atomic.LoadUint64(&p.noted.Forwards) == 0 { // most hosts: there are 4,096 places to look at, four times a second
		return 0, nil
	}
	clear(p.clients)
	var sides [2]int
	for i := range p.noted.Attempts {
		a := &p.noted.Attempts[i]
		if atomic.LoadUint32(&a.Tag) == 0 {
			continue
		}
		side, last := a.Side&1, atomic.LoadUint64(&a.Last)
		s := &p.noted.Services[a.Service%uint32(len(p.noted.Services))]
		answered := atomic.LoadUint64(&s.Answered)
		switch {
		case last-a.First < uint64(passingWait), uint64(now.Nano())-last > uint64(passingTold),
			s.Tag != a.ServiceTag, uint64(now.Nano())-answered > uint64(serviceKept):
			continue
		case answered > a.First:
			who := client{a.Client, side}
			if p.clients[who] {
				continue
			}
			p.clients[who] = true
		}
		sides[side]++
	}
	return max(sides[0], sides[1]), nil
}

// Refused counts the attempts that a RST has answered, of services that had answered before.
func (p *Passing) Refused() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted == nil {
		return 0
	}
	return max(atomic.LoadUint64(&p.noted.Refused[0]), atomic.LoadUint64(&p.noted.Refused[1]))
}

// Close gives the memory back. Programs that fill the table keep it.
func (p *Passing) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(unix.Munmap(p.memory), p.table.Close())
	p.memory, p.noted = nil, nil
	return err
}
