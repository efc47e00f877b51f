package evidence

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/member"
)

// Settings are the host's sysctls by their path below /proc/sys,
// net/core/somaxconn, and the settings of interfaces by theirs below the root (see readSysfs). Values keep the kernel's text without the line's end.
type Settings map[string]string

// readSetting keeps one sysctl.
func (e *Evidence) readSetting(name string, r io.Reader) error {
	return e.keepSetting(strings.TrimPrefix(name, member.SysctlFolder), r)
}

// keepSetting keeps a setting by its name, while there is room.
func (e *Evidence) keepSetting(name string, r io.Reader) error {
	text, err := e.whole(r)
	if text == nil && err != nil {
		return err
	}
	value := member.ParseSysctl(text)
	const entry = 64 // what a place in the map takes beside the strings
	if e.settings += textSize(name, value) + entry; e.settings > roomSettings {
		return fmt.Errorf("it is not kept: there are more than %d MiB of settings", roomSettings>>20)
	}
	e.Settings[name] = value
	return err
}

// Int gives a setting's n-th number (net/ipv4/tcp_rmem has three), and whether it is there.
func (s Settings) Int(name string, n int) (int64, bool) {
	fields := strings.Fields(s[name])
	if n >= len(fields) {
		return 0, false
	}
	v, err := strconv.ParseInt(fields[n], 10, 64)
	return v, err == nil
}
