//go:build linux

package source

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process owns a socket.
type Process struct {
	PID     int    `json:"pid"`
	Comm    string `json:"comm"`
	Cmdline string `json:"cmdline,omitempty"`
	Cgroup  string `json:"cgroup,omitempty"`
	FDs     int    `json:"fds,omitempty"`      // open file descriptors
	FDLimit uint64 `json:"fd_limit,omitempty"` // RLIMIT_NOFILE, soft
}

// cmdlineSize keeps a long argument list (it may hold secrets far behind) short.
const cmdlineSize = 256

// owners finds the processes that hold the sockets with these inodes, by the links in
// /proc/PID/fd. It stops when the context does and gives what it has found: processes
// that may not be looked into are left out.
func owners(ctx context.Context, root string, inodes map[uint32]bool) map[uint32][]Process {
	found := map[uint32][]Process{}
	if len(inodes) == 0 {
		return found
	}
	entries, err := os.ReadDir(filepath.Join(root, "proc"))
	if err != nil {
		return found
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		dir := filepath.Join(root, "proc", e.Name())
		held, fds := socketsOf(dir, inodes)
		if len(held) == 0 {
			continue
		}
		p := process(dir, pid)
		p.FDs, p.FDLimit = fds, fdLimit(dir)
		for _, inode := range held {
			found[inode] = append(found[inode], p)
		}
	}
	return found
}

// socketsOf gives those of the inodes that a process has open, each once, and how many
// file descriptors it has open in all.
func socketsOf(dir string, inodes map[uint32]bool) (held []uint32, open int) {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, 0
	}
	seen := map[uint32]bool{}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if err == nil && inodes[uint32(inode)] && !seen[uint32(inode)] {
			seen[uint32(inode)] = true
			held = append(held, uint32(inode))
		}
	}
	return held, len(fds)
}

// fdLimit reads "Max open files            1024                 524288               files"
// of /proc/PID/limits (fs/proc/base.c, proc_pid_limits); 0 where it is unlimited or unknown.
func fdLimit(dir string) uint64 {
	text, err := os.ReadFile(filepath.Join(dir, "limits"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "Max open files")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	limit, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return limit
}

func process(dir string, pid int) Process {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(bytes.TrimSpace(text))
	}
	cmdline := strings.TrimSpace(strings.ReplaceAll(read("cmdline"), "\x00", " "))
	if len(cmdline) > cmdlineSize {
		cmdline = cmdline[:cmdlineSize]
	}
	cgroup := read("cgroup")
	if _, v2, ok := strings.Cut(cgroup, "0::"); ok { // the unified hierarchy's line
		cgroup, _, _ = strings.Cut(v2, "\n")
	} else {
		cgroup = ""
	}
	return Process{PID: pid, Comm: read("comm"), Cmdline: cmdline, Cgroup: cgroup}
}
