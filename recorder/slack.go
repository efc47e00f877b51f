//go:build linux

package recorder

import (
	"os"
	"strconv"
	"time"
)

// timerSlack is how late the kernel may wake a thread of the recorder whose time has come. No
// time of its own is finer than 10 ms. Go's runtime has a thread that looks every 20 µs whether
// others need help, for as long as a tick goes on: that was more than half of all wake-ups of an
// idle recorder, and a quarter of its CPU.
const timerSlack = time.Millisecond

// relax sets the slack of every thread, which those that are made later inherit (prctl(2),
// PR_SET_TIMERSLACK; fs/proc/base.c, Linux 4.6). To set another thread's takes CAP_SYS_NICE;
// without it nothing is lost but what it saves.
func relax() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, thread := range threads {
		// Not listed below task, but found by a thread's number, too.
		_ = os.WriteFile("/proc/"+thread.Name()+"/timerslack_ns", strconv.AppendInt(nil, int64(timerSlack), 10), 0)
	}
}
