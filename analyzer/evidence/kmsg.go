package evidence

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
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
	err := lines(text, func(n int, line []byte) error {
		stamp, rest, _ := bytes.Cut(line, []byte{' '})
		at, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return fmt.Errorf("time %q is not in Unix nanoseconds", clip(stamp))
		}
		digit, message, _ := bytes.Cut(rest, []byte{' '})
		level, err := strconv.ParseUint(string(digit), 10, 8)
		if err != nil {
			return fmt.Errorf("level %q is not a number", clip(digit))
		}
		log = append(log, LogLine{Time: at, Level: int(level), Line: n, Text: strings.ToValidUTF8(string(message), "?")})
		return nil
	})
	return log, err
}
