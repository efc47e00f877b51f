package evidence

import (
	"strconv"
	"strings"
)

// Settings are the host's sysctls by their path below /proc/sys:
// net/core/somaxconn. Values keep the kernel's text without the line's end.
type Settings map[string]string

// Int gives a setting's n-th number (net/ipv4/tcp_rmem has three), and whether it is there.
func (s Settings) Int(name string, n int) (int64, bool) {
	fields := strings.Fields(s[name])
	if n >= len(fields) {
		return 0, false
	}
	v, err := strconv.ParseInt(fields[n], 10, 64)
	return v, err == nil
}
