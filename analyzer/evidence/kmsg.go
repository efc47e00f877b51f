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
	Time int64 // Unix ns
	Line int   // in kmsg.txt, counted from 1
	Text string
}

// ParseKmsg reads kmsg.txt (SPEC.md, "kmsg.txt"): one message a line, its time in Unix
// nanoseconds first, then a blank and the kernel's text.
func ParseKmsg(text []byte) ([]LogLine, error) {
	var log []LogLine
	err := lines(text, func(n int, line []byte) error {
		stamp, message, _ := bytes.Cut(line, []byte{' '})
		at, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return fmt.Errorf("time %q is not in Unix nanoseconds", clip(stamp))
		}
		log = append(log, LogLine{Time: at, Line: n, Text: strings.ToValidUTF8(string(message), "?")})
		return nil
	})
	return log, err
}
