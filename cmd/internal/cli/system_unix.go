//go:build unix

package cli

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// system names the distribution, where there is one, the kernel and its machine; empty where it cannot be told.
func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	kernel := unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " (" + unix.ByteSliceToString(u.Machine[:]) + ")"
	text, _ := os.ReadFile("/etc/os-release") // containers and macOS have none
	return strings.TrimPrefix(pretty(string(text))+", "+kernel, ", ")
}
