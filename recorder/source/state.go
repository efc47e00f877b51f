//go:build linux

package source

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// missing is an error that names what the kernel lacks.
type missing string

func (m missing) Error() string { return string(m) }

// State tells a source that this kernel or these privileges do not allow from one that
// went wrong.
func State(err error) format.State {
	if lack := missing(""); errors.As(err, &lack) {
		return format.Unsupported
	}
	for _, missing := range []error{fs.ErrNotExist, fs.ErrPermission, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.ENOENT} {
		if errors.Is(err, missing) {
			return format.Unsupported
		}
	}
	return format.Failed
}

// staticFolder gives the folder that a member below static/ lies in: of kernel texts two
// levels deep (static/proc/sys/), of others one (static/netlink/).
func staticFolder(name string) (string, bool) {
	path, static := strings.CutPrefix(name, member.StaticFolder)
	parts, depth := strings.Split(path, "/"), 1
	if parts[0] == "proc" || parts[0] == "sys" {
		depth = 2
	}
	if !static || len(parts) <= depth {
		return "", false
	}
	return member.StaticName(strings.Join(parts[:depth], "/")) + "/", true
}
