package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/term"

	"github.com/spikebox/spikebox/format/plain"
)

// Out is standard output for text and JSON: what commands print goes through it, and
// through nothing else, so that no text of a stranger commands the terminal.
var Out = plain.NewWriter(stdout)

// errors go the same way, a line each: see [Say].
var errOut = plain.NewWriter(stderr)

// stream is one of the process's files as it is at the time of writing: tests replace them.
type stream func() *os.File

var (
	stdout stream = func() *os.File { return os.Stdout }
	stderr stream = func() *os.File { return os.Stderr }
)

// Write writes to the file.
func (s stream) Write(p []byte) (int, error) { return s().Write(p) }

// Say writes one line to standard error. A line feed in it, which a file name or a kernel
// message may hold, begins no second one.
func Say(format string, args ...any) {
	// Nobody is left to be told where standard error cannot be written.
	_ = errOut.Line(false, plain.Span{Text: fmt.Sprintf(format, args...)})
}

// Warn says what is amiss although the command goes on: to the journal, as a warning.
func Warn(format string, args ...any) { Say(priority(journal.PriWarning)+format, args...) }

// fail says why the command does not go on.
func fail(format string, args ...any) { Say(priority(journal.PriErr)+format, args...) }

// priority is what a line begins with whose priority journald takes from its first bytes (sd-daemon(3)); empty where
// standard error goes elsewhere.
func priority(p journal.Priority) string {
	if is, _ := journal.StderrIsJournalStream(); !is {
		return ""
	}
	return fmt.Sprintf("<%d>", p)
}

// Raw is standard output byte for byte, for members and paths that another program reads. On
// a terminal nothing is: there it is Out.
func Raw() io.Writer {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return Out
	}
	return stdout
}
