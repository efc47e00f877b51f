//go:build linux

package hang

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFileHangsWhileHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proc", "file")
	m := File(t, path, "text\n")
	if text, err := os.ReadFile(path); err != nil || string(text) != "text\n" {
		t.Fatalf("%q, %v", text, err)
	}
	m.Hold()
	done := make(chan string)
	go func() {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error())
		}
		done <- string(text)
	}()
	for end := time.Now().Add(30 * time.Second); m.Hanging() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing hangs")
		}
	}
	select {
	case text := <-done:
		t.Fatalf("read %q while it is held", text)
	case <-time.After(50 * time.Millisecond):
	}
	m.Release()
	if text := <-done; text != "text\n" {
		t.Errorf("read %q after it was let go", text)
	}
}
