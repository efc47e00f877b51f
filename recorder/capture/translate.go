//go:build linux

package capture

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	cbpf "golang.org/x/net/bpf"

	"github.com/spikebox/spikebox/bpf"
)

// Registers of a translated filter. Loads by the kernel want the context in R6, give their
// result in R0 and destroy R1 to R5 (include/uapi/linux/bpf.h, BPF_LD_ABS).
const (
	regA    = asm.R0
	regCtx  = asm.R6
	regX    = asm.R7
	regLane = asm.R9
)

// Offsets in struct __sk_buff (include/uapi/linux/bpf.h).
const (
	skbLen     = 0
	skbData    = 76
	skbDataEnd = 80
)

// farthest is up to where X is looked behind without the kernel's help. The verifier wants a
// bound; headers are closer to the start.
const farthest = 4096

// translate makes an eBPF function of a filter: int f(struct __sk_buff *, struct lane *). Instruction
// for instruction, as the kernel does with a socket's (net/core/filter.c, bpf_convert_filter), so
// that both ways of capturing keep the same of a packet. A load beyond the packet ends it with 0,
// in eBPF, too.
func translate(code []cbpf.Instruction) (asm.Instructions, error) {
	t := translator{reached: make([]bool, len(code)), target: make([]bool, len(code))}
	t.out = asm.Instructions{
		asm.Mov.Reg(regCtx, asm.R1),
		asm.Mov.Reg(regLane, asm.R2),
		asm.Mov.Imm(regA, 0), asm.Mov.Imm(regX, 0),
		asm.JNE.Imm(regLane, 0, "lane"), asm.Return(), // it never is: the verifier wants to see that
		asm.Mov.Imm(regA, 0).WithSymbol("lane"),
	}
	for n := range spill + 1 {
		t.out = append(t.out, asm.StoreMem(asm.RFP, scratch(n), regA, asm.DWord))
	}
	t.reached[0] = true
	for i, ins := range code {
		if !t.reached[i] {
			continue // eBPF refuses what is never run
		}
		begin := len(t.out)
		if err := t.instruction(i, ins); err != nil {
			return nil, err
		}
		if t.target[i] {
			t.out[begin] = t.out[begin].WithSymbol(place(i))
		}
	}
	return t.out, nil
}

// translator collects the translation. Jumps only go forward, so one pass knows what is reached.
type translator struct {
	out     asm.Instructions
	reached []bool // the instruction may be run
	target  []bool // it is jumped to
}

// place names the classic instruction i.
func place(i int) string { return fmt.Sprintf("filter_%d", i) }

// scratch is where the word n of the scratch memory lies, from the frame pointer.
func scratch(n int) int16 { return int16(-8 * (n + 1)) }

// emit adds instructions behind which i goes on.
func (t *translator) emit(i int, ins ...asm.Instruction) {
	t.out = append(t.out, ins...)
	t.reached[i+1] = true
}

// to is the label of the instruction skip behind the next.
func (t *translator) to(i, skip int) string {
	t.reached[i+1+skip], t.target[i+1+skip] = true, true
	return place(i + 1 + skip)
}

// laneX is the offset of x in struct lane.
const laneX = int16(unsafe.Offsetof(bpf.TapLane{}.X))

// spill is the word of the scratch memory that filters do not use.
const spill = asked + 1

var packetSizes = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word}

// load loads from a constant offset: in place where the packet lies in one piece that far, which
// is some instructions, and else by the kernel's help, which is a call.
func (t *translator) load(i int, off int32, size int) {
	t.inPlace(i, off, size, asm.LoadAbs(off, packetSizes[size]),
		asm.LoadMem(asm.R2, regCtx, skbData, asm.Word))
}

// loadX loads from behind X. The verifier must not know X where it becomes part of an address: it
// would follow every way to every X by itself, for seconds. What was in memory it does not know.
func (t *translator) loadX(i int, off int32, size int) {
	t.inPlace(i, off, size, asm.LoadInd(asm.R0, regX, off, packetSizes[size]),
		asm.StoreMem(regLane, laneX, regX, asm.Word),
		asm.LoadMem(asm.R1, regLane, laneX, asm.Word),
		asm.JGT.Imm(asm.R1, farthest, slowly(i)),
		asm.LoadMem(asm.R2, regCtx, skbData, asm.Word),
		asm.Add.Reg(asm.R2, asm.R1))
}

// inPlace loads from behind R2, which first sets, or runs otherwise.
func (t *translator) inPlace(i int, off int32, size int, otherwise asm.Instruction, first ...asm.Instruction) {
	t.out = append(t.out, first...)
	t.out = append(t.out,
		asm.LoadMem(asm.R3, regCtx, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R2), asm.Add.Imm(asm.R1, off+int32(size)),
		asm.JGT.Reg(asm.R1, asm.R3, slowly(i)),
		asm.LoadMem(asm.R0, asm.R2, int16(off), packetSizes[size]))
	if size > 1 {
		t.out = append(t.out, asm.HostTo(asm.BE, asm.R0, packetSizes[size]))
	}
	t.out = append(t.out,
		asm.Ja.Label(loaded(i)),
		otherwise.WithSymbol(slowly(i)),
		asm.Mov.Reg(asm.R0, asm.R0).WithSymbol(loaded(i)))
}

// slowly and loaded name places of a load.
func slowly(i int) string { return fmt.Sprintf("slow_%d", i) }
func loaded(i int) string { return fmt.Sprintf("loaded_%d", i) }

// instruction translates one.
func (t *translator) instruction(i int, ins cbpf.Instruction) error {
	switch v := ins.(type) {
	case cbpf.LoadConstant:
		dst := regA
		if v.Dst == cbpf.RegX {
			dst = regX
		}
		t.emit(i, asm.Mov.Imm32(dst, int32(v.Val)))
	case cbpf.LoadAbsolute:
		t.load(i, int32(v.Off), v.Size)
		t.reached[i+1] = true
	case cbpf.LoadIndirect:
		t.loadX(i, int32(v.Off), v.Size)
		t.reached[i+1] = true
	case cbpf.LoadMemShift:
		t.out = append(t.out, asm.StoreMem(asm.RFP, scratch(spill), regA, asm.DWord))
		t.load(i, int32(v.Off), 1)
		t.emit(i, asm.And.Imm32(asm.R0, 0x0f), asm.LSh.Imm32(asm.R0, 2), asm.Mov.Reg(regX, asm.R0),
			asm.LoadMem(regA, asm.RFP, scratch(spill), asm.DWord))
	case cbpf.LoadScratch:
		dst := regA
		if v.Dst == cbpf.RegX {
			dst = regX
		}
		t.emit(i, asm.LoadMem(dst, asm.RFP, scratch(v.N), asm.DWord))
	case cbpf.StoreScratch:
		t.emit(i, asm.StoreMem(asm.RFP, scratch(v.N), regA, asm.DWord))
	case cbpf.TXA:
		t.emit(i, asm.Mov.Reg(regA, regX))
	case cbpf.TAX:
		t.emit(i, asm.Mov.Reg(regX, regA))
	case cbpf.LoadExtension:
		if v.Num != cbpf.ExtLen {
			return fmt.Errorf("translate packet filter: no translation of %v", v)
		}
		t.emit(i, asm.LoadMem(regA, regCtx, skbLen, asm.Word))
	case cbpf.ALUOpConstant:
		op, err := operation(v.Op)
		if err != nil {
			return err
		}
		t.emit(i, op.Imm32(regA, int32(v.Val)))
	case cbpf.ALUOpX:
		op, err := operation(v.Op)
		if err != nil {
			return err
		}
		t.emit(i, op.Reg32(regA, regX))
	default:
		return t.control(i, ins)
	}
	return nil
}

// control translates what does not go on with the next instruction.
func (t *translator) control(i int, ins cbpf.Instruction) error {
	switch v := ins.(type) {
	case cbpf.Jump:
		t.out = append(t.out, asm.Ja.Label(t.to(i, int(v.Skip))))
	case cbpf.JumpIf:
		t.branch(i, v.Cond, int(v.SkipTrue), int(v.SkipFalse), func(op asm.JumpOp, label string) asm.Instruction {
			return op.Imm32(regA, int32(v.Val), label)
		})
	case cbpf.JumpIfX:
		t.branch(i, v.Cond, int(v.SkipTrue), int(v.SkipFalse), func(op asm.JumpOp, label string) asm.Instruction {
			return op.Reg32(regA, regX, label)
		})
	case cbpf.RetA:
		t.out = append(t.out, asm.Return())
	case cbpf.RetConstant:
		t.out = append(t.out, asm.Mov.Imm32(asm.R0, int32(v.Val)), asm.Return())
	default:
		return fmt.Errorf("translate packet filter: no translation of %T", ins)
	}
	return nil
}

// operation knows those that filter.go uses.
func operation(op cbpf.ALUOp) (asm.ALUOp, error) {
	known := map[cbpf.ALUOp]asm.ALUOp{
		cbpf.ALUOpAdd: asm.Add, cbpf.ALUOpSub: asm.Sub, cbpf.ALUOpAnd: asm.And,
		cbpf.ALUOpShiftLeft: asm.LSh, cbpf.ALUOpShiftRight: asm.RSh,
	}
	if same, ok := known[op]; ok {
		return same, nil
	}
	return 0, fmt.Errorf("translate packet filter: no translation of operation %#x", uint16(op))
}

// comparisons are eBPF's, and whether the classic one is true where eBPF's is not.
var comparisons = map[cbpf.JumpTest]struct {
	op      asm.JumpOp
	inverse bool
}{
	cbpf.JumpEqual: {asm.JEq, false}, cbpf.JumpNotEqual: {asm.JNE, false},
	cbpf.JumpGreaterThan: {asm.JGT, false}, cbpf.JumpLessThan: {asm.JLT, false},
	cbpf.JumpGreaterOrEqual: {asm.JGE, false}, cbpf.JumpLessOrEqual: {asm.JLE, false},
	cbpf.JumpBitsSet: {asm.JSet, false}, cbpf.JumpBitsNotSet: {asm.JSet, true},
}

// branch is a jump with two ways to go; eBPF's goes one, and on.
func (t *translator) branch(i int, cond cbpf.JumpTest, yes, no int, jump func(asm.JumpOp, string) asm.Instruction) {
	c := comparisons[cond]
	if c.inverse {
		yes, no = no, yes
	}
	if yes == no {
		t.out = append(t.out, asm.Ja.Label(t.to(i, yes)))
		return
	}
	t.out = append(t.out, jump(c.op, t.to(i, yes)))
	t.out = append(t.out, asm.Ja.Label(t.to(i, no)))
}

// replace puts body in place of the function name in a program.
func replace(program asm.Instructions, name string, body asm.Instructions) (asm.Instructions, error) {
	for begin := range program {
		fn := btf.FuncMetadata(&program[begin])
		if fn == nil || fn.Name != name {
			continue
		}
		end := begin + 1
		for end < len(program) && btf.FuncMetadata(&program[end]) == nil {
			end++
		}
		body[0].Metadata = program[begin].Metadata // its name, type and line
		out := append(asm.Instructions(nil), program[:begin]...)
		return append(append(out, body...), program[end:]...), nil
	}
	return nil, fmt.Errorf("find function %s in the program", name)
}
