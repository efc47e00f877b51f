//go:build linux

package source

import (
	"os"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/format/member"
)

func TestReadProcess(t *testing.T) {
	root := t.TempDir()
	// The name is whatever the process likes: blanks and parentheses too.
	write(t, root, "stat", "42 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 11 22 0 0 20 0 5 0 999 1000 33 18446744073709551615 1 1\n")
	got, err := readProcess(root + "/stat")
	want := member.ProcessUse{Comm: "a) b (c)", State: "S", PPID: 7, UTime: 11, STime: 22, Threads: 5, Start: 999, RSSPages: 33}
	if err != nil || got != want {
		t.Errorf("read %+v (%v), want %+v", got, err, want)
	}
	for _, text := range []string{"", "42 (x", "42 (x) S 1", "42 (x) S 7 1 1 0 -1 0 0 0 0 0 a b 0 0 20 0 5 0 999 1000 33 1"} {
		write(t, root, "stat", text)
		if _, err := readProcess(root + "/stat"); err == nil {
			t.Errorf("%q was taken for a process", text)
		}
	}
	self, err := readProcess("/proc/self/stat")
	if err != nil || !strings.Contains(os.Args[0], strings.TrimSuffix(self.Comm, ".test")) || self.Threads == 0 {
		t.Errorf("this process: %+v (%v)", self, err)
	}
}

// TestRunDelay sums up all threads: the first of a Go program is idle for most of its life, and another one waits.
func TestRunDelay(t *testing.T) {
	root := t.TempDir()
	write(t, root, "task/7/schedstat", "917767 735114 4\n")
	write(t, root, "task/8/schedstat", "12 3000000000 9\n")
	write(t, root, "task/9/schedstat", "0 0 0\n")
	write(t, root, "task/10/schedstat", "not told\n")
	if got := runDelay(root); got != 3000735114 {
		t.Errorf("the threads waited for %d ns, want 3000735114", got)
	}
	if got := runDelay(t.TempDir()); got != 0 {
		t.Errorf("of a process that is gone %d ns are told", got)
	}
	if runDelay("/proc/self") == 0 {
		t.Error("this process has never waited for a CPU")
	}
}

func TestNeverRan(t *testing.T) {
	master := member.ProcessUse{Comm: "nginx", RSSPages: 300} // less than a tick of CPU time
	thread := member.ProcessUse{Comm: "kworker/0:0"}
	busy := member.ProcessUse{Comm: "ksoftirqd/0", STime: 5}
	if neverRan(&master) || !neverRan(&thread) || neverRan(&busy) {
		t.Errorf("left out: a program %v, an idle kernel thread %v, a busy one %v; want only the second", neverRan(&master), neverRan(&thread), neverRan(&busy))
	}
}
