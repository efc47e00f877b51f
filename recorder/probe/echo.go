//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spikebox/spikebox/bpf"
)

var echoProbe = Probe{
	ID:      "echo",
	Doc:     "how long this host takes to answer an ICMP echo request, from protocol stack to device queue",
	Attach:  []string{"tp_btf/netif_receive_skb", "tp_btf/net_dev_queue"},
	Needs:   tracing,
	Without: "this host's share of a ping's time while armed; captured packets still show it",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.Echo, err = openEcho(s.hub, o)
		return s.Echo, "", err
	},
}

// Echo is the armed probe of answers to ICMP echo requests.
type Echo struct {
	mu        sync.Mutex // of what is attached: the meter watches beside whoever sheds
	forbidden bool
	loaded    *loaded
	cpus      *shared[bpf.EchoEchoes]
	seen      []bpf.SoftirqDurations // by CPU, at the last Read
}

// openEcho loads the probe for a namespace, and tries whether it can be attached.
func openEcho(h hub, o Options) (*Echo, error) {
	spec, err := bpf.LoadEcho()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe echo: %w", err)
	}
	l, err := load(h, wanted{id: "echo", spec: spec, vars: map[string]any{bpf.EchoVarNetns: o.NetNS},
		perCPU: []string{bpf.EchoMapEchoCpu}, idle: true})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.attach(), l.detach()); err != nil {
		return nil, errors.Join(refuse("echo", err), l.Close())
	}
	cpus, err := share[bpf.EchoEchoes](l.Maps[bpf.EchoMapEchoCpu])
	if err != nil {
		return nil, errors.Join(refuse("echo", err), l.Close())
	}
	return &Echo{loaded: l, cpus: cpus, seen: make([]bpf.SoftirqDurations, len(cpus.slots))}, nil
}

// Watch attaches the programs, or takes them off: they look at every packet that comes or
// goes, four runs for a request of HTTP and its answer, which nobody should pay for a host
// that is never pinged. Asked again for what is, it does nothing.
func (e *Echo) Watch(on bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case on && e.forbidden:
		return nil
	case on == (len(e.loaded.links) > 0):
		return nil
	case on:
		return e.loaded.attach()
	}
	return e.loaded.detach()
}

// Read puts the delays of the echo replies sent since the last Read into *into, which
// it overwrites.
func (e *Echo) Read(into *Durations) error {
	*into = Durations{}
	if e.cpus.slots == nil {
		return fmt.Errorf("read probe echo: %w", os.ErrClosed)
	}
	var d Durations
	for i := range e.cpus.slots {
		now := &e.cpus.slots[i].Delay
		if d.sinceLast(&e.seen[i], (*bpf.SoftirqDurations)(now)) {
			into.Merge(&d)
		}
	}
	return nil
}

// Close disarms the probe.
func (e *Echo) Close() error { return errors.Join(e.cpus.Close(), e.loaded.Close()) }
