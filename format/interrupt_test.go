package format

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stopAfter is done once it was asked often enough: in the middle of a member.
type stopAfter struct {
	context.Context
	asked, most int
}

func (s *stopAfter) Err() error {
	if s.asked++; s.asked > s.most {
		return context.Canceled
	}
	return nil
}

// Wherever an interrupt comes, no file is half there: neither under its name nor beside it.
func TestExtractInterrupted(t *testing.T) {
	large := noise(2*bulkFrame, 13)
	items := append(smallItems(), item{name: "packets.pcapng", data: large})
	b := bundleBytes(t, items)
	interrupted := 0
	for most := 0; ; most = most*3/2 + 1 {
		dir := t.TempDir()
		_, err := Extract(&stopAfter{t.Context(), 0, most}, openBytes(t, b), dir, nil)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		whole := contents(t, b)
		for name, text := range files(t, filepath.Join(dir, testName)) {
			if string(whole[name]) != text && localName(name, "linux") == name {
				t.Errorf("after %d reads %s has %d bytes, want %d or no such file", most, name, len(text), len(whole[name]))
			}
		}
		if err == nil {
			break
		}
		interrupted++
	}
	if interrupted < 5 {
		t.Errorf("interrupted %d times only", interrupted)
	}
}

// What a kill left of a file keeps its name, and is not written over.
func TestExtractBesideLeftovers(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.WriteFile(partialFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = extract(t.Context(), root, "vitals.csv", io.LimitReader(strings.NewReader("x"), 1))
	if !errors.Is(err, os.ErrExist) || !strings.HasSuffix(err.Error(), "left it: then remove it") {
		t.Errorf("%v, want %v, and what to do", err, os.ErrExist)
	}
	if left, err := root.ReadFile(partialFile); err != nil || string(left) != "half" {
		t.Errorf("%q, %v", left, err)
	}
}
