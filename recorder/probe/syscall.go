//go:build linux

package probe

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What is asked for at every tick is asked for here, since the library allocates for it: an
// os.File and its finalizer, an error at the end of a map.

// Commands of bpf(2) (include/uapi/linux/bpf.h, enum bpf_cmd).
const (
	bpfMapGetNextKey = 4
	bpfIterCreate    = 33
)

// createIter begins a pass of an iterator: see link.Iter.Open.
func createIter(link int) (fd int, err error) {
	attr := struct{ linkFD, flags uint32 }{linkFD: uint32(link)}
	r, _, errno := unix.Syscall(unix.SYS_BPF, bpfIterCreate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// nextKey puts m's key after the one before, or the first where that is nil, into key. ENOENT:
// there is none.
func nextKey[K any](m *ebpf.Map, before, key *K) error {
	attr := struct {
		fd, _      uint32
		after, key unsafe.Pointer
	}{fd: uint32(m.FD()), after: unsafe.Pointer(before), key: unsafe.Pointer(key)}
	_, _, errno := unix.Syscall(unix.SYS_BPF, bpfMapGetNextKey, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return errno
	}
	return nil
}
