//go:build linux

package recorder

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/recorder/host"
)

// A recorder that was armed before its host had its name goes on under the old one, and says so once.
func TestRenamed(t *testing.T) {
	for armedAs, lines := range map[string]int{host.Facts().Name: 0, "localhost-of-another-test": 1} {
		var log bytes.Buffer
		r := &Recorder{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}}
		r.host.Name = armedAs
		r.renamed()
		r.renamed()
		if n := strings.Count(log.String(), armedAs+", its name at arming"); n != lines {
			t.Errorf("armed as %s: %d lines, want %d:\n%s", armedAs, n, lines, log.String())
		}
	}
}
