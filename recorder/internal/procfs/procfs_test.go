//go:build linux

package procfs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Read gives the text anew each time, also when it has grown beyond the buffer.
func TestFileReadsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	for _, size := range []int{10, 8 << 10, 100_000, 3} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open("/", path)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := f.Read(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes (%v), want %d", len(got), err, size)
			}
		}
		f.Close()
	}
}
