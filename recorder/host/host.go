//go:build linux

// Package host says whose machine this is: its facts, its clocks and what became of them,
// and the network namespace that the recorder lives in.
package host

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// Facts describes this machine for the manifest.
func Facts() format.Host {
	h := format.Host{CPUs: runtime.NumCPU(), ClockTick: clockTick, NetNS: uint64(NetNS())}
	h.Name, _ = os.Hostname()
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		h.Kernel, h.Arch = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:])
	}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		h.BootID = strings.TrimSpace(string(id))
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		h.MemoryBytes = uint64(info.Totalram) * uint64(info.Unit)
	}
	return h
}

// clockTick is USER_HZ, which is 100 on every architecture that Go runs on
// (include/asm-generic/param.h).
const clockTick = 100

// NetNS is the inode of this process's network namespace, 0 where /proc does not say.
func NetNS() uint32 {
	link, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return 0
	}
	number := strings.TrimSuffix(strings.TrimPrefix(link, "net:["), "]")
	inode, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(inode)
}
