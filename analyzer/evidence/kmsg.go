package evidence

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

const kmsgMember = "kmsg.txt"

// LogLine is one line of the kernel log.
type LogLine struct {
	Time  int64 // Unix ns
	Level int   // 0 (emergency) to 7 (debug), as in syslog(2)
	Line  int   // in kmsg.txt, counted from 1
	Text  string
}

// ParseKmsg reads kmsg.txt (SPEC.md, "kmsg.txt"): one message a line, "<Unix ns> <level>
// <text>" with the text as the kernel wrote it.
func ParseKmsg(text []byte) ([]LogLine, error) {
	var log []LogLine
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		stamp, rest, _ := bytes.Cut(line, []byte{' '})
		at, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return fmt.Errorf("time %q is not in Unix nanoseconds", kerneltext.Clip(stamp))
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
