//go:build linux

package hook

import (
	"os"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// collectAfter is how long what has ended must have been there: who waits for a program that it started
// takes it within that.
const collectAfter = 250 * time.Millisecond

// Adopt has the ends of orphans collected where this process is the first of a container, which no init is above: what
// commands leave in the background becomes its child, and would keep a process number each for ever. It
// returns at once.
func Adopt() {
	if os.Getpid() != 1 {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go func() {
		for range ended {
			for pid := endedChild(); pid != 0; pid = endedChild() {
				time.Sleep(collectAfter)
				if endedChild() == pid { // nobody waits for it
					_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
				}
			}
		}
	}()
}

// endedChild is a child that has ended, and was not collected; 0: there is none.
func endedChild() int {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil || info.Signo == 0 {
		return 0
	}
	// si_pid, which is behind three numbers and a gap on 64-bit systems (include/uapi/asm-generic/siginfo.h).
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
}
