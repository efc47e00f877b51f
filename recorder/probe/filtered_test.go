//go:build linux

package probe

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Container engines' profiles let bpf(2) not reach the kernel, with one number or another: it is they that are named, and no
// capability, memory limit or kernel option.
func TestSeccompFilterIsNamed(t *testing.T) {
	testns.New(t) // only for its gate
	if callFiltered() {
		t.Skip("these tests run under such a filter themselves")
	}
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		refused := make(chan error)
		go func() {
			runtime.LockOSThread() // a filter is its thread's, for ever: it ends with it
			if err := filterBPF(errno); err != nil {
				refused <- err
				return
			}
			_, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
			refused <- refuse("rtt", err)
		}()
		err := <-refused
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Cause != Privilege || !strings.Contains(r.Reason, "a seccomp filter refuses bpf(2)") {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// filterBPF has the calling thread's bpf(2) answered with an error.
func filterBPF(errno unix.Errno) error {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4}, // struct seccomp_data, nr
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_BPF, SkipFalse: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
