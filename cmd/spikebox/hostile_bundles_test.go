//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// A bomb is the worst that a stranger can make of one kind of input.
type bomb struct {
	name string
	make func(t *testing.T, dir string, size int64) (path string)
}

// bundleBombs has one for every kind of member that a program reads, and for the container.
// A member of rows is filled with lines until it is so many bytes long.
var bundleBombs = []bomb{
	lines("empty-sockets", member.SocketsName, "", func(int) string { return "{}\n" }),
	lines("sockets-of-processes", member.SocketsName, "", func(i int) string {
		return `{"state":"LISTEN","local":"10.0.0.1","local_port":` + fmt.Sprint(i%65536) + `,"recv_q":9,"process":[{}` + strings.Repeat(",{}", 999) + "]}\n"
	}),
	lines("listeners", member.ListenersName, member.ListenersHeader, func(i int) string {
		return fmt.Sprintf("%d,10.%d.%d.%d,%d,,9,1\n", bombStart.UnixNano(), i>>24, i>>16&255, i>>8&255, i&255)
	}),
	lines("kernel-log", member.KmsgName, "", func(int) string { return "0 0 \n" }),
	lines("empty-events", member.EventsName, "", func(int) string { return "{}\n" }),
	lines("events-of-many-kinds", member.EventsName, "", func(i int) string { return fmt.Sprintf("{\"kind\":\"%d\",\"time\":%d}\n", i, i*1e9) }),
	lines("processes", member.ProcessesName, "", func(int) string { return "{}\n" }),
	lines("latencies", member.LatenciesName, "", func(i int) string {
		return fmt.Sprintf("{\"time\":%d,\"name\":\"%d\",\"buckets\":[0%s]}\n", i, i, strings.Repeat(",0", 63))
	}),
	lines("drops", member.DropsName, member.DropsHeader, func(i int) string { return fmt.Sprintf("1,R%d,p,1\n", i) }),
	lines("drops-over-time", member.DropsName, member.DropsHeader, func(i int) string { return fmt.Sprintf("%d,R%d,p,1\n", i, i) }),
	lines("conntrack", member.ConntrackName, "", func(i int) string {
		return fmt.Sprintf("tcp 6 1 S%d src=10.%d.%d.%d dst=1.1.1.1\n", i, i>>16&255, i>>8&255, i&255)
	}),
	lines("qdiscs", member.QdiscsName, "", func(i int) string { return fmt.Sprintf("{\"time\":%d,\"interface\":\"%d\",\"drops\":1}\n", i/9, i) }),
	lines("statistics", member.StatisticsName, "", func(i int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "{\"time\":%d,\"statistics\":{\"x\":1", i)
		for n := range 10_000 {
			fmt.Fprintf(&b, ",\"%d.%d\":1", i, n)
		}
		return b.String() + "}}\n"
	}),
	lines("vitals-long", member.VitalsName, "time,a,b\n", func(i int) string { return fmt.Sprintf("%d,,\n", i) }),
	lines("vitals-wide", member.VitalsName, "time"+commas(20_000)+"\n", func(i int) string { return fmt.Sprint(i) + commas(20_000)[:20_000] + "\n" }),
	lines("one-line", member.SocketsName, "", func(int) string { return "[" }),
	lines("no-line", member.KmsgName, "", func(int) string { return "\n" }),
	lines("interrupts", member.SnapshotName(bombStart, "proc/interrupts"), " CPU0 CPU1\n", func(i int) string { return fmt.Sprintf("%d: 1 1 x\n", i) }),
	lines("names", member.SnapshotName(bombStart, "proc/meminfo"), "", func(i int) string { return fmt.Sprintf("%d: 1\n", i) }),
	lines("zones", member.ConntrackSummaryName, `{"by_zone":{"x":0`, func(i int) string { return fmt.Sprintf(`,"%d":1`, i) }),
	files("snapshots-of-nothing", func(i int) (string, string) {
		text := "1 0\n"
		if i == 0 {
			for n := range 60_000 {
				text += fmt.Sprintf("n%d 1\n", n)
			}
		}
		return member.SnapshotName(bombStart.Add(time.Duration(i)), "proc/meminfo"), text
	}),
	files("snapshots-of-bonds", func(i int) (string, string) {
		return member.SnapshotName(bombStart, fmt.Sprintf("proc/net/bonding/%d", i)), "Bonding Mode: x\nSlave Interface: a\nMII Status: up\n"
	}),
	files("settings", func(i int) (string, string) {
		return member.SysctlMember(fmt.Sprintf("net/%d", i)), strings.Repeat("x", 4096)
	}),
	files("long-names", func(i int) (string, string) {
		return fmt.Sprintf("x/%0235d/%0235d", i, i), ""
	}),
	inGzip("zeros-in-gzip"),
	manifestOf("sources", `"sources":[`, `{},`, `{}]`),
	manifestOf("members", `"sources":[{"members":[`, `"",`, `""]}]`),
	manifestOf("vitals", `"vitals":[`, `{},`, `{}]`),
	manifestOf("warnings", `"warnings":[`, `"",`, `""]`),
	manifestOf("config", `"config":{`, `"%d":"",`, `"":""}`),
}

// bombStart is when every bomb begins.
var bombStart = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// commas gives a list of so many short names.
func commas(n int) string { return strings.Repeat(",x", n)[:2*n] }

// lines is a bundle in which one member has lines of one kind.
func lines(name, in, header string, line func(i int) string) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		return bombBundle(t, dir, name, size, func(w *format.Writer) error {
			return w.AddSized(in, size, func(out io.Writer) error {
				buffered := bufio.NewWriter(out)
				left := int(size)
				put := func(s string) {
					n, _ := buffered.WriteString(s[:min(len(s), left)])
					left -= n
				}
				put(header)
				for i := 0; left > 0; i++ {
					put(line(i))
				}
				return buffered.Flush()
			})
		})
	}}
}

// files is a bundle of as many members as a reader takes.
func files(name string, file func(i int) (name, text string)) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		n := int(min(size>>8, int64(format.DefaultLimits.MaxMembers-10)))
		return bombBundle(t, dir, name, size, func(w *format.Writer) error {
			for i := range n {
				in, text := file(i)
				if err := w.Add(in, []byte(text)); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

// bombBundle writes a bundle with so much noise that its ratio is no reason to refuse it.
func bombBundle(t *testing.T, dir, name string, size int64, add func(w *format.Writer) error) string {
	t.Helper()
	w, err := format.Create(dir, name, bombStart)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	m := &format.Manifest{Format: format.Version, Name: name, Window: format.Window{Start: bombStart, Trigger: bombStart, End: bombStart.Add(time.Minute)}}
	m.Trigger.Time = bombStart
	noise := make([]byte, size/500)
	fill := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(fill.Uint32())
	}
	path := ""
	err = errors.Join(w.Manifest(m), add(w), w.NewFrame(), w.Add("noise", noise))
	if err == nil {
		path, err = w.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inGzip is an archive of zeros in gzip, which are packed anew before they are read.
func inGzip(name string) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		path := filepath.Join(dir, name+".tar.gz")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := gzip.NewWriter(f)
		w := tar.NewWriter(z)
		add := func(name string, size int64, content io.Reader) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x/" + name, Mode: 0o644, Size: size}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(w, content, size); err != nil {
				t.Fatal(err)
			}
		}
		manifest := `{"format":1,"name":"x"}`
		add(format.ManifestName, int64(len(manifest)), strings.NewReader(manifest))
		add(member.SocketsName, 64*size, zeros{}) // 8 GiB where all bounds are reached
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}}
}

// zeros gives them without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// manifestOf is a bundle whose manifest is as long as a reader takes it, and holds a list of
// one thing. No writer of ours would make it.
func manifestOf(what, begin, entry, end string) bomb {
	return bomb{"manifest-of-" + what, func(t *testing.T, dir string, _ int64) string {
		const size = 2<<20 - 1024
		var b strings.Builder
		b.WriteString(`{"format":1,"name":"x",` + begin)
		for i := 0; b.Len() < size; i++ {
			if strings.Contains(entry, "%d") {
				fmt.Fprintf(&b, entry, i)
			} else {
				b.WriteString(entry)
			}
		}
		b.WriteString(end + "}")
		return packed(t, dir, "manifest-of-"+what, map[string]string{format.ManifestName: b.String()})
	}}
}
