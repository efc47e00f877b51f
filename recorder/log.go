//go:build linux

package recorder

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// logLines is how many lines wait for a reader: more than a burst of 300 interfaces that
	// come at once, and 100 KiB of them.
	logLines = 1024
	// flushMost is how long the end waits for the lines that are left.
	flushMost = 2 * time.Second
)

// lines is a queue before a writer that may block, such as a pipe that nobody reads. To put
// a line into it never does: where it is full the line is dropped and counted.
type lines struct {
	queue   chan line
	quit    chan struct{}
	dropped atomic.Uint64
}

// line is one line, or a question whether all before it are written.
type line struct {
	text    string
	written chan<- struct{}
}

// newLines makes a queue before write. Tell, if given, makes the line that says how many
// were dropped, once the writer has caught up.
func newLines(write func(string), tell func(dropped uint64) string) *lines {
	l := &lines{queue: make(chan line, logLines), quit: make(chan struct{})}
	go l.serve(write, tell)
	return l
}

// put has a line written soon.
func (l *lines) put(text string) {
	select {
	case l.queue <- line{text: text}:
	default:
		l.dropped.Add(1)
	}
}

func (l *lines) serve(write func(string), tell func(uint64) string) {
	told := uint64(0)
	for {
		var next line
		select {
		case next = <-l.queue:
		case <-l.quit:
			return
		}
		if next.written != nil {
			close(next.written)
			continue
		}
		write(next.text)
		// Behind the lines that had waited: they are older than those that were dropped.
		if dropped := l.dropped.Load(); len(l.queue) == 0 && dropped > told && tell != nil {
			write(tell(dropped - told))
			told = dropped
		}
	}
}

// flush waits until all is written, but not beyond most, and ends the writer. What is put
// afterwards is lost.
func (l *lines) flush(most time.Duration) {
	defer close(l.quit)
	late := time.After(most)
	written := make(chan struct{})
	select {
	case l.queue <- line{written: written}:
	case <-late:
		return
	}
	select {
	case <-written:
	case <-late:
	}
}

// droppedLines is said when the log takes lines again.
func droppedLines(n uint64) string {
	return fmt.Sprintf("the log took nothing for a while: %d lines were dropped", n)
}

// unblock puts a queue before each thing that the recorder writes to. The flush that it
// gives ends them.
func (c *Config) unblock() (log *lines, flush func()) {
	log = newLines(c.Log, droppedLines)
	c.Log = log.put
	if c.Written == nil {
		return log, func() { log.flush(flushMost) }
	}
	written := newLines(c.Written, nil)
	c.Written = written.put
	return log, func() {
		written.flush(flushMost)
		log.flush(flushMost)
	}
}
