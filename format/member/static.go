package member

import "strings"

// StaticFolder holds what hardly changes, read at the end of the window: below it lie
// kernel texts under the paths that they have on the host, and the members that netlink and
// ioctls tell.
const StaticFolder = "static/"

// SysctlFolder is where the settings of /proc/sys lie.
const SysctlFolder = StaticFolder + "proc/sys/"

// StaticName is the member that holds a kernel text; path has no slash at its begin.
func StaticName(path string) string { return StaticFolder + encodePath(path) }

// SysctlMember is the member that holds a setting, by its path below /proc/sys:
// net/core/somaxconn.
func SysctlMember(path string) string { return SysctlFolder + path }

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

// ParseSysctl reads one file of /proc/sys: its text without the white space around it.
func ParseSysctl(text []byte) string {
	const longest = 4096 // tcp_available_congestion_control and its like stay far below
	return strings.ToValidUTF8(strings.TrimSpace(string(text[:min(len(text), longest)])), "?")
}
