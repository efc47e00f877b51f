//go:build linux

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// armVariable makes the test binary arm something instead of running tests, in the network
// namespace it was started in, until its standard input ends.
const armVariable = "SPIKEBOX_BENCH_ARM"

func TestMain(m *testing.M) {
	if what := os.Getenv(armVariable); what != "" {
		if err := arm(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// arm arms one variant, says so, and keeps it until the standard input ends.
func arm(what string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	var closers []io.Closer
	var err error
	kind, name, _ := strings.Cut(what, " ")
	switch kind {
	case "all":
		return armRecorder(ctx, 0)
	case "packing":
		return armRecorder(ctx, packingBytes)
	case "ring":
		var s *capture.Set
		s, err = capture.OpenSet(capture.SetConfig{Way: capture.Way(name)})
		closers = append(closers, s)
	case "probe":
		probe.All = slices.DeleteFunc(probe.All, func(p *probe.Probe) bool { return name != "" && p.ID != name })
		s := probe.Open(probe.Options{NetNS: host.NetNS()})
		closers = append(closers, s)
		if name == "echo" { // as on a host that is pinged
			err = s.Echo.Watch(true)
		}
		if s.Softirqs != nil {
			go watchSoftirqs(s.Softirqs)
		}
	case "empty":
		closers, err = emptyPrograms()
	default:
		err = fmt.Errorf("arm %q: no such variant", what)
	}
	if err != nil {
		return err
	}
	fmt.Println("armed")
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, c := range closers {
		c.Close()
	}
	return err
}

// watchSoftirqs has them timed when the recorder would: without, they all are.
func watchSoftirqs(s *probe.Softirqs) {
	for now := range time.Tick(recorder.Tick) {
		if s.Read(func(_, _ int, _ *probe.Durations) {}) != nil || s.Watch(now, false) != nil {
			return // it is closed
		}
	}
}

// packingBytes is a ring that a saturated server fills in half a second, so that what is younger than --before
// is packed from then on.
const packingBytes = 4 << 20

// armRecorder is the recorder as an operator arms it, except that it writes no bundle and sheds nothing.
// A ring of 0 is of the default size.
func armRecorder(ctx context.Context, ring int) error {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return recorder.Run(ctx, recorder.Config{
		Root: "/", Before: 30 * time.Second, After: 10 * time.Second, Dir: os.TempDir(), DryRun: true, RingBytes: ring, PackCPU: capture.DefaultPackCPU,
		Log: testns.Log(func(line string) {
			if strings.HasPrefix(line, "armed on") {
				fmt.Println("armed")
			}
		}),
	})
}

// emptyPrograms puts a program that does nothing on each tracepoint that the probes use:
// what the hooks alone cost.
func emptyPrograms() (all []io.Closer, err error) {
	seen := map[string]bool{}
	for _, p := range probe.All {
		for _, at := range p.Attach {
			name, ok := strings.CutPrefix(at, "tp_btf/")
			if !ok || seen[name] {
				continue
			}
			seen[name] = true
			prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
				Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: name, License: "GPL",
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
			})
			if err != nil {
				return all, fmt.Errorf("load empty program for %s: %w", name, err)
			}
			l, err := link.AttachTracing(link.TracingOptions{Program: prog})
			if err != nil {
				return all, fmt.Errorf("attach empty program to %s: %w", name, err)
			}
			all = append(all, l, prog)
		}
	}
	return all, nil
}

// variant is something that is armed beside the server.
type variant struct {
	name string
	// start starts it in the server's namespace and returns once it is armed.
	start func(t testing.TB, ns netns.NsHandle) *process
}

func variants(t testing.TB) []variant {
	ours := func(what string) func(testing.TB, netns.NsHandle) *process {
		return func(t testing.TB, ns netns.NsHandle) *process {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), armVariable+"="+what)
			return start(t, ns, cmd, "armed")
		}
	}
	all := []variant{{"nothing, again", nil}, {"empty programs", ours("empty")}, {"ring tpacket", ours("ring tpacket")}, {"ring tcx", ours("ring tcx")}, {"all programs", ours("probe")}, {"everything", ours("all")}, {"packing, everything", ours("packing")}}
	for _, p := range probe.All {
		all = append(all, variant{"program " + p.ID, ours("probe " + p.ID)})
	}
	if path, err := exec.LookPath("tcpdump"); err == nil {
		all = append(all, variant{"tcpdump -s 128 -C 10 -W 6", func(t testing.TB, ns netns.NsHandle) *process {
			// -Z keeps the user, who may write to the folder; -U is not given: it would flush each packet.
			cmd := exec.Command(path, "-i", "veth-a", "-n", "-s", "128", "-C", "10", "-W", "6", "-Z", "root", "-w", filepath.Join(t.TempDir(), "x.pcap"))
			return start(t, ns, cmd, "listening on")
		}})
	}
	return all
}
