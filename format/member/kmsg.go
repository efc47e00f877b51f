package member

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// KmsgName holds the kernel log of the window.
const KmsgName = "kmsg.txt"

// LogLine is one record of the kernel log (SPEC.md, "kmsg.txt"): "<Unix ns> <level> <text>",
// the text as the kernel wrote it and /dev/kmsg gives it, cut after 512 bytes.
type LogLine struct {
	// Time is printk's clock, local_clock, put on the bundle's by the distance that the
	// recorder measured: NTP does not steer it (kernel/printk/printk.c, Linux 6.18).
	Time  int64
	Level int // 0 (emergency) to 7 (debug), as in syslog(2)
	Line  int // in kmsg.txt, counted from 1
	Text  string
}

// Append appends the record's line.
func (l *LogLine) Append(b []byte) []byte {
	b = strconv.AppendInt(b, l.Time, 10)
	b = strconv.AppendInt(append(b, ' '), int64(l.Level), 10)
	return append(append(append(b, ' '), l.Text...), '\n')
}

// ParseKmsg reads kmsg.txt. What is not UTF-8 becomes "?".
func ParseKmsg(text []byte) ([]LogLine, error) {
	var log []LogLine
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		first, rest, _ := bytes.Cut(line, []byte{' '})
		at, err := stamp(first)
		if err != nil {
			return err
		}
		digit, message, _ := bytes.Cut(rest, []byte{' '})
		level, err := strconv.ParseUint(string(digit), 10, 8)
		if err != nil {
			return fmt.Errorf("level %q is not a number", kerneltext.Clip(digit))
		}
		log = append(log, LogLine{Time: at, Level: int(level), Line: n, Text: strings.ToValidUTF8(string(message), "?")})
		return nil
	})
	return log, err
}
