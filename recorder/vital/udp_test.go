//go:build linux

package vital

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Each step is a look after 250 ms, with the bytes that wait at one socket.
func TestDeafness(t *testing.T) {
	calm := make([]uint64, 60) // 15 s
	begins := []uint64{1, 2, 3, 4, 5, 5, 5, 5}
	for name, c := range map[string]struct {
		looks []uint64
		want  time.Duration // after the last of them
	}{
		"empty":                          {calm, 0},
		"asked and stopped":              {join(calm, begins), 1750 * time.Millisecond},
		"full":                           {join(calm, []uint64{1, 2, 3, 4, 9}, repeat(9, 16)), 5 * time.Second},
		"read between two looks":         {join(calm, []uint64{3}, calm[:4], []uint64{3}, calm[:4], begins), 1750 * time.Millisecond},
		"slow, but it reads":             {join(calm, []uint64{1, 2, 3, 4, 5, 6, 7, 6}), 0},
		"two datagrams, and no more":     {join(calm, []uint64{1}, repeat(2, 20)), 0},
		"nobody has ever read it":        {join([]uint64{3}, begins), 0},
		"the first broadcast comes soon": {join(calm[:8], begins), 0},
		"read every ten seconds":         {join(calm, []uint64{1}, repeat(2, 12), calm[:24], begins), 0},
		"it is no news any more":         {join(calm, begins, repeat(5, 250)), 0},
	} {
		d, now, got := newDeafness(), time.Unix(1000, 0), time.Duration(0)
		for _, length := range c.looks {
			now = now.Add(250 * time.Millisecond)
			got = d.add(now, 1, length)
			d.end(now)
		}
		if got != c.want {
			t.Errorf("%s: deaf for %v, want %v", name, got, c.want)
		}
	}
}

func join(parts ...[]uint64) (all []uint64) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func repeat(v uint64, n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = v
	}
	return all
}

// The kernel's own queue: what is not read waits, of a service and not of who asked it; what is read does not.
func TestUDPQueues(t *testing.T) {
	testns.Run(t, func() {
		service, err := net.ListenPacket("udp6", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer service.Close()
		client, err := net.Dial("udp6", service.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/proc/thread-self/net", filepath.Join(root, "proc/net")); err != nil {
			t.Fatal(err)
		}
		opened, err := openUDP(Env{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		r := opened.(*udpReader)
		defer r.Close()
		waits := func() bool {
			t.Helper()
			if err := r.look(); err != nil {
				t.Fatal(err)
			}
			return r.waits
		}
		if waits() {
			t.Error("something waits though nobody asked")
		}
		if _, err := client.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		if !waits() {
			t.Error("nobody has read the question, and nothing waits")
		}
		b := make([]byte, 16)
		_, from, err := service.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.WriteTo(b, from); err != nil {
			t.Fatal(err)
		}
		if waits() {
			t.Error("something waits though only an answer does, which the client is to read")
		}
	})
}
