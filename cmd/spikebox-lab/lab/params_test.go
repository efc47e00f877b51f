//go:build linux

package lab

import (
	"strings"
	"testing"
)

func TestSize(t *testing.T) {
	s := &Stage{params: map[string]string{"a": "32MiB", "b": "64KiB", "c": "4096", "d": "4 parsecs"}}
	for name, want := range map[string]int{"a": 32 << 20, "b": 64 << 10, "c": 4096} {
		if got := s.Size(name); got != want {
			t.Errorf("%s: %d bytes, want %d", s.params[name], got, want)
		}
	}
	if err := s.play(func(s *Stage) { s.Size("d") }); err == nil || !strings.Contains(err.Error(), "--d") {
		t.Errorf("a size that is none gives the error %v", err)
	}
}
