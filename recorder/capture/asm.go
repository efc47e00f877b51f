//go:build linux

package capture

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// maxInstructions is the kernel's limit (BPF_MAXINSNS, include/uapi/linux/bpf_common.h).
const maxInstructions = 4096

// label is a place in an assembly; jumps go to it, and it is placed after them.
type label int

// assembly collects classic BPF whose jumps name labels. A conditional jump to a
// label takes two instructions, because its own offset has only 8 bits.
type assembly struct {
	code   []bpf.Instruction
	jumps  map[int]label // index of a bpf.Jump: where it goes
	places map[label]int
	next   label
}

// newAssembly begins a program.
func newAssembly() *assembly {
	return &assembly{jumps: map[int]label{}, places: map[label]int{}}
}

// emit adds instructions that do not jump.
func (a *assembly) emit(ins ...bpf.Instruction) { a.code = append(a.code, ins...) }

// label makes a label that is placed later.
func (a *assembly) label() label {
	a.next++
	return a.next
}

// place puts l here.
func (a *assembly) place(l label) { a.places[l] = len(a.code) }

// jump goes to a label.
func (a *assembly) jump(to label) {
	a.jumps[len(a.code)] = to
	a.emit(bpf.Jump{})
}

// jumpIf goes to a label where A compares so with v.
func (a *assembly) jumpIf(cond bpf.JumpTest, v uint32, to label) {
	a.emit(bpf.JumpIf{Cond: cond, Val: v, SkipFalse: 1})
	a.jump(to)
}

// jumpIfLessX goes to a label where A is less than X.
func (a *assembly) jumpIfLessX(to label) {
	a.emit(bpf.JumpIfX{Cond: bpf.JumpLessThan, SkipFalse: 1})
	a.jump(to)
}

// assemble fills in the jumps.
func (a *assembly) assemble() ([]bpf.Instruction, error) {
	if len(a.code) > maxInstructions {
		return nil, fmt.Errorf("build packet filter of %d instructions: the kernel takes %d; give fewer ports or peers",
			len(a.code), maxInstructions)
	}
	for at, to := range a.jumps {
		place, ok := a.places[to]
		if !ok || place <= at {
			return nil, fmt.Errorf("build packet filter: jump at %d goes nowhere", at)
		}
		a.code[at] = bpf.Jump{Skip: uint32(place - at - 1)}
	}
	return a.code, nil
}
