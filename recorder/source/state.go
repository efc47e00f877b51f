//go:build linux

package source

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
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
	for _, missing := range []error{fs.ErrNotExist, fs.ErrPermission, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.ENOENT} {
		if errors.Is(err, missing) {
			return format.Unsupported
		}
	}
	return format.Failed
}

// staticFolder gives the folder that a member below static/ lies in: of kernel texts two
// levels deep (static/proc/sys/), of others one (static/netlink/).
func staticFolder(member string) (string, bool) {
	parts, depth := strings.Split(member, "/"), 2
	if len(parts) > 1 && (parts[1] == "proc" || parts[1] == "sys") {
		depth = 3
	}
	if len(parts) <= depth || parts[0] != "static" {
		return "", false
	}
	return strings.Join(parts[:depth], "/") + "/", true
}
