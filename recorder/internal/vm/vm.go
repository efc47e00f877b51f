//go:build linux

// Package vm runs a static test binary on other kernels than this machine's: Debian's,
// from the machine's own package sources, under QEMU without hardware help. The
// binary is also the VM's first process, see Init; there is no disk and no shell.
//
// It is for tests only. Under emulation everything takes five to ten times as long:
// tests in a VM may count and compare, but not measure time.
package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Target is a kernel to test on: the newest cloud kernel of some Debian suites.
type Target struct {
	Name   string
	Suites []string // of the mirror; those with -security of the security mirror
}

// Targets are the oldest supported kernel, those that most servers run, and the newest.
var Targets = []Target{
	{"5.10", []string{"bullseye", "bullseye-security"}},
	{"6.1", []string{"bookworm", "bookworm-security"}},
	{"6.12", []string{"trixie", "trixie-security"}},
	{"newest", []string{"sid"}},
}

// Kernel is a kernel that can be booted.
type Kernel struct {
	Release string // as uname -r says
	image   string
	modules string // folder with its modules
}

// Payload is what runs in a VM.
type Payload struct {
	Binary  string            // static, and calls Init first of all
	Args    []string          // for it
	Env     []string          // beside PATH
	Files   map[string]string // path in the VM: path here
	Modules []string          // to load, with what they depend on: tun, veth
	Memory  int               // MiB
}

// script is what Init finds in the VM.
type script struct {
	Args    []string
	Env     []string
	Modules []string // file names in order of loading
}

const (
	scriptPath = "/spikebox-vm.json"
	endMark    = "@@end of payload, exit code "
)

var endLine = regexp.MustCompile(`(?m)^` + endMark + `(\d+)`)

// Run boots the kernel, runs the payload, and returns its exit code. What the VM writes
// to its console goes to out.
func (k *Kernel) Run(ctx context.Context, p Payload, out io.Writer) (exitCode int, err error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return 0, fmt.Errorf("find QEMU: %w", err)
	}
	dir, err := os.MkdirTemp("", "spikebox-vm-")
	if err != nil {
		return 0, fmt.Errorf("make folder for VM: %w", err)
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := k.initramfs(initrd, p); err != nil {
		return 0, err
	}
	var console bytes.Buffer
	// One CPU: with two, the emulation may run a breakpoint that the kernel has already
	// taken out again while it arms a tracepoint, and the kernel stops ("Oops: int3" in
	// handle_softirqs, once in twenty boots).
	cmd := exec.CommandContext(ctx, qemu,
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(p.Memory),
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", k.image, "-initrd", initrd,
		// Known addresses and no mitigations make it faster; nothing here is secret.
		"-append", "console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable"+tsc())
	cmd.Stdout = io.MultiWriter(&console, out)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("run kernel %s: %w", k.Release, errors.Join(err, ctx.Err()))
	}
	found := endLine.FindSubmatch(bytes.ReplaceAll(console.Bytes(), []byte("\r"), nil))
	if found == nil {
		return 0, fmt.Errorf("run kernel %s: it stopped before the payload had ended", k.Release)
	}
	return strconv.Atoi(string(found[1]))
}

// initramfs writes the VM's file system to path.
func (k *Kernel) initramfs(path string, p Payload) error {
	modules, err := k.closure(p.Modules)
	if err != nil {
		return err
	}
	s := script{Args: p.Args, Env: p.Env}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make initramfs: %w", err)
	}
	defer f.Close()
	a := newArchive(f)
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "lib"} {
		a.dir(dir)
	}
	a.console("dev/console")
	for _, m := range modules {
		name := "/lib/" + m.name + ".ko"
		s.Modules = append(s.Modules, name)
		a.file(name, 0o644, m.content)
	}
	for name, from := range p.Files {
		a.copy(name, from)
	}
	a.copy("/init", p.Binary)
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("make initramfs: %w", err)
	}
	a.file(scriptPath, 0o644, text)
	if err := a.close(); err != nil {
		return fmt.Errorf("make initramfs: %w", err)
	}
	return f.Close()
}

// tsc tells a guest how fast its clock counts: as this machine's, since the emulation passes that on. A guest that
// measures it while its CPU is put aside in favour of others finds anything: once its seconds were a fifteenth of
// ours, and each timeout in it came fifteen times too early. Linux knows the rate for certain, and as what it says of
// its CPUs' MHz, where it is a guest itself; elsewhere a guest measures (tsc_early_khz, Linux 5.10).
func tsc() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return tscOf(string(text))
}

var megahertz = regexp.MustCompile(`(?m)^cpu MHz\s*: (\d+)\.(\d{3})$`)

func tscOf(cpuinfo string) string {
	rate := megahertz.FindStringSubmatch(cpuinfo)
	if rate == nil || !strings.Contains(cpuinfo, " tsc_known_freq ") || !strings.Contains(cpuinfo, " hypervisor ") {
		return ""
	}
	return " tsc_early_khz=" + rate[1] + rate[2]
}
