//go:build linux

package source

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/member"
)

// wanted are sockets whose processes are looked for: inodes, and the number of what each
// stands for. A listener has a number of its own; a sample of a group shares one, and one
// process found is enough for all of it.
type wanted map[uint32]int

// lowFDs is how many file descriptors of each process are looked at first: servers open
// their listeners before their first connection, and reading the links of 100,000
// connections takes a second.
const lowFDs = 256

// search looks for the owners of sockets by the links in /proc/PID/fd.
type search struct {
	ctx     context.Context
	root    string
	wanted  wanted
	missing map[int]bool // numbers of which no owner is found yet
	found   map[uint32][]member.Process
	held    map[int]int // wanted sockets by process
}

// owners finds processes that hold the wanted sockets. It ends when the context does and
// gives what it has found: processes that may not be looked into are left out.
func owners(ctx context.Context, root string, w wanted) map[uint32][]member.Process {
	s := search{ctx: ctx, root: root, wanted: w, missing: map[int]bool{}, found: map[uint32][]member.Process{}, held: map[int]int{}}
	for _, number := range w {
		s.missing[number] = true
	}
	entries, err := os.ReadDir(filepath.Join(root, "proc"))
	if err != nil {
		return s.found
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		s.look(pid, 0, lowFDs)
	}
	// Who has a listener has most of the connections, a proxy those to its upstreams, too.
	slices.SortStableFunc(pids, func(a, b int) int { return cmp.Compare(s.held[b], s.held[a]) })
	for _, pid := range pids {
		if len(s.missing) == 0 {
			break
		}
		s.look(pid, lowFDs, math.MaxInt)
	}
	return s.found
}

// look goes through some of a process's file descriptors, in the kernel's order.
func (s *search) look(pid, from, to int) {
	if s.ctx.Err() != nil || len(s.wanted) == 0 {
		return
	}
	dir := filepath.Join(s.root, "proc", strconv.Itoa(pid))
	fds, err := names(filepath.Join(dir, "fd"), min(to, math.MaxInt32))
	if err != nil || len(fds) <= from {
		return
	}
	var p *member.Process
	seen := map[uint32]bool{}
	for _, fd := range fds[from:] {
		inode, ok := socketInode(filepath.Join(dir, "fd", fd))
		number, want := s.wanted[inode]
		if !ok || !want || seen[inode] {
			continue
		}
		seen[inode] = true
		if p == nil {
			p = process(dir, pid)
		}
		s.found[inode] = append(s.found[inode], *p)
		s.held[pid]++
		if delete(s.missing, number); len(s.missing) == 0 && from > 0 {
			return
		}
	}
}

// names lists at most n entries of a folder, unsorted: a process may have a million.
func names(dir string, n int) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.Readdirnames(n)
	if err == io.EOF {
		err = nil
	}
	return list, err
}

// socketInode reads a link such as "socket:[12345]".
func socketInode(link string) (uint32, bool) {
	target, err := os.Readlink(link)
	if err != nil {
		return 0, false
	}
	number, ok := strings.CutPrefix(target, "socket:[")
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
	return uint32(inode), ok && err == nil
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

func process(dir string, pid int) *member.Process {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(bytes.TrimSpace(text))
	}
	// Arguments may hold passwords: the program's name is all that leaves the host. A program that
	// writes a title over its arguments ("postgres: alice shop 192.0.2.7(5432) idle") has no \0 between.
	cmdline, _, _ := strings.Cut(read("cmdline"), "\x00")
	cmdline, _, _ = strings.Cut(cmdline, " ")
	cgroup := read("cgroup")
	limit, unseen := cpuLimit(filepath.Dir(filepath.Dir(dir)), cgroup)
	if _, v2, ok := strings.Cut(cgroup, "0::"); ok { // the unified hierarchy's line
		cgroup, _, _ = strings.Cut(v2, "\n")
	} else {
		cgroup = ""
	}
	fds, _ := names(filepath.Join(dir, "fd"), -1) // it could be listed before
	return &member.Process{PID: pid, Comm: read("comm"), Cmdline: cmdline, Cgroup: cgroup,
		FDs: len(fds), FDLimit: fdLimit(dir), CPU: limit, CPUUnseen: unseen}
}
