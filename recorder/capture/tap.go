//go:build linux

package capture

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	tcx "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/recorder/host"
)

// tap is a ring that programs of ours fill, one at each direction of an interface
// (bpf/tap.bpf.c). The kernel overwrites the oldest block by itself, so that nothing need be
// done in time; a cut sets the number that no block may reach until it is written.
type tap struct {
	home *namespace
	kind linkKind
	plan tapPlan

	programs *ebpf.Collection
	links    []tcx.Link
	mapped   [][]byte // to be unmapped
	memory   []byte   // of the blocks
	lanes    []bpf.TapLane
	pool     *bpf.TapPool
	opened   host.Moment

	tally
	lost    uint64     // as collect read it last
	damaged uint64     // packets of blocks that were torn
	parts   []*tapPart // of an open cut

	packed    *history // what a cut would not keep any more; nil: nothing is packed
	guarded   bool     // something is: see guard
	stays     bool     // block next is guarded, and cannot be packed
	next      uint64   // number of the block that is packed next, or, where nothing is packed, of the first that is guarded
	head      uint64   // newest block when advance looked last
	looked    time.Time
	pause     time.Duration // until it must look again; 0: that does not matter
	taken     uint64        // packets that were packed, and those of them that are forgotten
	gone      uint64
	forgotten uint64 // time of the newest packet that is in no cut, CLOCK_MONOTONIC, ns

	walking  []walked // blocks that go on, see walk
	walkedTo uint64   // number of the newest that it knows
}

// tapPlan is how a tap's memory is cut into blocks.
type tapPlan struct{ size, blocks, cpus int }

const (
	maxTapBlock = 64 << 10
	// blocksPerCPU keeps the blocks that quiet CPUs have begun and do not fill below a quarter
	// of the memory: each begins one in an eighth of a round (stale).
	blocksPerCPU = 32
	// fewBlocksPerCPU is what a small ring must have, for the blocks in hand to be few of all.
	fewBlocksPerCPU = 8
)

// planTap cuts bytes into blocks of at most 64 KiB for so many CPUs.
func planTap(bytes, cpus int) (tapPlan, error) {
	p := tapPlan{maxTapBlock, 0, cpus}
	for bytes/p.size < max(minBlocks, blocksPerCPU*cpus) && p.size > smallestBlock() {
		p.size /= 2
	}
	p.blocks = bytes / p.size
	if least := max(minBlocks, fewBlocksPerCPU*cpus); p.blocks < least {
		return p, fmt.Errorf("%d KiB are too little for %d CPUs: at least %d KiB are needed", bytes>>10, cpus, least*p.size>>10)
	}
	return p, nil
}

// stale is after how many others a CPU leaves its block, full or not: else the times of one
// that is hardly used would reach from now to the oldest, and go with it.
func (p tapPlan) stale() int { return p.blocks / 8 }

// reserve is how many of the oldest blocks a cut leaves to what comes while it is written.
func (p tapPlan) reserve() int { return p.blocks / 4 }

// openTap makes a ring that is not bound to an interface yet. Where passing is nil, what passes is noted for
// nobody.
func openTap(home *namespace, l link, bytes int, f Filter, passing *Passing) (*tap, error) {
	if !l.bare() {
		return nil, &tapError{errors.New("its packets have a link header that is neither Ethernet's nor none")}
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, &tapError{err}
	}
	plan, err := planTap(bytes, cpus)
	if err != nil {
		return nil, &tapError{err}
	}
	if tooLarge(bytes) {
		return nil, &tapError{unix.ENOMEM}
	}
	t := &tap{home: home, kind: l.kind(), plan: plan, opened: host.Now()}
	if err := t.load(f, passing); err != nil {
		return nil, errors.Join(&tapError{err}, t.Close())
	}
	return t, nil
}

// load puts the programs and their maps into the kernel.
func (t *tap) load(f Filter, passing *Passing) error {
	spec, err := bpf.LoadTap()
	if err != nil {
		return fmt.Errorf("read programs: %w", err)
	}
	header := 0
	if t.kind == ethernet {
		header = ethernetHeader
	}
	for name, n := range map[string]int{
		bpf.TapVarBlockSize: t.plan.size, bpf.TapVarBlocks: t.plan.blocks, bpf.TapVarStale: t.plan.stale(),
		bpf.TapVarSnaplen: f.SnapLen, bpf.TapVarPayload: f.Payload, bpf.TapVarLinkHeader: header,
	} {
		if err := spec.Variables[name].Set(uint32(n)); err != nil {
			return fmt.Errorf("set constant %s: %w", name, err)
		}
	}
	blocks := spec.Maps[bpf.TapMapTapBlocks]
	blocks.ValueSize, blocks.MaxEntries = uint32(t.plan.size), uint32(t.plan.blocks)
	spec.Maps[bpf.TapMapTapLanes].MaxEntries = uint32(t.plan.cpus)
	code, err := f.compile(t.kind)
	if err != nil {
		return err
	}
	for _, prog := range spec.Programs {
		filter, err := translate(code)
		if err != nil {
			return err
		}
		if prog.Instructions, err = replace(prog.Instructions, "tap_filter", filter); err != nil {
			return err
		}
	}
	shared := map[string]*ebpf.Map{}
	if passing != nil {
		shared[bpf.TapMapTapPassing] = passing.table
		if err := spec.Variables[bpf.TapVarPassingSeed].Set(passing.seed); err != nil {
			return fmt.Errorf("set constant %s: %w", bpf.TapVarPassingSeed, err)
		}
	}
	t.programs, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: btf.NewCache(), MapReplacements: shared})
	if err != nil {
		return err
	}
	return t.share()
}

// share maps what the programs write into this process's memory.
func (t *tap) share() (err error) {
	if t.memory, err = t.mmap(bpf.TapMapTapBlocks, t.memoryBytes()); err != nil {
		return err
	}
	lanes, err := t.mmap(bpf.TapMapTapLanes, t.plan.cpus*int(unsafe.Sizeof(bpf.TapLane{})))
	if err != nil {
		return err
	}
	pool, err := t.mmap(bpf.TapMapTapPool, int(unsafe.Sizeof(bpf.TapPool{})))
	if err != nil {
		return err
	}
	t.lanes = unsafe.Slice((*bpf.TapLane)(unsafe.Pointer(unsafe.SliceData(lanes))), t.plan.cpus)
	t.pool = (*bpf.TapPool)(unsafe.Pointer(unsafe.SliceData(pool)))
	t.release()
	return nil
}

// mmap maps so many bytes of an array, in whole pages as the kernel does.
func (t *tap) mmap(name string, bytes int) ([]byte, error) {
	page := os.Getpagesize()
	b, err := unix.Mmap(t.programs.Maps[name].FD(), 0, (bytes+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", name, err)
	}
	t.mapped = append(t.mapped, b)
	return b, nil
}

func (t *tap) way() Way           { return TCX }
func (t *tap) why() string        { return "" }
func (t *tap) linkKind() linkKind { return t.kind }

// bytes counts what is packed, too, as if it were full.
func (t *tap) bytes() int {
	if t.packed != nil {
		return t.memoryBytes() + t.packed.most
	}
	return t.memoryBytes()
}

func (t *tap) room() (filled uint64, held int) {
	return atomic.LoadUint64(&t.pool.Head) * uint64(t.plan.size), (t.plan.blocks - t.plan.reserve()) * t.plan.size
}

func (t *tap) history() *history { return t.packed }

func (t *tap) memoryBytes() int { return t.plan.size * t.plan.blocks }

// bind attaches the programs before all others of the interface: these may end the way of a
// packet, and what comes after them does not see it. A loopback shows packets twice, and what
// arrives is all.
func (t *tap) bind(l link) error {
	t.unbind()
	ways := []struct {
		program string
		at      ebpf.AttachType
	}{{bpf.TapProgTapIngress, ebpf.AttachTCXIngress}, {bpf.TapProgTapEgress, ebpf.AttachTCXEgress}}
	if l.loopback() {
		ways = ways[:1]
	}
	return t.home.Do(func() error {
		for _, w := range ways {
			at, err := tcx.AttachTCX(tcx.TCXOptions{
				Interface: l.index, Program: t.programs.Programs[w.program], Attach: w.at, Anchor: tcx.Head()})
			if err != nil {
				t.unbind()
				return &OpenError{"attach " + w.program, l.name, err}
			}
			t.links = append(t.links, at)
		}
		if t.bound() != l.index { // it was removed meanwhile, and another may have got the rest
			t.unbind()
			return &OpenError{"attach tcx programs", l.name, unix.ENODEV}
		}
		return nil
	})
}

// bound asks the kernel, which takes the programs off an interface that is removed.
func (t *tap) bound() int {
	if len(t.links) == 0 {
		return 0
	}
	info, err := t.links[0].Info()
	if err != nil {
		return 0
	}
	return int(info.TCX().Ifindex)
}

// unbind takes the programs off. An interface that went to another namespace would carry them on.
func (t *tap) unbind() {
	for _, l := range t.links {
		l.Close()
	}
	t.links = nil
}

// collect adds up what the CPUs count.
func (t *tap) collect(now time.Time) {
	var sum Counters
	for i := range t.lanes {
		l := &t.lanes[i]
		sum.Packets += atomic.LoadUint64(&l.Packets)
		sum.Drops += atomic.LoadUint64(&l.Lost)
		sum.Overwritten += atomic.LoadUint64(&l.Overwritten)
	}
	t.losses.add(now, sum.Drops-t.lost)
	t.lost = sum.Drops
	sum.Drops += t.damaged
	if t.packed != nil {
		// What was packed is not overwritten yet, or is held all the same.
		sum.Overwritten = max(sum.Overwritten, t.taken) - t.taken + t.gone
		sum.Packed, sum.PackedBytes, sum.Unpacked = t.packed.packets(), t.packed.bytes, t.packed.skipped
	}
	t.stats = sum
}

// Close detaches the programs and gives the memory back.
func (t *tap) Close() error {
	t.unbind()
	var errs []error
	for _, b := range t.mapped {
		errs = append(errs, unix.Munmap(b))
	}
	t.mapped, t.memory, t.lanes, t.pool = nil, nil, nil, nil
	if t.programs != nil {
		t.programs.Close()
	}
	return errors.Join(errs...)
}

// moment is the reading of the clocks that puts the programs' times, which are of
// CLOCK_MONOTONIC, on a cut's clock.
func (t *tap) moment(clock *host.Past) host.Moment {
	if clock == nil {
		return t.opened
	}
	return clock.Base
}
