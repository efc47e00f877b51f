package evidence

import (
	"strconv"
	"strings"
)

// sysctlFolder is where the bundle keeps /proc/sys.
const sysctlFolder = "static/proc/sys/"

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

// SysctlName gives the spelling of sysctl(8) for a path below /proc/sys, in which the
// dots of an interface's name become slashes: net.ipv4.conf.eth0/100.rp_filter.
func SysctlName(path string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, path)
}

// SysctlMember is the bundle's member that holds a setting.
func SysctlMember(path string) string { return sysctlFolder + path }

// ParseSysctl reads one file of /proc/sys: its text without the white space around it.
func ParseSysctl(text []byte) string {
	const longest = 4096 // tcp_available_congestion_control and its like stay far below
	return strings.ToValidUTF8(strings.TrimSpace(string(text[:min(len(text), longest)])), "?")
}
