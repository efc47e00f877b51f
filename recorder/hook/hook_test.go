//go:build linux

package hook

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// log is what a hook says.
type log struct {
	mu   sync.Mutex
	said []string
}

func (l *log) logger() *slog.Logger {
	return testns.Log(func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.said = append(l.said, line)
	})
}

func (l *log) has(prefix string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.said, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// ran runs a shell's script for one bundle and gives what was said.
func ran(t *testing.T, timeout time.Duration, script string) (said []string, c Counts) {
	t.Helper()
	var l log
	h := New([]string{"sh", "-c", script}, timeout, nil, l.logger())
	h.Run(map[string]string{"SPIKEBOX_BUNDLE": "/b/x y", "SPIKEBOX_REASON": "a\nb\x00c"})
	h.Close()
	return l.said, h.Counts()
}

// A command has the bundle in its environment and nothing of the recorder's service manager, runs
// below others and may gain no privileges; what it says is in the log.
func TestRun(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/n")
	t.Setenv("SPIKEBOXD_FLAG_DIR", "/d")
	said, c := ran(t, time.Minute, `echo "$SPIKEBOX_BUNDLE"; echo "$SPIKEBOX_REASON" >&2; echo "n=$NOTIFY_SOCKET d=$SPIKEBOXD_FLAG_DIR"
pwd; cut -d' ' -f19 /proc/self/stat; grep NoNewPrivs /proc/self/status; ps -o pgid= -p $$ | grep -qw $$ && echo leads; printf end`)
	for i, want := range []string{"/b/x y", "a", "bc", "n= d=", "/", "19", "NoNewPrivs:\t1", "leads", "end"} {
		if len(said) <= i || said[i] != "--on-bundle says: "+want {
			t.Fatalf("line %d of %q: want %q", i, said, want)
		}
	}
	if last := said[len(said)-1]; !strings.HasPrefix(last, "--on-bundle: done in ") || c != (Counts{Runs: 1}) {
		t.Errorf("at the end %q, %+v", last, c)
	}
	said, c = ran(t, time.Minute, `yes 'a long line' | head -n 5000; head -c 100000 /dev/zero | tr '\0' x; exit 7`)
	if c != (Counts{Runs: 1, Failed: 1}) || len(said) != linesMost+2 || !strings.HasPrefix(said[linesMost+1], "--on-bundle: exit status 7, after ") {
		t.Errorf("%d lines, the last %q, %+v", len(said), said[len(said)-1], c)
	}
}

// What does not end is ended with all of its group, also what does not heed SIGTERM.
func TestRunEnds(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	said, c := ran(t, time.Second, `(trap '' TERM; echo $$; sleep 1000 & echo $! >`+pids+`; sleep 1000); sleep 1000`)
	if c.Failed != 1 || !strings.Contains(said[len(said)-1], "it did not end within 1 s, and was ended") {
		t.Errorf("said %q", said)
	}
	pid, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	// It is nobody's child now: whoever reaps it may take its time.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it lives: %s", state)
		}
	}
	// A child in the background that goes on for long costs no more than its output.
	if said, c := ran(t, time.Minute, "sleep 60 & true"); c.Failed != 0 {
		t.Errorf("with a child in the background: said %q", said)
	}
	if said, c := ran(t, time.Minute, "kill -9 $$"); c.Failed != 1 || !strings.HasPrefix(said[0], "--on-bundle: signal: killed") {
		t.Errorf("killed: said %q", said)
	}
}

// One runs at a time, a bounded number wait, and who asks never waits.
func TestQueue(t *testing.T) {
	var l log
	gate := filepath.Join(t.TempDir(), "gate")
	h := New([]string{"sh", "-c", "while ! test -e " + gate + "; do sleep 0.05; done"}, time.Minute, nil, l.logger())
	const n = 2*waitingMost + 1
	for range n {
		h.Run(map[string]string{"SPIKEBOX_BUNDLE": "b"})
	}
	if c := h.Counts(); c.Runs != 0 || c.Dropped < waitingMost {
		t.Errorf("%+v of %d", c, n)
	}
	if !l.has("--on-bundle is not run for b: it has not ended for") {
		t.Errorf("said %q", l.said)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if c := h.Counts(); c.Runs+c.Dropped != n || c.Failed != 0 {
		t.Errorf("%+v of %d", c, n)
	}
	missing := New([]string{"/nonexistent/command"}, time.Minute, nil, l.logger())
	missing.Run(nil)
	missing.Close()
	if c := missing.Counts(); c.Failed != 1 || !l.has("--on-bundle: fork/exec /nonexistent/command: no such file") {
		t.Errorf("%+v, said %q", c, l.said)
	}
	var none *Hook
	none.Run(nil)
	none.Close()
}

// The capabilities of its unit are ambient, and would be the command's, too.
func TestNoCapabilities(t *testing.T) {
	if os.Getenv("SPIKEBOX_TEST_AMBIENT") != "" {
		said, _ := ran(t, time.Minute, "grep -E 'Cap(Eff|Amb)' /proc/self/status")
		fmt.Println(strings.Join(said, "\n"))
		return
	}
	if os.Getuid() != 0 {
		t.Skip("it takes root to give capabilities")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoCapabilities$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SPIKEBOX_TEST_AMBIENT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	exe, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd.ExtraFiles, cmd.Path = []*os.File{exe}, "/proc/self/fd/3" // its folder is root's
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CapEff:\t0000000000000000") || !strings.Contains(string(out), "CapAmb:\t0000000000000000") {
		t.Errorf("%v: %s", err, out)
	}
}
