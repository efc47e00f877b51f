//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// mostMemory is what no input of at most 64 MiB may make any command take.
	mostMemory = 512 << 20
	// mostTime likewise, of a CPU: tests share machines. What waits without an end is ended after mostWait.
	mostTime = 60 * time.Second
	mostWait = 10 * time.Minute
	// smallBomb is the size of what a bomb unpacks to in every test run, with the first command, and for each second bomb another;
	// largeBomb is that of make test-hostile, where all bounds are reached, with all commands.
	smallBomb, largeBomb = 2 << 20, 128 << 20
)

// hostileCommands are all that read a stranger's file: of bundles, and of captures.
var (
	worstBundle = [][]string{
		{"analyze"}, {"analyze", "--json"}, {"inspect"}, {"verify"}, {"flows", "--sort", "bytes"}, {"timeline"},
		{"histogram"}, {"replay", "--trigger", "syn_recv > 1"}, {"extract", "-o", "OUT"},
		{"packets"}, {"packets", "--finding", "unexplained"}, {"diff", "IN"}, {"explain", "unexplained"},
		{"show", "kmsg"}, {"show", "stacks"}, {"show", "sockets"}, {"show", "events"}, {"show", "drops"}, {"show", "conntrack"},
		{"show", "processes"}, {"show", "settings"}, {"watch", "--once", "-o", "OUT"},
	}
	worstCapture = [][]string{
		{"analyze"}, {"flows"}, {"flows", "--csv"}, {"flows", "--json"}, {"flows", "--sort", "bytes"},
		{"flows", "--events", "1"}, {"flows", "--events", "1", "--json"}, {"packets", "--frame", "1"},
		{"packets"}, {"packets", "--flow", "1"}, {"packets", "--finding", "syn-retransmit"}, {"explain", "syn-retransmit"},
		{"analyze", "IN"}, {"analyze", "IN", "IN"}, {"timeline"}, {"packets", "-w", "-"},
	}
	worstLog  = [][]string{{"analyze", goodBundle, "--logs"}, {"timeline", goodBundle, "--logs"}, {"analyze", "--json", goodBundle, "--logs", "IN", "--logs"}}
	worstForm = [][]string{{"analyze"}, {"verify"}, {"inspect"}, {"packets"}, {"extract", "-o", "OUT"}, {"show", "settings"}, {"diff", "IN"}}
)

// goodBundle is what a hostile file comes with.
const goodBundle = "../../testdata/bundles/v1/listen-overflow.spike.tar.zst"

// Whatever a stranger sends, no command takes all memory or all day, or panics. With -v it says
// for each command the size of the file, the peak memory and the CPU time.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes and reads some hundred files")
	}
	size, all := int64(smallBomb), false
	if os.Getenv("SPIKEBOX_TEST_HOSTILE") != "" {
		size, all = largeBomb, true
	}
	for _, kind := range []struct {
		bombs    []bomb
		commands [][]string
	}{{bundleBombs, worstBundle}, {captureBombs, worstCapture}, {logBombs, worstLog}, {formBombs, worstForm}} {
		for i, b := range kind.bombs {
			commands := kind.commands
			if other := 1 + i%(len(commands)-1); !all {
				commands = [][]string{commands[0], commands[other]}[:1+i%2]
			}
			t.Run(b.name, func(t *testing.T) {
				path := made(t, b.name, size)
				info, err := os.Stat(path)
				if err != nil || info.Size() > 64<<20 {
					t.Fatalf("the bomb has %d bytes, which is not the question here (%v)", info.Size(), err)
				}
				for _, c := range commands {
					memory, took := explode(t, path, c)
					t.Logf("%6d KiB %4d MiB %5.1f s  %s", info.Size()>>10, memory>>20, took.Seconds(), strings.Join(c, " "))
				}
			})
		}
	}
}

// made makes a bomb in a process of its own: a process that execve(2) starts inherits the peak
// memory of the one that it was forked from (fs/exec.c, exec_mmap, Linux 6.18), so that this one
// must stay small.
func made(t *testing.T, name string, size int64) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(self, "-test.run", "^TestMakeBomb$")
	cmd.Env = append(os.Environ(), "SPIKEBOX_BOMB="+name, "SPIKEBOX_BOMB_DIR="+dir, "SPIKEBOX_BOMB_SIZE="+strconv.FormatInt(size, 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v: %s", name, err, out)
	}
	paths, err := filepath.Glob(filepath.Join(dir, name+".*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("make %s: files %v, %v", name, paths, err)
	}
	return paths[0]
}

// TestMakeBomb is the process in which made makes a bomb.
func TestMakeBomb(t *testing.T) {
	name := os.Getenv("SPIKEBOX_BOMB")
	if name == "" {
		t.Skip("it is a part of TestHostile")
	}
	size, err := strconv.ParseInt(os.Getenv("SPIKEBOX_BOMB_SIZE"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range slices.Concat(bundleBombs, captureBombs, logBombs, formBombs) {
		if b.name == name {
			b.make(t, os.Getenv("SPIKEBOX_BOMB_DIR"), size)
		}
	}
}

// explode runs a command on a file, and gives its peak memory in bytes and its CPU time.
func explode(t *testing.T, path string, command []string) (memory int64, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mostWait)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(command), path)
	for i := range args {
		switch args[i] {
		case "OUT":
			args[i] = t.TempDir()
		case "IN":
			args[i] = path
		}
	}
	if command[0] == "watch" { // what arrives in a folder
		args[len(args)-1] = filepath.Dir(path)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "spikebox" // TestMain takes it for the program by this name
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	took = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // of wait4(2), in KiB
	code := cmd.ProcessState.ExitCode()
	if ctx.Err() != nil || took > mostTime || code < 0 || strings.Contains(stderr.String(), "goroutine ") {
		t.Errorf("%v: %v after %v, code %d: %.2000s", command, err, took, code, stderr.String())
	}
	if slices.Contains(command, "--logs") && code == 1 {
		t.Errorf("%v does not take the log, so that its bounds are not looked at: %.500s", command, stderr.String())
	}
	if memory > mostMemory {
		t.Errorf("%v took %d MiB, at most %d are allowed", command, memory>>20, mostMemory>>20)
	}
	return memory, took
}

// packed writes an archive of members as nobody's writer would.
func packed(t *testing.T, dir, name string, members map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	enc, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(enc)
	for member, text := range members {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name + "/" + member, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || enc.Close() != nil {
		t.Fatal("pack the bomb")
	}
	path := filepath.Join(dir, name+".spike.tar.zst")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
