//go:build linux

package trace

import (
	"io"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/probe"
)

// WriteStacks writes stacks.pb.gz, a pprof profile of the kernel's stacks inside long
// softirqs: samples and the time they stand for, labelled by vector and CPU.
func (c *Cut) WriteStacks(w io.Writer) error {
	p := &profile.Profile{
		SampleType:    []*profile.ValueType{{Type: member.StackSamples, Unit: member.StackSamplesUnit}, {Type: member.StackTime, Unit: member.StackTimeUnit}},
		PeriodType:    &profile.ValueType{Type: member.StackTime, Unit: member.StackTimeUnit},
		Period:        int64(c.period),
		TimeNanos:     c.wall(c.start),
		DurationNanos: int64(c.end.Sub(c.start)),
	}
	b := builder{profile: p, symbols: c.symbols, locations: map[uint64]*profile.Location{}, functions: map[string]*profile.Function{}}
	for i := range c.stacks {
		s := &c.stacks[i]
		sample := &profile.Sample{
			Value:    []int64{1, int64(s.stands)},
			Label:    map[string][]string{member.StackVector: {probe.VectorName(int(s.vector))}},
			NumLabel: map[string][]int64{member.StackCPU: {int64(s.cpu)}},
		}
		for _, address := range c.interrupted(s.frames[:s.n]) {
			sample.Location = append(sample.Location, b.location(address))
		}
		p.Sample = append(p.Sample, sample)
	}
	return p.Write(w)
}

// interrupts are where the kernel is entered by one: x86, arm64 since 5.14 and before.
var interrupts = []string{"asm_sysvec_", "asm_common_interrupt", "el1h_64_irq", "el1_irq"}

// interrupted leaves out the frames of the interrupt that took a stack, where they are in it: those
// of the program that the timer's tick runs are, down to where the interrupt came in.
func (c *Cut) interrupted(frames []uint64) []uint64 {
	for i, address := range frames {
		name := c.symbols.Function(address)
		if slices.ContainsFunc(interrupts, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return frames[i+1:]
		}
		if probe.IsHandler(name) {
			break // what is behind the softirq is what that has interrupted
		}
	}
	return frames
}

// builder gives each address and function its number once.
type builder struct {
	profile   *profile.Profile
	symbols   *probe.Symbols
	locations map[uint64]*profile.Location
	functions map[string]*profile.Function
}

func (b *builder) location(address uint64) *profile.Location {
	if l := b.locations[address]; l != nil {
		return l
	}
	name := b.symbols.Function(address)
	f := b.functions[name]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.functions) + 1), Name: name, SystemName: name}
		b.functions[name] = f
		b.profile.Function = append(b.profile.Function, f)
	}
	l := &profile.Location{ID: uint64(len(b.locations) + 1), Address: address, Line: []profile.Line{{Function: f}}}
	b.locations[address] = l
	b.profile.Location = append(b.profile.Location, l)
	return l
}
