package format

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestBasic(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "web1-20260102T030405Z-rtt", time.Unix(1767323045, 999))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Manifest(&Manifest{}))
	must(w.Add("vitals.csv", []byte("time,rtt\n1,2\n")))
	for i := range 100 {
		must(w.Add(fmt.Sprintf("snapshots/2026-01-02T03:04:%02d.000000000Z/proc/net/netstat", i), bytes.Repeat([]byte("TcpExt: 1 2 3\n"), 1000)))
	}
	big := make([]byte, 13<<20)
	rand.New(rand.NewSource(1)).Read(big[:6<<20])
	must(w.Add("packets.pcapng", big))
	p, err := w.Commit()
	must(err)
	must(w.Abort())
	r, err := Open(p, Limits{})
	must(err)
	fmt.Println(r.Manifest, len(r.Members()), r.Damage(), r.frames)
	for _, e := range Check(r) {
		t.Error(e)
	}
	f, err := r.Open("packets.pcapng")
	must(err)
	b, err := io.ReadAll(f)
	must(err)
	if !bytes.Equal(b, big) {
		t.Error("differs")
	}
	out, err := exec.Command("sh", "-c", "cd "+dir+"; zstd -t *.zst; zstd -lv *.zst; tar --zstd -xf *.zst; bsdtar -tvf *.zst | head -3;  cd web*; sha256sum -c SHA256SUMS | grep -v OK; ls -lR . | head").CombinedOutput()
	fmt.Println(string(out), err)
	_, err = Extract(r, filepath.Join(dir, "x"))
	must(err)
	_ = os.Stdout
}
