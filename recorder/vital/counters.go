//go:build linux

package vital

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

// counters are /proc/net/netstat, snmp and snmp6, read once a tick for all meters that want some
// of them: to print one takes the kernel a look at each counter of each CPU. A meter that finds the
// texts being read waits with them: where one hangs, its meters do.
type counters struct {
	root string

	mu    sync.Mutex
	users int
	texts []*counterText
	at    time.Time // tick of the values
	err   error
	sums  map[string]float64 // of wanted counters
}

// counterText is one of the texts.
type counterText struct {
	path   string
	absent bool // is no error: a kernel without IPv6
	file   *procfs.File
	names  []string
	pick   func(text []byte) ([]float64, error)
}

// wantedCounters are those that any meter wants, "GROUP NAME" of netstat and snmp, "NAME" of snmp6.
func wantedCounters() (names []string) {
	for _, v := range tcpVitals {
		names = append(append(append(names, v.counters...), v.less...), v.of...)
	}
	return slices.Concat(names, echoCounters, heardCounter, crowdCounters, delivered, taken, datagramsIn, datagramsOut)
}

func newCounters(root string) *counters {
	c := &counters{root: root, sums: map[string]float64{}}
	var grouped, single []string
	for _, name := range wantedCounters() {
		if _, known := c.sums[name]; known {
			continue
		}
		c.sums[name] = 0
		if strings.Contains(name, " ") {
			grouped = append(grouped, name)
		} else {
			single = append(single, name)
		}
	}
	c.texts = []*counterText{
		{path: "proc/net/netstat", names: grouped, pick: kerneltext.NewPicker(grouped).Pick},
		{path: "proc/net/snmp", names: grouped, pick: kerneltext.NewPicker(grouped).Pick},
		{path: "proc/net/snmp6", absent: true, names: single, pick: pickNamed(single)},
	}
	return c
}

// pickNamed is Picker's Pick for snmp6.
func pickNamed(names []string) func([]byte) ([]float64, error) {
	raw, values := make([][]byte, len(names)), make([]float64, len(names))
	for i, name := range names {
		raw[i] = []byte(name)
	}
	return func(text []byte) (_ []float64, err error) {
		for i, name := range raw {
			if values[i], err = kerneltext.Named(text, name); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
}

// open opens the texts for one more user.
func (c *counters) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.texts {
		if t.file != nil {
			continue
		}
		file, err := procfs.Open(c.root, t.path)
		if t.absent && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return errors.Join(err, c.release(0))
		}
		t.file = file
	}
	c.users++
	return nil
}

func (c *counters) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.release(1)
}

// release closes the texts when nobody uses them any more.
func (c *counters) release(users int) error {
	var errs []error
	if c.users -= users; c.users > 0 {
		return nil
	}
	for _, t := range c.texts {
		if t.file != nil {
			errs = append(errs, t.file.Close())
			t.file = nil
		}
	}
	return errors.Join(errs...)
}

// read gives the sums of some wanted counters at a tick: into[i] of names[i]. One that this kernel
// does not have is 0.
func (c *counters) read(now time.Time, names [][]string, into []uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Equal(c.at) {
		c.at, c.err = now, c.add()
	}
	if c.err != nil {
		return c.err
	}
	for i, sum := range names {
		into[i] = 0
		for _, name := range sum {
			into[i] += uint64(c.sums[name])
		}
	}
	return nil
}

// add reads all texts.
func (c *counters) add() error {
	clear(c.sums)
	for _, t := range c.texts {
		if t.file == nil {
			continue
		}
		text, err := t.file.Read()
		if err != nil {
			return err
		}
		values, err := t.pick(text)
		if err != nil {
			return fmt.Errorf("parse %s: %w", t.file.Name(), err)
		}
		for i, v := range values {
			c.sums[t.names[i]] += v
		}
	}
	return nil
}
