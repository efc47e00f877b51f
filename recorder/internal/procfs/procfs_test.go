//go:build linux

package procfs

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTablePicksByName(t *testing.T) {
	text := []byte("TcpExt: A ListenOverflows B ListenDrops\nTcpExt: 1 2 3 4\nIpExt: ListenDrops X\nIpExt: 9 8\n")
	table := Table{Columns: []string{"TcpExt:ListenDrops", "TcpExt:Gone", "IpExt:X", "TcpExt:ListenOverflows"}}
	out := []uint64{7, 7, 7, 7}
	for range 2 { // the second time by the index
		if err := table.Pick(text, out); err != nil {
			t.Fatal(err)
		}
		if want := []uint64{4, 0, 8, 2}; !slices.Equal(out, want) {
			t.Errorf("picked %v, want %v", out, want)
		}
	}
	if err := table.Pick([]byte("TcpExt: A\nIpExt: 1\n"), out); err == nil {
		t.Error("two lines of different tables were taken for one")
	}
}

func TestTableOfThisKernel(t *testing.T) {
	f, err := Open("/", "proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	table := Table{Columns: []string{"Tcp:RtoMin", "Tcp:RtoMax"}}
	out := make([]uint64, 2)
	if err := table.Pick(text, out); err != nil || out[0] != 200 || out[1] != 120000 {
		t.Errorf("RtoMin and RtoMax are %v (%v), want 200 and 120000 ms as on every kernel", out, err)
	}
}

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

func FuzzPick(f *testing.F) {
	f.Add([]byte("TcpExt: A B\nTcpExt: 1 2\n"))
	f.Add([]byte("Tcp: A\nTcp:\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table := Table{Columns: []string{"TcpExt:A"}}
		out := make([]uint64, 1)
		_ = table.Pick(text, out) // must not panic
		_ = table.Pick(text, out)
	})
}
