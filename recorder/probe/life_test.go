//go:build linux

package probe

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/internal/vm"
)

// TestMain turns the test binary into a process that arms the probes, says which
// programs it has in the kernel and waits to be killed.
func TestMain(m *testing.M) {
	vm.Init()
	if os.Getenv("SPIKEBOX_TEST_HOLD") == "" {
		os.Exit(m.Run())
	}
	s := Open(Options{})
	for _, r := range s.Results {
		if r.Err != nil {
			fmt.Println("error", r.Err)
		}
	}
	for _, a := range s.armed {
		for _, l := range programs(a) {
			for _, prog := range l.Programs {
				info, _ := prog.Info()
				id, _ := info.ID()
				fmt.Println("program", id)
			}
		}
	}
	fmt.Println("armed")
	for {
		time.Sleep(time.Hour)
		runtime.KeepAlive(s) // the collector detaches links that nothing holds
	}
}

func TestNothingStaysAfterKill(t *testing.T) {
	testns.New(t) // only for its gate
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SPIKEBOX_TEST_HOLD=1")
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var ids []ebpf.ProgramID
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "armed"; {
		var id ebpf.ProgramID
		if strings.HasPrefix(lines.Text(), "error arm probe function: ") || strings.HasPrefix(lines.Text(), "error arm probe response: ") {
			continue // those that kernels may do without
		}
		if _, err := fmt.Sscanf(lines.Text(), "program %d", &id); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		ids = append(ids, id)
	}
	if len(ids) < 12 {
		t.Fatalf("child holds %d programs, want at least 12", len(ids))
	}
	for _, id := range ids {
		if !exists(id) {
			t.Errorf("program %d is not in the kernel while its process lives", id)
		}
	}
	must(t, child.Process.Kill())
	child.Wait()
	for _, id := range ids {
		eventually(t, fmt.Sprintf("program %d gone", id), func() bool { return !exists(id) })
	}
}

func exists(id ebpf.ProgramID) bool {
	prog, err := ebpf.NewProgramFromID(id)
	if err == nil {
		prog.Close()
	}
	return !errors.Is(err, os.ErrNotExist)
}

func TestRefusalWithoutCapabilities(t *testing.T) {
	testns.New(t) // only for its gate
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "SPIKEBOX_TEST_HOLD=1")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer child.Process.Kill()
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "armed"; n++ {
		want := fmt.Sprintf("error arm probe %s: CAP_BPF and CAP_PERFMON missing", All[min(n, len(All)-1)].ID)
		if lines.Text() != want {
			t.Errorf("it says %q, want %q", lines.Text(), want)
		}
	}
	if n != len(All) {
		t.Errorf("%d probes refused, want all %d", n, len(All))
	}
}
