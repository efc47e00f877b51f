//go:build linux

package source

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func write(t testing.TB, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// taken gives the texts that were taken at one time, by path.
func taken(t *testing.T, s *Snapshots, at time.Time) map[string]string {
	t.Helper()
	cut, err := s.Cut()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	err = cut.Snapshots(at, at, func(_ time.Time, path string, text []byte) error {
		texts[path] = string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// A calm second takes everything; the tenths of a second after a trigger only what is urgent.
func TestSnapshotsTakeUrgentTextsOften(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/net/netstat", "TcpExt: A\nTcpExt: 1\n")
	write(t, root, "proc/interrupts", "CPU0\n")
	s, err := OpenSnapshots(root, 1<<20, time.Hour, testns.Log(func(line string) { t.Log(line) }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	start := time.Unix(1000, 0)
	for i, want := range []int{2, 1, 1} {
		at := start.Add(time.Duration(i) * 100 * time.Millisecond)
		if err := s.Take(at); err != nil {
			t.Fatal(err)
		}
		if got := taken(t, s, at); len(got) != want || got["proc/net/netstat"] == "" {
			t.Errorf("%d00 ms: took %v, want %d texts with netstat", i, got, want)
		}
	}
	if src := s.Source(start, start); src.State != format.Complete || !strings.Contains(src.Details["absent"], "proc/stat") {
		t.Errorf("source %+v: rows that this kernel lacks are named, and no loss", src)
	}
}

// What a container's runtime hides, by a device in its place, is absent, which is said once, and not an empty text.
func TestSnapshotsOfMaskedText(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/net/netstat", "TcpExt: A\nTcpExt: 1\n")
	if err := os.Symlink("/dev/null", filepath.Join(root, "proc/interrupts")); err != nil {
		t.Fatal(err)
	}
	var said []string
	s, err := OpenSnapshots(root, 1<<20, time.Hour, testns.Log(func(line string) { said = append(said, line) }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Unix(1000, 0)
	for range 2 {
		at = at.Add(scanEvery)
		if err := s.Take(at); err != nil {
			t.Fatal(err)
		}
	}
	if text, there := taken(t, s, at)["proc/interrupts"]; there {
		t.Errorf("its text is kept: %q", text)
	}
	if len(said) != 1 || !strings.Contains(said[0], "snapshots go without proc/interrupts: ") {
		t.Errorf("said %q", said)
	}
	if src := s.Source(at, at); src.State != format.Complete || !strings.Contains(src.Details["absent"], "proc/interrupts") {
		t.Errorf("source %+v", src)
	}
}

// A bond that comes while armed is taken from the next scan on. One that goes is no loss,
// and is taken again when it is back. The file of a process stands for it, whose end makes
// the open file unreadable, as the end of a bond does; a file on disk would stay readable.
func TestSnapshotsFollowPatterns(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/net/bonding/other", "x\n")
	s, err := OpenSnapshots(root, 1<<20, time.Hour, testns.Log(func(line string) { t.Error(line) }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Unix(1000, 0)
	bond := func(after time.Duration) string {
		t.Helper()
		at = at.Add(after)
		if err := s.Take(at); err != nil {
			t.Fatal(err)
		}
		return taken(t, s, at)["proc/net/bonding/bond0"]
	}
	bond(0)
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "proc/net/bonding/bond0")
	if err := os.Symlink(fmt.Sprintf("/proc/%d/stat", child.Process.Pid), path); err != nil {
		t.Fatal(err)
	}
	if got := bond(time.Second); got != "" {
		t.Errorf("the bond that came is there at once: every second scans")
	}
	if got := bond(scanEvery); !strings.Contains(got, "(sleep)") {
		t.Errorf("after a scan the bond that came is %q", got)
	}
	child.Process.Kill()
	child.Wait()
	if got := bond(time.Second); got != "" {
		t.Errorf("the bond that went is %q", got)
	}
	if src := s.Source(at, at); src.State != format.Complete || src.Lost != 0 {
		t.Errorf("source %+v: a bond that went is no loss", src)
	}
	os.Remove(path)
	write(t, root, "proc/net/bonding/bond0", "back\n")
	if got := bond(scanEvery); got != "back\n" {
		t.Errorf("the bond that is back is %q", got)
	}
}

// BenchmarkSnapshots takes snapshots of a host with 64 CPUs and 1,000 interfaces, and
// says what five minutes of them hold.
func BenchmarkSnapshots(b *testing.B) {
	root := b.TempDir()
	rows, raw := bigHost(0), 0
	for path, text := range rows {
		write(b, root, path, text)
		raw += len(text)
	}
	s, err := OpenSnapshots(root, 64<<20, time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	at := time.Unix(0, 0)
	n := 0
	for b.Loop() {
		b.StopTimer()
		for path, text := range bigHost(n) {
			write(b, root, path, text)
		}
		b.StartTimer()
		if err := s.Take(at.Add(time.Duration(n) * time.Second)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if _, err := s.Cut(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(raw)/1024, "KiB/snapshot")
	b.ReportMetric(float64(s.ring.Bytes())/float64(n)/1024, "KiB-held/snapshot")
}

// bigHost gives texts in the sizes of a host with 64 CPUs and 1,000 interfaces, whose
// counters move from second to second as on a busy one.
func bigHost(second int) map[string]string {
	var dev, softnet, softirqs, interrupts, stat bytes.Buffer
	for i := range 1000 {
		busy := 0
		if i < 20 {
			busy = second * (100000 + i)
		}
		fmt.Fprintf(&dev, "veth%04d: %d %d 0 0 0 0 0 0 %d %d 0 0 0 0 0 0\n", i, 1000*i+busy, i+busy/900, 2000*i+busy, i+busy/800)
	}
	for cpu := range 64 {
		fmt.Fprintf(&softnet, "%08x 00000000 %08x 0 0 0 0 0 0 0 0 0 %08x 0 0\n", cpu*7777+second*1234, second/7, cpu)
		fmt.Fprintf(&stat, "cpu%d %d 0 %d %d 0 0 %d 0 0 0\n", cpu, second*40+cpu, second*20+cpu, second*40, second*3)
	}
	for _, v := range []string{"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"} {
		fmt.Fprintf(&softirqs, "%10s:", v)
		for cpu := range 64 {
			fmt.Fprintf(&softirqs, " %10d", second*(cpu+len(v))+cpu*1000)
		}
		softirqs.WriteByte('\n')
	}
	for irq := range 300 {
		fmt.Fprintf(&interrupts, "%4d:", irq)
		for cpu := range 64 {
			n := 0
			if irq%64 == cpu {
				n = second*5000 + irq
			}
			fmt.Fprintf(&interrupts, " %10d", n)
		}
		fmt.Fprintf(&interrupts, "  PCI-MSI-0000:17:00.0 %d-edge eth0-TxRx-%d\n", irq, irq)
	}
	return map[string]string{
		"proc/net/dev": dev.String(), "proc/net/softnet_stat": softnet.String(), "proc/softirqs": softirqs.String(),
		"proc/interrupts": interrupts.String(), "proc/stat": stat.String(),
	}
}
