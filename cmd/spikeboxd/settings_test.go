//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A configuration may come through a pipe. One that does not come is told of, and keeps nobody waiting.
func TestReadConfigPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "spikeboxd.conf")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(pipe, time.Millisecond); err == nil || !strings.HasSuffix(err.Error(), "spikeboxd.conf: nothing came within 1ms") {
		t.Errorf("nobody writes: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other.conf")
	if err := unix.Mkfifo(other, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(other, []byte("keep 5\n"), 0) }()
	if text, err := readConfig(other, time.Minute); err != nil || string(text) != "keep 5\n" {
		t.Errorf("%q, %v", text, err)
	}
}
