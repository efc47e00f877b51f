//go:build linux

package probe

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/cilium/ebpf"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func TestRefusalsNameTheirCause(t *testing.T) {
	testns.New(t) // only for its gate: without capabilities there is but one cause
	memlock := fmt.Errorf("map create: %w (MEMLOCK may be too low, consider rlimit.RemoveMemlock)", unix.EPERM)
	for _, c := range []struct {
		err   error
		cause Cause
		want  string
	}{
		{errNoBTF, NoBTF, "CONFIG_DEBUG_INFO_BTF"},
		{&targetError{"tracepoint", "tcp_probe"}, NoTarget, "tracepoint tcp_probe"},
		{errMemlock, Privilege, "CAP_SYS_RESOURCE"},
		{memlock, Privilege, "although CAP_BPF and CAP_PERFMON are held"},
		{unix.ENOSYS, Kernel, "CONFIG_BPF_SYSCALL"},
		{&ebpf.VerifierError{Cause: unix.EINVAL, Log: []string{"unknown func bpf_sk_storage_get#107", "processed 9 insns"}}, NoTarget, "helper bpf_sk_storage_get for"}, // 5.10
		{&ebpf.VerifierError{Cause: unix.EINVAL, Log: []string{"program of this type cannot use helper bpf_sk_storage_get#107"}}, NoTarget, "helper bpf_sk_storage_get for"},
		{&ebpf.VerifierError{Cause: unix.EINVAL, Log: []string{"R1 invalid mem access"}}, Verifier, "R1 invalid mem access"},
		{errors.New("anything else"), Kernel, "anything else"},
	} {
		err := refuse("rtt", fmt.Errorf("load: %w", c.err))
		r, ok := errors.AsType[*Refusal](err)
		if !ok || r.Cause != c.cause || !strings.Contains(Reason(err), c.want) || !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %s with %q", c.err, err, c.cause, c.want)
		}
		if strings.Contains(strings.ToLower(err.Error()), "memlock") {
			t.Errorf("%v blames the memory limit", err)
		}
	}
	if Reason(nil) != "" || Reason(unix.EIO) != unix.EIO.Error() {
		t.Error("Reason of no refusal")
	}
}

func TestWholeRange(t *testing.T) {
	for uidMap, want := range map[string]bool{
		"         0          0 4294967295\n": true, "         0          0          1\n": false, "0 100000 65536\n": false, "": false,
	} {
		if got := wholeRange(uidMap); got != want {
			t.Errorf("uid_map %q: first namespace %v, want %v", uidMap, got, want)
		}
	}
}

func TestMissingTargetIsNamed(t *testing.T) {
	testns.New(t) // only for its gate
	spec, err := bpf.LoadSoftirq()
	must(t, err)
	spec.Programs[bpf.SoftirqProgSoftirqEnd].AttachTo = "no_such_thing"
	_, err = load(alone(), wanted{id: "softirq", spec: spec})
	if Reason(err) != "kernel has no tracepoint no_such_thing" {
		t.Errorf("reason %q", Reason(err))
	}
}

func TestVerifierIsQuoted(t *testing.T) {
	testns.New(t) // only for its gate
	before := ownPrograms(t)
	spec, err := bpf.LoadSoftirq()
	must(t, err)
	// Alone: the collection is loaded in a map's order, and a form that this kernel cannot load may come first.
	broken := spec.Programs[bpf.SoftirqProgSoftirqEnd]
	broken.Instructions = asm.Instructions{asm.Return()} // of R0, never set
	spec.Programs = map[string]*ebpf.ProgramSpec{bpf.SoftirqProgSoftirqEnd: broken}
	_, err = load(alone(), wanted{id: "softirq", spec: spec})
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Cause != Verifier || !strings.Contains(r.Reason, "R0 !read_ok") {
		t.Errorf("refusal %v", err)
	}
	if n := ownPrograms(t); n != before {
		t.Errorf("%d programs left behind", n-before)
	}
}

// ownPrograms counts the programs that this process holds.
func ownPrograms(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, f := range files {
		if link, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && link == "anon_inode:bpf-prog" {
			n++
		}
	}
	return n
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{"0": "[0]", "0-3,8": "[0 1 2 3 8]", "": "error", "3-x": "error", "-1": "error"} {
		cpus, err := parseCPUs(list)
		got := fmt.Sprint(cpus)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("CPU list %q: %s, want %s", list, got, want)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for _, size := range []int{0, 87, 88, 500} {
		raw := make([]byte, size)
		for i := range raw {
			raw[i] = byte(i)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e Events
		if e.decode(raw) == nil {
			_ = e.event.Kind.String() + StateName(e.event.State)
			if len(e.event.Frames) > 48 {
				t.Errorf("%d frames", len(e.event.Frames))
			}
		}
	})
}

// Nothing may be armed, and nothing said about it more than once.
func TestRefusalsAreGrouped(t *testing.T) {
	missing, other := &Refusal{Reason: "CAP_BPF missing"}, &Refusal{Reason: "no kprobes"}
	s := &Set{Results: []Result{
		{Probe: &Probe{ID: "a"}, Err: missing}, {Probe: &Probe{ID: "b"}},
		{Probe: &Probe{ID: "c"}, Err: other}, {Probe: &Probe{ID: "d"}, Err: missing},
	}}
	want := "kernel probes not armed: a, d: CAP_BPF missing|kernel probes not armed: c: no kprobes"
	if got := strings.Join(s.Refusals(), "|"); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// Who has what the kernel wants for clocks is told what else is in the way: the distribution's sysctl, by name.
func TestClocksAreForbidden(t *testing.T) {
	for paranoid, want := range map[string]string{
		"3": "sysctl kernel.perf_event_paranoid is 3: above 2 this distribution's kernel wants CAP_SYS_ADMIN for perf_event_open(2)",
		"2": "perf_event_open(2) is refused although CAP_PERFMON is held: a security module or a seccomp filter",
		"":  "perf_event_open(2) is refused although CAP_PERFMON is held: a security module or a seccomp filter",
	} {
		if got := clockPolicy(paranoid); got != want {
			t.Errorf("at %q: %s", paranoid, got)
		}
	}
	err := refuse("stacks", fmt.Errorf("open cpu-clock of CPU 0: %w", &clockError{unix.EACCES}))
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Cause != Privilege || !strings.Contains(r.Reason, "perf_event_open(2)") {
		t.Errorf("a clock that is refused: %v", err)
	}
	if !inVM() {
		return // the sysctl is the machine's
	}
	const sysctl = "/proc/sys/kernel/perf_event_paranoid"
	before, err := os.ReadFile(sysctl)
	must(t, err)
	must(t, os.WriteFile(sysctl, []byte("3"), 0))
	t.Cleanup(func() { must(t, os.WriteFile(sysctl, before, 0)) })
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "SPIKEBOX_TEST_HOLD=1")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_RESOURCE}} // the last before 5.11
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer child.Process.Kill()
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "armed"; {
		said = append(said, lines.Text())
	}
	if want := "error arm probe stacks: " + clockPolicy("3"); !slices.Contains(said, want) {
		t.Errorf("it says %q, want %q", said, want)
	}
}
