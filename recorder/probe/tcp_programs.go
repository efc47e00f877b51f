//go:build linux

package probe

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

// tcpProbe is a probe of bpf/tcp.bpf.c.
type tcpProbe struct {
	id       string
	since    string   // variable: ktime since when it is armed
	fits     string   // constant: whether this kernel takes it
	programs []string // that do some of its work
}

// tcpProbes are all, in the order in which they are shed: what is first also asks most of a kernel.
var tcpProbes = []tcpProbe{
	{"response", bpf.TcpVarResponseSince, bpf.TcpVarResponseFits, []string{bpf.TcpProgTcpSegment, bpf.TcpProgTcpState, bpf.TcpProgTcpAgain}},
	{"rtt", bpf.TcpVarRttSince, bpf.TcpVarRttFits, []string{bpf.TcpProgTcpSegment, bpf.TcpProgTcpState}},
	{"state", bpf.TcpVarStateSince, bpf.TcpVarStateFits, []string{bpf.TcpProgTcpState}},
}

// tcpPrograms are the programs that these probes share. Each is attached while one of its
// probes is armed.
type tcpPrograms struct {
	mu      sync.Mutex // of what is armed: the meter asks beside whoever sheds
	loaded  *loaded    // nil where all are refused
	refused map[string]error
	armed   map[string]bool
	looked  looked
}

// loadTCP loads what this kernel takes: while it refuses, one probe after the other is left out.
func loadTCP(h hub, o Options) *tcpPrograms {
	p := &tcpPrograms{refused: map[string]error{}, armed: map[string]bool{}}
	cpus, _ := onlineCPUs() // where it is not known, as if there were one
	p.looked.cpus = max(1, len(cpus))
	for _, t := range tcpProbes {
		l, err := p.load(h, o, t.id)
		if err == nil {
			p.loaded = l
			break
		}
		p.refused[t.id] = err
	}
	return p
}

// load tries it without those that are refused.
func (p *tcpPrograms) load(h hub, o Options, id string) (*loaded, error) {
	spec, err := bpf.LoadTcp()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe %s: %w", id, err)
	}
	vars := map[string]any{bpf.TcpVarNetns: o.NetNS}
	if o.LateRTT > 0 {
		vars[bpf.TcpVarLateUs] = uint32(min(o.LateRTT/time.Microsecond, math.MaxUint32))
	}
	for _, t := range tcpProbes {
		if p.refused[t.id] != nil {
			vars[t.fits] = uint32(0)
		}
	}
	maps.DeleteFunc(spec.Programs, func(program string, _ *ebpf.ProgramSpec) bool {
		return worksFor(program, func(id string) bool { return p.refused[id] == nil }) == 0
	})
	return load(h, wanted{id: id, spec: spec, vars: vars, idle: true,
		perCPU: []string{bpf.TcpMapRttSamples, bpf.TcpMapTcpTransitions, bpf.TcpMapResponseTimes}})
}

// worksFor counts the probes, of those that are meant, that a program works for.
func worksFor(program string, meant func(id string) bool) (n int) {
	for _, t := range tcpProbes {
		if meant(t.id) && slices.Contains(t.programs, program) {
			n++
		}
	}
	return n
}

// armTCP arms one of the probes, and gives its counts.
func armTCP[T any](s *Set, id, counts string, o Options) (*tcpPrograms, *shared[T], error) {
	if s.tcp == nil {
		s.tcp = loadTCP(s.hub, o)
		s.armed = append(s.armed, s.tcp)
	}
	if err := s.tcp.refused[id]; err != nil {
		return nil, nil, err
	}
	cpus, err := share[T](s.tcp.loaded.Maps[counts])
	if err != nil {
		return nil, nil, refuse(id, err)
	}
	if err := s.tcp.arm(id, true); err != nil {
		return nil, nil, errors.Join(refuse(id, err), cpus.Close())
	}
	return s.tcp, cpus, nil
}

// arm has the programs do a probe's work, or not any more.
func (p *tcpPrograms) arm(id string, on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.turn(id, on)
	if err != nil && on {
		err = errors.Join(err, p.turn(id, false))
	}
	return err
}

// turn says it to the programs, and attaches those that are needed now, and no others.
func (p *tcpPrograms) turn(id string, on bool) error {
	if on == p.armed[id] {
		return nil
	}
	p.armed[id] = on
	var now unix.Timespec
	if on {
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
		}
	}
	since := tcpProbes[slices.IndexFunc(tcpProbes, func(t tcpProbe) bool { return t.id == id })].since
	if err := p.loaded.Variables[since].Set(uint64(now.Nano())); err != nil {
		return fmt.Errorf("set variable %s: %w", since, err)
	}
	for program := range p.loaded.Programs {
		change := p.loaded.detach
		if worksFor(program, p.isArmed) > 0 {
			change = p.loaded.attach
		}
		if err := change(program); err != nil {
			return err
		}
	}
	return nil
}

func (p *tcpPrograms) isArmed(id string) bool { return p.armed[id] }

// among gives the programs that work for a probe while it is armed, and for how many in all.
func (p *tcpPrograms) among(id string) map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	programs := map[string]int{}
	for _, t := range tcpProbes {
		for _, program := range t.programs {
			if t.id == id && p.armed[id] && p.loaded.Programs[program] != nil {
				programs[program] = worksFor(program, p.isArmed)
			}
		}
	}
	return programs
}

// Close unloads the programs.
func (p *tcpPrograms) Close() error {
	if p.loaded == nil {
		return nil
	}
	return p.loaded.Close()
}
