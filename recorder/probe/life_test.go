//go:build linux

package probe

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

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
	rtt, err := OpenRTT(0)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	listeners, err := OpenListeners()
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for _, l := range []*loaded{rtt.loaded, listeners.loaded} {
		for _, prog := range l.Programs {
			info, _ := prog.Info()
			id, _ := info.ID()
			fmt.Println("program", id)
		}
	}
	fmt.Println("armed")
	select {}
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
		if _, err := fmt.Sscanf(lines.Text(), "program %d", &id); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		ids = append(ids, id)
	}
	if len(ids) < 4 {
		t.Fatalf("child holds %d programs, want at least 4", len(ids))
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
	out, err := child.Output()
	if err == nil {
		t.Fatal("a process without capabilities could arm the probes")
	}
	if text := string(out); !strings.Contains(text, "arm probe rtt: CAP_BPF and CAP_PERFMON missing") ||
		strings.Contains(strings.ToLower(text), "memlock") {
		t.Errorf("it says %q", text)
	}
}
