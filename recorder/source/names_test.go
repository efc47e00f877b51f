//go:build linux

package source

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

// Who may name an interface names files of /sys, and a kernel takes any byte but '/', ':'
// and white space: no such name costs the bundle.
func TestNamesOfInterfacesAreNoDamage(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{`a\b`, "a_b", "\x1b[2J", "\u202egpj", "\u009b", "\xff\xfe", "a%5Cb", "%"} {
		dir := filepath.Join(root, "sys/class/net", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "operstate"), []byte("up\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var sink Sink
	if err := collectTexts(context.Background(), Env{Root: root}, &sink); err != nil || len(sink.Members) != 8 {
		t.Fatalf("%d texts, %v", len(sink.Members), err)
	}
	w, err := format.Create(t.TempDir(), "web1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Manifest(&format.Manifest{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range sink.Members {
		if err := w.Add(m.Name, nil); err != nil {
			t.Error(err)
		}
	}
}
