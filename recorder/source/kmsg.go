//go:build linux

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// kmsgRecord is the largest record that /dev/kmsg gives (kernel/printk/printk.c,
// PRINTKRB_RECORD_MAX: 1024, with the dictionary in its extended form 8192).
const kmsgRecord = 8192

var kernelLog = &OneOff{
	Name:    "kmsg",
	Doc:     "the kernel log of the window, from /dev/kmsg",
	Limit:   2 * time.Second,
	Collect: collectKernelLog,
}

// collectKernelLog reads the whole kernel log without waiting and keeps the window's
// lines: "<Unix ns> <level> <text>". The kernel stamps records with its local clock,
// which is CLOCK_MONOTONIC's to within scheduling.
func collectKernelLog(_ context.Context, env Env, sink *Sink) error {
	fd, err := unix.Open(filepath.Join(env.Root, "dev/kmsg"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/kmsg: %w (it needs CAP_SYSLOG)", err)
	}
	defer unix.Close(fd)
	offset, err := realtimeMinusMonotonic()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	buf := make([]byte, kmsgRecord)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN): // read to its end
			sink.Add("kmsg.txt", out.Bytes())
			return nil
		case errors.Is(err, unix.EPIPE): // records were overwritten before we read them
			sink.Partial = "the kernel's log buffer is too small for the window"
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read /dev/kmsg: %w", err)
		}
		level, at, text, ok := kmsgLine(buf[:n])
		when := time.Unix(0, at+offset)
		if ok && !when.Before(env.Start) && !when.After(env.End) {
			fmt.Fprintf(&out, "%d %d %s\n", at+offset, level, text)
		}
	}
}

// kmsgLine reads "6,339,5140900,-;text\n KEY=value\n" (Documentation/ABI/testing/dev-kmsg):
// priority, sequence number, microseconds, flags.
func kmsgLine(record []byte) (level int, ns int64, text string, ok bool) {
	head, rest, ok := bytes.Cut(record, []byte(";"))
	fields := strings.Split(string(head), ",")
	if !ok || len(fields) < 3 {
		return 0, 0, "", false
	}
	priority, err1 := strconv.Atoi(fields[0])
	us, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, 0, "", false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return priority & 7, us * 1000, string(line), true
}

func realtimeMinusMonotonic() (int64, error) {
	var real, mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
		return 0, fmt.Errorf("read CLOCK_REALTIME: %w", err)
	}
	return real.Nano() - mono.Nano(), nil
}
