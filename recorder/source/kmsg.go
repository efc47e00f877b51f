//go:build linux

package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/ring"
)

const (
	// kmsgRecord is the largest record that /dev/kmsg gives (kernel/printk/internal.h,
	// PRINTK_MESSAGE_MAX; 8192 in its extended form before 6.4).
	kmsgRecord = 8192
	// kmsgLine bounds what is kept of one line; real ones rarely have 200 bytes.
	kmsgLine = 512
	// kmsgLines is more than the kernel's rate limits let through in the longest window
	// but for a dump of all tasks.
	kmsgLines = 4096
	// kmsgOld bounds what is read at the start: the kernel's buffer has 16 MiB at the most
	// that anybody sets (log_buf_len), and a record some 100 bytes.
	kmsgOld = 1 << 18
)

// LogLine is one record of the kernel log.
type LogLine struct {
	Stamp int64 // ns of printk's clock (kernel/printk/printk.c, local_clock)
	Level int   // 0 emergency … 7 debug
	Text  string
	came  arrival
}

// KernelLog follows the kernel log in a ring, without a thread: Read takes what is new.
type KernelLog struct {
	fd      int
	mono    func() int64 // CLOCK_MONOTONIC, ns
	drained int64        // when there was nothing more to read last, by mono; 0 before
	clock   printk
	lines   *ring.Newest[LogLine]
	buf     []byte
	lost    uint64 // times that records were overwritten before we read them
	failed  error
}

// OpenKernelLog opens /dev/kmsg and reads what it holds already.
func OpenKernelLog(root string, log *slog.Logger) *KernelLog {
	k := &KernelLog{fd: -1, mono: host.Monotonic, lines: ring.NewNewest[LogLine](kmsgLines), buf: make([]byte, kmsgRecord)}
	fd, err := unix.Open(filepath.Join(root, "dev/kmsg"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		k.failed = fmt.Errorf("open /dev/kmsg: %w", err)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			k.failed = fmt.Errorf("%w: it needs CAP_SYSLOG", k.failed)
		}
		log.Warn("the kernel log is not recorded: " + k.failed.Error())
		return k
	}
	k.fd = fd
	k.read(kmsgOld, nil)
	k.lost = 0 // what was overwritten before we came is nobody's loss
	return k
}

// Read takes the records that came since the last Read and calls fresh, if given, for each.
// It never waits, and of a flood it takes as many as are kept: the rest is for the next tick.
func (k *KernelLog) Read(fresh func(*LogLine)) { k.read(kmsgLines, fresh) }

func (k *KernelLog) read(most int, fresh func(*LogLine)) {
	for ; most > 0 && k.fd >= 0; most-- {
		// Before the read: what it does not find has not been written by now.
		before := k.mono()
		n, err := unix.Read(k.fd, k.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			k.drained = before
			return
		case errors.Is(err, unix.EPIPE):
			// The ring was overwritten since the last read; the next one gives the oldest that is left
			// (devkmsg_read, kernel/printk/printk.c).
			k.lost++
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0: // no device, but a file or a pipe in its place
			err = io.EOF
			fallthrough
		case err != nil:
			k.failed = fmt.Errorf("read /dev/kmsg: %w", err)
			k.Close()
			return
		}
		k.take(k.buf[:n], fresh)
	}
}

// take keeps one record.
func (k *KernelLog) take(record []byte, fresh func(*LogLine)) {
	line, ok := parseKmsg(record)
	if !ok {
		return
	}
	line.came = arrival{k.drained, k.mono()}
	k.clock.see(line.Stamp, line.came)
	k.lines.Push(line)
	if fresh != nil {
		fresh(&line)
	}
}

// parseKmsg reads "6,339,5140900,-;text\n KEY=value\n" (Documentation/ABI/testing/dev-kmsg):
// priority and facility, sequence number, microseconds, flags.
func parseKmsg(record []byte) (LogLine, bool) {
	head, rest, ok := bytes.Cut(record, []byte(";"))
	fields := strings.SplitN(string(head), ",", 4)
	if !ok || len(fields) < 3 {
		return LogLine{}, false
	}
	priority, err1 := strconv.Atoi(fields[0])
	us, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return LogLine{}, false
	}
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	return LogLine{Stamp: us * 1000, Level: priority & 7, Text: string(text[:min(len(text), kmsgLine)])}, true
}

// Cut renders kmsg.txt of the window, on clock.
func (k *KernelLog) Cut(start, end time.Time, clock host.Moment) []byte {
	var out []byte
	from, to := clock.Mono(start), clock.Mono(end)
	k.lines.Each(func(l *LogLine) {
		earliest, latest := k.clock.span(l.Stamp, l.came)
		if latest < from || earliest > to {
			return
		}
		// What may have been written within was, or the line that a trigger fired for would be missing where it came
		// right after arming.
		at := min(max(k.clock.place(l.Stamp, l.came), from), to)
		line := member.LogLine{Time: clock.Place(at), Level: l.Level, Text: l.Text}
		out = line.Append(out)
	})
	return out
}

// Source gives the log's state for the manifest; start is the window's.
func (k *KernelLog) Source(start time.Time, clock host.Moment) format.Source {
	s := format.Source{Name: "kmsg", State: format.Complete, Members: []string{member.KmsgName}, Lost: k.lost}
	oldest := k.lines.Oldest()
	switch {
	case k.fd < 0 && oldest == nil:
		s.State, s.Reason, s.Members = State(k.failed), k.failed.Error(), nil
		return s
	case k.fd < 0:
		s.State, s.Reason = format.Partial, k.failed.Error()
	case k.lost > 0:
		s.State, s.Unit, s.Reason = format.Partial, "gaps", "the kernel wrote faster than four reads a second take"
	case k.lines.Forgotten() > 0 && k.clock.place(oldest.Stamp, oldest.came) > clock.Mono(start):
		s.State, s.Reason = format.Partial, fmt.Sprintf("only the newest %d lines are kept", kmsgLines)
	}
	s.Details = k.clock.details(k.mono())
	return s
}

// Close closes the log.
func (k *KernelLog) Close() {
	if k.fd >= 0 {
		unix.Close(k.fd)
		k.fd = -1
	}
}
