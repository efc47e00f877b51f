//go:build unix

package flow

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/pkt"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// childCapture names the capture that this test binary, started by BenchmarkPeers, has to analyse.
const childCapture = "SPIKEBOX_TEST_CAPTURE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childCapture); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child analyses a capture with everything switched on.
func child(path string) error {
	src, err := packet.OpenFiles(path)
	if err != nil {
		return err
	}
	defer src.Close()
	retransmits, events := uint64(0), 0
	table := NewTable(func(f *Flow) {
		row := f.Row()
		retransmits += uint64(row.C2S.Retransmits + row.S2C.Retransmits)
	}, Options{Events: func(*Event) { events++ }})
	for {
		batch, err := src.Batch()
		if errors.Is(err, io.EOF) {
			break
		}
		table.AddBatch(batch)
	}
	table.Flush()
	fmt.Println(table.Totals().Packets, table.Totals().Flows, retransmits, events, table.Totals().PeakFlows)
	return nil
}

// connections of the capture that peers are measured on: 34 packets each.
func connections(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("SPIKEBOX_BENCH_CONNECTIONS"))
	if err != nil {
		n = 90000
	}
	return n
}

// BenchmarkPeers analyses one capture with this package, tcptrace, tshark and capinfos in turn, three
// times, and reports the medians: packets per second, peak memory, and the ratios. Its packets are
// made up.
func BenchmarkPeers(b *testing.B) {
	path := filepath.Join(b.TempDir(), "traffic.pcap")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	packets, err := pkt.Traffic(f, connections(b))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	compare(b, packets, path, peers(path))
}

// peers are the programs to compare with, beside this test binary, which analyses the capture by itself.
func peers(path string) map[string][]string {
	return map[string][]string{
		"ours":     {os.Args[0]},
		"tcptrace": {"tcptrace", "-n", "-l", "-r", path},
		"tshark":   {"tshark", "-n", "-q", "-z", "conv,tcp", "-r", path},
		"capinfos": {"capinfos", "-c", path},
	}
}

// packages are the Debian packages of the peers.
var packages = map[string]string{"tcptrace": "tcptrace", "tshark": "tshark", "capinfos": "wireshark-common"}

// rounds is how often each program runs at least; medians are reported.
const rounds = 3

// compare runs the programs in turn and reports packets per second, peak memory, and the ratios.
func compare(b *testing.B, packets int, path string, programs map[string][]string) {
	b.Helper()
	for name, args := range programs {
		if _, err := exec.LookPath(args[0]); err != nil {
			b.Logf("NOT COMPARED: %s is not installed (apt-get install %s)", name, packages[name])
			delete(programs, name)
		}
	}
	times, peaks := map[string][]float64{}, map[string]float64{}
	round := func() {
		for _, name := range slices.Sorted(maps.Keys(programs)) {
			rate, peak := measure(b, packets, path, programs[name])
			times[name] = append(times[name], rate)
			peaks[name] = max(peaks[name], peak)
		}
	}
	for b.Loop() {
		round()
	}
	for len(times["ours"]) < rounds {
		round()
	}
	median := func(name string) float64 {
		slices.Sort(times[name])
		return times[name][len(times[name])/2]
	}
	for name, peak := range peaks {
		b.ReportMetric(median(name)/1e6, name+"-Mpackets/s")
		b.ReportMetric(peak, name+"-MiB")
		if name != "ours" {
			b.ReportMetric(median("ours")/median(name), "times-"+name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// measure runs a program and returns packets per second and its peak memory in MiB.
func measure(b *testing.B, packets int, path string, args []string) (rate, peak float64) {
	b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childCapture+"="+path)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("run %v: %v", args, err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	unit := 1024.0 // ru_maxrss is in KiB on Linux, in bytes on macOS
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(packets) / time.Since(begin).Seconds(), float64(usage.Maxrss) * unit / (1 << 20)
}
