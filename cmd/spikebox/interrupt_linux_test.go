package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/internal/clitest"
	"github.com/spikebox/spikebox/format"
)

// An interrupt while packets are read ends with its exit code, and nothing is in -o.
func TestInterruptedAnalysis(t *testing.T) {
	capture, err := os.ReadFile(filepath.Join(build(t), "listen-overflow-capture.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "report")
	cmd := exec.Command("spikebox", "analyze", "-o", dir, "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than the pipe and all buffers hold: when it is written, the command reads. The pipe
	// stays open, so that reading does not end.
	for range 4 << 20 / len(capture) {
		if _, err := stdin.Write(capture); err != nil {
			t.Fatal(err)
		}
	}
	if code := interrupted(t, cmd); code != cli.Interrupted {
		t.Errorf("exit code %d, want %d", code, cli.Interrupted)
	}
	if left, err := os.ReadDir(dir); err == nil {
		t.Errorf("%v lie in -o", left)
	}
}

// An interrupt while a bundle is unpacked leaves whole files only.
func TestInterruptedExtraction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large"+format.Ext)
	writeLarge(t, path)
	dir := t.TempDir()
	cmd := exec.Command("spikebox", "extract", "-o", dir, path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing was unpacked")
		}
	}
	// A busy machine may let it end before.
	if code := interrupted(t, cmd); code != cli.Interrupted && code != cli.Done {
		t.Errorf("exit code %d, want %d", code, cli.Interrupted)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err != nil || filepath.Base(path) == "packets.pcapng" && info.Size() != largeSize || strings.Contains(path, "partial") {
			t.Errorf("%s has %d bytes, %v", path, info.Size(), err)
		}
	}
}

// largeSize takes half a second to unpack. A little noise keeps it from being refused as a bomb.
const largeSize = 512 << 20

func writeLarge(t *testing.T, path string) {
	t.Helper()
	w, err := format.Create(filepath.Dir(path), "large", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Manifest(&format.Manifest{}); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	err = w.AddSized("packets.pcapng", largeSize, func(to io.Writer) error {
		noise := rand.NewChaCha8([32]byte{})
		for range largeSize / len(block) {
			noise.Read(block[:4<<10])
			if _, err := to.Write(block); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// interrupted sends SIGINT and gives the exit code.
func interrupted(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says no more than the code
	return cmd.ProcessState.ExitCode()
}

// On a terminal a member is text like any other; in a file and a pipe it is what it was.
func TestExtractToTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x"+format.Ext)
	if err := os.WriteFile(path, poisoned(t, poisons["names"]), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"extract", "-o", "-", path, "kmsg.txt"}
	if out := spikebox(t, args...); !bytes.Contains(out.stdout, []byte(token)) {
		t.Errorf("a pipe gets %q", out.stdout)
	}
	master, slave := clitest.Terminal(t)
	cmd := exec.Command("spikebox", args...)
	cmd.Stdout = slave
	said := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(master) // EIO when the last slave is closed
		said <- text
	}()
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != cli.Damaged { // of the names that are refused
		t.Error(err)
	}
	slave.Close()
	text := <-said
	if bad := shown(string(text), "\r\n\t"); bad != "" || !bytes.Contains(text, []byte(`\u202e`)) {
		t.Errorf("a terminal gets %s of %d bytes", bad, len(text))
	}
}
