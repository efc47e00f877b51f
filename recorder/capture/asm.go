//go:build linux

package capture

import (
	"fmt"
	"math"

	"golang.org/x/net/bpf"
)

// maxInstructions is the kernel's limit (BPF_MAXINSNS, include/uapi/linux/bpf_common.h).
const maxInstructions = 4096

// label is a place in an assembly; jumps go to it, and it is placed after them.
type label int

// assembly collects classic BPF whose jumps name labels.
type assembly struct {
	code   []step
	places map[label]int
	next   label
}

// step is an instruction, and where it jumps to, if it does: its offsets are filled in when all are known.
type step struct {
	bpf.Instruction
	to label
}

// newAssembly begins a program.
func newAssembly() *assembly { return &assembly{places: map[label]int{}} }

// emit adds instructions that do not jump.
func (a *assembly) emit(ins ...bpf.Instruction) {
	for _, i := range ins {
		a.code = append(a.code, step{i, 0})
	}
}

// label makes a label that is placed later.
func (a *assembly) label() label {
	a.next++
	return a.next
}

// place puts l here.
func (a *assembly) place(l label) { a.places[l] = len(a.code) }

// jump goes to a label.
func (a *assembly) jump(to label) { a.code = append(a.code, step{bpf.Jump{}, to}) }

// jumpIf goes to a label where A compares so with v.
func (a *assembly) jumpIf(cond bpf.JumpTest, v uint32, to label) {
	a.code = append(a.code, step{bpf.JumpIf{Cond: cond, Val: v}, to})
}

// jumpIfLessX goes to a label where A is less than X.
func (a *assembly) jumpIfLessX(to label) {
	a.code = append(a.code, step{bpf.JumpIfX{Cond: bpf.JumpLessThan}, to})
}

// assemble gives the program: what is reached of it, in as few instructions as the offsets of its jumps allow, for
// kernels before 6.8 have little room for it (see errTooLong).
func (a *assembly) assemble() (code []bpf.Instruction, err error) {
	sizes, err := a.reached()
	if err != nil {
		return nil, err
	}
	at := a.shrink(sizes)
	for i, s := range a.code {
		skip := at[a.places[s.to]] - at[i] - 1 // from the next
		switch {
		case sizes[i] == 0:
		case s.to == 0:
			code = append(code, s.Instruction)
		default:
			code = append(code, jumps(s.Instruction, skip, sizes[i])...)
		}
	}
	if len(code) > maxInstructions {
		return nil, fmt.Errorf("build packet filter of %d instructions: the kernel takes %d; give fewer ports or peers",
			len(code), maxInstructions)
	}
	return code, nil
}

// reached gives how many instructions each step takes at most: none for what no way leads to, and two for a
// conditional jump, whose own offset has only 8 bits.
func (a *assembly) reached() (sizes []int, err error) {
	sizes = make([]int, len(a.code)+1)
	sizes[0] = 1
	for i, s := range a.code {
		if sizes[i] == 0 {
			continue
		}
		if s.to != 0 {
			place, ok := a.places[s.to]
			if !ok || place <= i {
				return nil, fmt.Errorf("build packet filter: jump at %d goes nowhere", i)
			}
			sizes[place] = 1
		}
		switch s.Instruction.(type) {
		case bpf.Jump, bpf.RetA, bpf.RetConstant:
		case bpf.JumpIf, bpf.JumpIfX:
			sizes[i], sizes[i+1] = 2, 1
		default:
			sizes[i+1] = 1
		}
	}
	return sizes, nil
}

// shrink takes what jumps do not need, until nothing more is to be had, and gives where each step is then. What shrinks brings
// others nearer, and takes none further away.
func (a *assembly) shrink(sizes []int) (at []int) {
	at = make([]int, len(sizes))
	for again := true; again; {
		again = false
		for i := range a.code {
			at[i+1] = at[i] + sizes[i]
		}
		for i, s := range a.code {
			skip := at[a.places[s.to]] - at[i] - sizes[i]
			_, always := s.Instruction.(bpf.Jump)
			if always && sizes[i] == 1 && skip == 0 || sizes[i] == 2 && skip <= math.MaxUint8 {
				sizes[i]--
				again = true
			}
		}
	}
	return at
}

// jumps is a jump over so many instructions behind the first.
func jumps(ins bpf.Instruction, skip, size int) []bpf.Instruction {
	far := []bpf.Instruction{bpf.Jump{Skip: uint32(skip - 1)}}
	switch j := ins.(type) {
	case bpf.JumpIf:
		if size == 1 {
			j.SkipTrue = uint8(skip)
			return []bpf.Instruction{j}
		}
		j.SkipFalse = 1
		return append([]bpf.Instruction{j}, far...)
	case bpf.JumpIfX:
		if size == 1 {
			j.SkipTrue = uint8(skip)
			return []bpf.Instruction{j}
		}
		j.SkipFalse = 1
		return append([]bpf.Instruction{j}, far...)
	}
	return []bpf.Instruction{bpf.Jump{Skip: uint32(skip)}}
}
