//go:build linux

package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
)

const (
	// addressSpace is what is reserved beside the rings, hardly any of it used: an armed recorder on a host at rest
	// has 1.9 to 2.2 GiB. The Go runtime ends a program that is refused some, with a stack of its own and not with a
	// sentence; below some 700 MiB it does so before the program begins.
	addressSpace = 3 << 30
	// residentMemory is what is used beside the rings on a host at rest: 30 to 40 MiB. With less the kernel kills,
	// at arming or at a bundle.
	residentMemory = 48 << 20
)

// addresses asks for the address space that a recorder takes; the error says which limit is in the way.
func addresses(ring int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("read limit of address space: %w", err)
	}
	return enoughAddresses(limit, ring, func(more unix.Rlimit) error { return unix.Setrlimit(unix.RLIMIT_AS, &more) })
}

// enoughAddresses raises a limit that this process may raise itself.
func enoughAddresses(limit unix.Rlimit, ring int, raise func(unix.Rlimit) error) error {
	want := uint64(addressSpace + ring)
	if limit.Cur >= want {
		return nil
	}
	if limit.Max >= want && raise(unix.Rlimit{Cur: limit.Max, Max: limit.Max}) == nil {
		return nil
	}
	return fmt.Errorf("reserve address space: it is limited to %s, and %s are wanted with rings of %s: limit memory instead (MemoryMax= in the unit), and not LimitAS= or ulimit -v",
		unit.Size(int64(limit.Cur)), unit.Size(int64(want)), unit.Size(int64(ring)))
}

// openFilesArmed is how many descriptors a recorder of one interface has: maps, programs and links of eBPF, kernel texts. By tcx it is 12
// more for each other interface.
const openFilesArmed = 150

// openFilesLeft is how many descriptors must be free once all is armed: some 15 of a bundle and its sources, 16 clients of each of both
// sockets, the command for a bundle; and an interface that comes takes 12.
const openFilesLeft = 64

// enoughOpenFiles says that so many descriptors are taken that no bundle could be written. The limit is the hard one, to which the Go
// runtime has raised the other.
func enoughOpenFiles(limit uint64, open int) error {
	if limit >= uint64(open+openFilesLeft) {
		return nil
	}
	return fmt.Errorf("keep files open: they are limited to %d, %d are open when it is armed, and a bundle and those who ask take up to %d more: raise the limit (LimitNOFILE= in the unit, ulimit -n)",
		limit, open, openFilesLeft)
}

// openFiles looks at those of this process. What cannot be known is no reason not to be armed.
func openFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil
	}
	all, err := os.ReadDir("/proc/self/fd")
	switch {
	case errors.Is(err, unix.EMFILE):
		return enoughOpenFiles(limit.Cur, int(limit.Cur))
	case err != nil:
		return nil
	}
	return enoughOpenFiles(limit.Cur, len(all)-1) // its own
}

// ringShare is the part of a machine's memory that rings may take: what they have the kernel cannot have back, and kills
// programs instead, whoever they are. One third is for those of a doctor beside an armed recorder, and one for everybody else.
const ringShare = 3

// greedy refuses rings that would leave too little of a machine's memory to others.
func greedy(machine uint64, ring int) error {
	if uint64(ring) <= machine/ringShare {
		return nil
	}
	return fmt.Errorf("use rings of %s: want at most a third of this host's memory of %s: what they take the kernel cannot have back, and it would kill other programs (--ring)",
		unit.Size(int64(ring)), unit.Size(int64(machine)))
}

// tight says that the memory of this process' cgroup is less than a recorder takes; empty where it is not.
func tight(limit uint64, ring int) string {
	want := uint64(residentMemory + ring)
	if limit >= want {
		return ""
	}
	return fmt.Sprintf("this cgroup's memory is limited to %s, and with rings of %s a recorder takes some %s on a host at rest: the kernel may kill it (MemoryMax=, or a container's limit)",
		unit.Size(int64(limit)), unit.Size(int64(ring)), unit.Size(int64(want)))
}

// memory says of both limits what doctor tells.
func memory(add func(name, state, text string), cfg *Config) {
	ring, _ := cfg.ringBytes()
	err := cmp.Or(greedy(host.Facts().MemoryBytes, ring), addresses(ring))
	text := tight(capture.CgroupLimit(cfg.Root), ring)
	switch {
	case err != nil:
		add("memory", Fault, err.Error())
	case text != "":
		add("memory", Warning, text)
	default:
		add("memory", Fine, fmt.Sprintf("no limit below what rings of %s and the rest take", unit.Size(int64(ring))))
	}
}

// descriptors says what doctor tells of their limit.
func descriptors(add func(name, state, text string)) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	if err := enoughOpenFiles(limit.Cur, openFilesArmed); err != nil {
		add("open files", Fault, err.Error())
	}
}

// limits refuses to be armed where the runtime would end it, or the kernel others, and warns where the kernel would.
func (c *Config) limits() error {
	ring, _ := c.ringBytes()
	if err := greedy(host.Facts().MemoryBytes, ring); err != nil {
		return err
	}
	if text := tight(capture.CgroupLimit(c.Root), ring); text != "" {
		c.Log.Warn(text)
	}
	return addresses(ring)
}
