//go:build linux

package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/ring"
)

// printk's clock runs away from CLOCK_MONOTONIC. Lines that come while the log is read show
// how far it is, to less than the time between two reads, on a host that has been up for a year.
func TestDriftIsMeasured(t *testing.T) {
	const year = int64(365 * 24 * time.Hour)
	for _, ppm := range []int64{0, 20, -20, 500, -500} {
		drift := func(mono int64) int64 { return mono - mono*ppm/1_000_000 } // printk's clock
		rng := rand.New(rand.NewPCG(1, uint64(ppm)))
		var p printk
		old := year - int64(time.Hour)
		p.see(drift(old), arrival{0, year}) // was there when it was opened
		if got := p.details(year)["printk_lines"]; got != "0" {
			t.Errorf("%d ppm: %s lines measured before one came", ppm, got)
		}
		for tick := range int64(4 * 3600) { // an hour, with a line in every other minute
			now := year + tick*int64(time.Second)/4
			if tick%480 != 7 {
				continue
			}
			written := now - rng.Int64N(int64(time.Second)/4)
			came := arrival{now - int64(time.Second)/4, now}
			p.see(drift(written), came)
			if got := p.place(drift(written), came); got < came.after || got > came.until {
				t.Fatalf("%d ppm: a line of %d is put at %d, outside of when it came", ppm, written, got)
			}
		}
		now := year + int64(time.Hour)
		d := p.details(now)
		offset, _ := strconv.ParseInt(d["printk_offset_ns"], 10, 64)
		uncertain, _ := strconv.ParseInt(d["printk_uncertainty_ns"], 10, 64)
		off := time.Duration(offset - (now - drift(now))).Abs()
		if off > 250*time.Millisecond || off > time.Duration(uncertain) || uncertain > int64(250*time.Millisecond) || d["printk_lines"] != "30" {
			t.Errorf("%d ppm: measured %v off, said %v off at most, of %s lines", ppm, off, time.Duration(uncertain), d["printk_lines"])
		}
		if early := time.Duration(p.place(drift(old), arrival{0, year}) - old).Abs(); early > 5*time.Second {
			t.Errorf("%d ppm: a line of an hour before is put %v off", ppm, early)
		}
	}
}

// Without a line nothing is measured, and the manifest says how far off that may be.
func TestDriftWithoutALine(t *testing.T) {
	var p printk
	d := p.details(int64(30 * 24 * time.Hour))
	if d["printk_offset_ns"] != "0" || d["printk_lines"] != "0" || d["printk_uncertainty_ns"] != strconv.FormatInt(int64(1297*time.Second), 10) {
		t.Errorf("%v, want no offset and an uncertainty of 1297 s: 500 ppm of 30 days and a second", d)
	}
}

// A clock that jumped, as at a suspend, is measured anew and not held by what was.
func TestDriftAfterAJump(t *testing.T) {
	var p printk
	p.see(1e12, arrival{1e12, 1e12 + 1e8})
	p.see(2e12-60e9, arrival{2e12, 2e12 + 1e8})
	if got := p.offset(); got < 60e9 || got > 60e9+1e8 {
		t.Errorf("offset %d after a jump of a minute", got)
	}
}

// What the log's reader measures on a pipe in /dev/kmsg's place, whose stamps are seven
// seconds behind: they are put where they were written.
func TestLinesArePlacedWhereTheyWereWritten(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "dev/kmsg")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	k := OpenKernelLog(root, testns.Log(func(line string) { t.Error(line) }))
	defer k.Close()
	now := int64(1e15)
	k.mono = func() int64 { now += 1000; return now }
	base := host.Moment{At: time.Now(), Realtime: 1e18, Monotonic: 1e15}
	var written []int64
	for range 20 {
		now += int64(100 * time.Millisecond)
		written = append(written, now)
		fmt.Fprintf(pipe, "4,1,%d,-;line\n", (now-7e9)/1000)
		now += int64(150 * time.Millisecond)
		k.Read(nil)
	}
	end := base.At.Add(time.Minute)
	i := 0
	k.lines.Each(func(l *LogLine) {
		if d := time.Duration(k.clock.place(l.Stamp, l.came) - written[i]).Abs(); d > 130*time.Millisecond {
			t.Errorf("line %d is put %v off", i, d)
		}
		i++
	})
	if src := k.Source(base.At, base); i != 20 || src.Details["printk_lines"] != "20" {
		t.Errorf("%d lines, source %+v", i, src)
	}
	if len(k.Cut(base.At, end, base)) == 0 {
		t.Error("no line in the window")
	}
}

// The first line of all, written right after arming, may have been written before it as far as is known: it is in the window.
func TestLineAtTheEdge(t *testing.T) {
	clock := host.Now()
	armed := time.Now()
	k := &KernelLog{lines: ring.NewNewest[LogLine](8)}
	at := clock.Mono(armed)
	line := LogLine{Stamp: at + 1e6, Text: "table full", came: arrival{at - 200e6, at + 50e6}}
	k.clock.see(line.Stamp, line.came)
	k.lines.Push(line)
	old := LogLine{Stamp: at - 1e9, Text: "long ago", came: arrival{at - 1100e6, at - 900e6}}
	k.lines.Push(old)
	got := string(k.Cut(armed, armed.Add(time.Second), clock))
	if !strings.Contains(got, "table full") || strings.Contains(got, "long ago") {
		t.Errorf("the window holds %q", got)
	}
}
