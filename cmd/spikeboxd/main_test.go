//go:build linux

package main

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spikeboxd": main})
}

// The command line as its users meet it. A recorder that a script arms by mistake, because a
// flag was not refused, would run for ever: the deadline ends it, and the script has failed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(6 * patience), // a script arms up to five recorders
		Setup: func(e *testscript.Env) error {
			e.Setenv("newline", "\n")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": clitest.Code, "await": await},
		Condition: func(cond string) (bool, error) {
			return cond == "packets" && canCapture(), nil
		},
	})
}

// canCapture says whether packet(7) sockets may be opened here, which recording packets needs.
func canCapture() bool {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// patience is how long a loaded machine may need until a recorder is armed.
const patience = 30 * time.Second

// await runs "await FILE REGEXP": it waits until a line of FILE matches, which a recorder in
// the background writes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	var said []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		said, _ = os.ReadFile(ts.MkAbs(args[0])) // not there yet
		if want.Match(said) {
			return
		}
	}
	ts.Fatalf("waited %v for %s in %s:\n%s", patience, args[1], args[0], said)
}
