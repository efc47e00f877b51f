//go:build linux

package probe

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Cause says what kind of thing is in a probe's way.
type Cause string

// The causes of a refusal.
const (
	Privilege Cause = "privilege" // a capability is missing, or a policy forbids it
	NoBTF     Cause = "no-btf"    // the kernel does not describe its own types
	NoTarget  Cause = "no-target" // the tracepoint or function does not exist here
	Verifier  Cause = "verifier"  // the kernel takes no program like this
	Kernel    Cause = "kernel"    // anything else that the kernel lacks
)

// Refusal is why a probe is not armed. Its text is one sentence for an operator; the
// error below it is for developers and may mislead: cilium/ebpf reports every EPERM
// as a low RLIMIT_MEMLOCK.
type Refusal struct {
	Probe  string // ID in All
	Cause  Cause
	Reason string // names the capability, kernel option, tracepoint or program
	Err    error
}

// Error names the probe and the reason.
func (r *Refusal) Error() string { return "arm probe " + r.Probe + ": " + r.Reason }

// Unwrap returns the error as the kernel or cilium/ebpf gave it.
func (r *Refusal) Unwrap() error { return r.Err }

// Reason says in one sentence why a probe is not armed; empty for a nil error.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason
	}
	return err.Error()
}

// Refusals says which probes are not armed, those with the same reason in one line: a
// missing capability refuses all ten.
func (s *Set) Refusals() (lines []string) {
	byReason := map[string][]string{}
	var reasons []string
	for _, r := range s.Results {
		if r.Err == nil {
			continue
		}
		reason := Reason(r.Err)
		if byReason[reason] == nil {
			reasons = append(reasons, reason)
		}
		byReason[reason] = append(byReason[reason], r.Probe.ID)
	}
	for _, reason := range reasons {
		lines = append(lines, "kernel probes not armed: "+strings.Join(byReason[reason], ", ")+": "+reason)
	}
	return lines
}

// Causes that have no error of the kernel's own.
var (
	errNoBTF     = errors.New("kernel built without CONFIG_DEBUG_INFO_BTF: /sys/kernel/btf/vmlinux is missing")
	errNoKprobes = errors.New("kernel built without CONFIG_KPROBE_EVENTS")
	errMemlock   = errors.New("CAP_SYS_RESOURCE is missing, which kernels before 5.11 want for locked memory")
)

// clockError is what perf_event_open(2) gave for a clock.
type clockError struct{ err error }

// Error is the kernel's.
func (e *clockError) Error() string { return e.err.Error() }

// Unwrap returns it.
func (e *clockError) Unwrap() error { return e.err }

// targetError is a tracepoint or function that the running kernel does not have.
type targetError struct{ kind, name string }

// Error names it.
func (e *targetError) Error() string { return "kernel has no " + e.kind + " " + e.name }

// refuse makes a Refusal of what stopped a probe; it tells the causes apart.
func refuse(id string, err error) error {
	r := &Refusal{Probe: id, Cause: Kernel, Reason: err.Error(), Err: err}
	// The order matters: the surest sign first, the kernel's bare numbers last.
	verifier, refused := errors.AsType[*ebpf.VerifierError](err)
	_, absent := errors.AsType[*targetError](err)
	_, clock := errors.AsType[*clockError](err)
	lacking := lackingCapabilities()
	switch {
	case errors.Is(err, errNoBTF):
		r.Cause = NoBTF
	case absent:
		r.Cause = NoTarget
	case lacking != "": // then no other error means what it says
		r.Cause, r.Reason = Privilege, lacking+" missing"
	case refused && unknownHelper(lastLine(verifier.Log)) != "":
		r.Cause, r.Reason = NoTarget, "kernel has no helper "+unknownHelper(lastLine(verifier.Log))+" for programs of this kind"
	case refused && len(verifier.Log) > 0:
		r.Cause, r.Reason = Verifier, "verifier says: "+lastLine(verifier.Log)
	case errors.Is(err, errMemlock):
		r.Cause = Privilege
	case callFiltered():
		r.Cause, r.Reason = Privilege, "a seccomp filter refuses bpf(2), although CAP_BPF is held: a container's profile must allow it"
	case clock && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)):
		level, _ := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
		r.Cause, r.Reason = Privilege, clockPolicy(strings.TrimSpace(string(level)))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		r.Cause, r.Reason = Privilege, policy()
	case errors.Is(err, unix.ENOSYS):
		r.Reason = "kernel built without CONFIG_BPF_SYSCALL"
	}
	return r
}

// missing checks what a program attaches to before the kernel does, whose answer
// would not name it.
func (h hub) missing(spec *ebpf.CollectionSpec) error {
	kernel, err := kernelTypes(h.cache)
	if err != nil {
		return err
	}
	for _, prog := range spec.Programs {
		kind, name := target(prog)
		if kind == "" {
			continue
		}
		if _, err := kernel.AnyTypesByName(name); err != nil {
			return &targetError{kind, prog.AttachTo}
		}
	}
	return nil
}

// target says what a program attaches to, and the name of the type that the kernel has
// with it; nothing for programs that the kernel's types say nothing of.
func target(prog *ebpf.ProgramSpec) (kind, typeName string) {
	switch prog.AttachType {
	case ebpf.AttachTraceRawTp:
		return "tracepoint", "btf_trace_" + prog.AttachTo
	case ebpf.AttachTraceIter:
		return "iterator", "bpf_iter_" + prog.AttachTo
	case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit:
		return "function", prog.AttachTo
	}
	return "", ""
}

// kernelTypes returns the running kernel's types.
func kernelTypes(cache *btf.Cache) (*btf.Spec, error) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); errors.Is(err, os.ErrNotExist) {
		return nil, errNoBTF
	}
	spec, err := cache.Kernel()
	if err != nil {
		return nil, fmt.Errorf("read /sys/kernel/btf/vmlinux: %w", err)
	}
	return spec, nil
}

// lastLine returns the verifier's verdict: its last line, less the statistics.
func lastLine(log []string) string {
	// Newer kernels append how much they processed, refused or not.
	for i := len(log) - 1; i >= 0; i-- {
		line := strings.TrimSpace(log[i])
		if line != "" && !strings.HasPrefix(line, "processed ") {
			return line
		}
	}
	return "nothing"
}

// unknownHelper names the helper that a program calls and the kernel does not have for it
// (check_helper_call, kernel/bpf/verifier.c); empty where the verdict is another.
func unknownHelper(verdict string) string {
	for _, says := range []string{"unknown func ", "program of this type cannot use helper "} { // before and since 6.11
		if rest, ok := strings.CutPrefix(verdict, says); ok {
			name, _, _ := strings.Cut(rest, "#")
			return name
		}
	}
	return ""
}

// policy explains an EPERM from bpf(2) although the capabilities are held: it has many
// reasons and no text.
func policy() string {
	if !firstUserNamespace() {
		return "CAP_BPF and CAP_PERFMON are held in a user namespace only; bpf(2) wants them in the first one"
	}
	if mode, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil && strings.Contains(string(mode), "[confidentiality]") {
		return "kernel lockdown (confidentiality) forbids programs that read kernel memory"
	}
	return "kernel refuses this kind of program although CAP_BPF and CAP_PERFMON are held: " +
		"kernel configuration, a security module or a seccomp filter"
}

// clockPolicy explains a refusal of perf_event_open(2) although CAP_PERFMON is held. The kernel itself lets
// that pass at any level (perf_allow_cpu, include/linux/perf_event.h); Debian's and Ubuntu's have a level of their own.
func clockPolicy(paranoid string) string {
	if level, err := strconv.Atoi(paranoid); err == nil && level > 2 {
		return "sysctl kernel.perf_event_paranoid is " + paranoid + ": above 2 this distribution's kernel wants CAP_SYS_ADMIN for perf_event_open(2)"
	}
	return "perf_event_open(2) is refused although CAP_PERFMON is held: a security module or a seccomp filter"
}

// callFiltered says whether it is not the kernel that refuses programs, but a filter that lets bpf(2) not reach it: a command that there is
// none of is EINVAL to who has CAP_BPF (__sys_bpf, kernel/bpf/syscall.c). The profiles of container engines, which do that, answer EPERM or ENOSYS.
func callFiltered() bool {
	const noCommand = 1 << 20
	_, _, errno := unix.Syscall(unix.SYS_BPF, noCommand, 0, 0)
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return (errno == unix.EPERM || errno == unix.ENOSYS) && err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// firstUserNamespace says whether this process is in the first user namespace, or may be.
func firstUserNamespace() bool {
	uids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || wholeRange(string(uids))
}

// wholeRange says whether a uid_map is that of the first user namespace.
func wholeRange(uidMap string) bool {
	f := strings.Fields(uidMap)
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}

// lackingCapabilities names what this thread lacks of what tracing programs want
// (bpf_prog_load, kernel/bpf/syscall.c, since 5.8); empty when it has all.
func lackingCapabilities() string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return ""
	}
	has := func(c uint) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return ""
	}
	var lacking []string
	if !has(unix.CAP_BPF) {
		lacking = append(lacking, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		lacking = append(lacking, "CAP_PERFMON")
	}
	return strings.Join(lacking, " and ")
}
