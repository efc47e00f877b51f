//go:build linux

package soak

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/vm"
)

// inVM is where a VM has the recorder; there alone the clock may be set.
const inVM = "/bin/spikeboxd"

func isVM() bool {
	_, err := os.Stat(inVM)
	return err == nil
}

// TestSoakInVM is TestSoak on another kernel, where the clock steps, too.
func TestSoakInVM(t *testing.T) {
	duration := os.Getenv("SPIKEBOX_SOAK_VM")
	if duration == "" {
		t.Skip("needs a VM, and some minutes: run make soak-vm")
	}
	dir := t.TempDir()
	self, recorder := filepath.Join(dir, "soak.test"), filepath.Join(dir, "spikeboxd")
	compile(t, "test", "-c", "-o", self, "github.com/spikebox/spikebox/recorder/internal/soak")
	compile(t, "build", "-o", recorder, "github.com/spikebox/spikebox/cmd/spikeboxd")
	k, err := vm.Find(t.Context(), vm.Targets[2]) // that most servers run next
	if err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	long, err := time.ParseDuration(duration)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 4*long+20*time.Minute) // everything is slow there
	defer cancel()
	code, err := k.Run(ctx, vm.Payload{
		Binary: self, Args: []string{"-test.run=TestSoak$", "-test.v", "-test.timeout=0"}, Env: []string{"SPIKEBOX_SOAK=" + duration},
		Files: map[string]string{inVM: recorder}, Modules: []string{"veth", "tcp_diag"}, Memory: 1024,
	}, os.Stdout)
	if err != nil || code != 0 {
		t.Errorf("kernel %s: exit code %d, %v", k.Release, code, err)
	}
}
