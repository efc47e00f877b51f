//go:build linux

// Package namespaces keeps a recorder in each of several network namespaces: a child process of the same program
// for each. A process, and not a thread: packet rings, netlink, iterators and /proc/net are those of the namespace
// that they are opened from, and Go's runtime opens from any thread.
package namespaces

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Own names the namespace that the program was started in.
const Own = "own"

// Target is a network namespace as the operator names it: own, pid:N, container:ID, or a path such as
// /run/netns/blue.
type Target struct{ Spec string }

// Parse reads a target.
func Parse(spec string) (Target, error) {
	kind, id, named := strings.Cut(spec, ":")
	switch {
	case spec == Own, filepath.IsAbs(spec):
		return Target{spec}, nil
	case named && kind == "pid":
		if n, err := strconv.Atoi(id); err != nil || n <= 0 {
			return Target{}, fmt.Errorf("netns %q: want pid:N, with the number of a process", spec)
		}
		return Target{spec}, nil
	case named && kind == "container":
		if len(id) < idLeast || strings.Trim(id, "0123456789abcdef") != "" {
			return Target{}, fmt.Errorf("netns %q: want at least %d digits of a container's ID, as docker ps and crictl ps show it", spec, idLeast)
		}
		return Target{spec}, nil
	}
	return Target{}, fmt.Errorf("netns %q: want own, all, a path, pid:N or container:ID", spec)
}

// idLeast are as many digits of a container's ID as are shown, and mean one.
const idLeast = 12

// Label is a short name for files and the log.
func (t Target) Label() string {
	kind, id, _ := strings.Cut(t.Spec, ":")
	switch {
	case filepath.IsAbs(t.Spec):
		return filepath.Base(t.Spec)
	case kind == "container":
		return id[:idLeast]
	case kind == "pid":
		return "pid-" + id
	}
	return t.Spec
}

// Path is the file that stands for the namespace now.
func (t Target) Path() (string, error) {
	kind, id, _ := strings.Cut(t.Spec, ":")
	switch {
	case t.Spec == Own:
		return "/proc/self/ns/net", nil
	case filepath.IsAbs(t.Spec):
		return t.Spec, nil
	case kind == "pid":
		return filepath.Join("/proc", id, "ns/net"), nil
	}
	return container("/proc", id)
}

// container finds the namespace of a container by its processes' control groups, whose names have its ID in whole:
// /system.slice/docker-ID.scope, /kubepods/…/cri-containerd-ID.scope, /docker/ID, …
func container(proc, id string) (string, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return "", err
	}
	found := map[string]string{} // a path, by namespace
	var last string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(proc, e.Name(), "cgroup"))
		if err != nil || !within(string(text), id) {
			continue
		}
		path := filepath.Join(proc, e.Name(), "ns/net")
		inode, err := os.Readlink(path)
		if err == nil && found[inode] == "" {
			found[inode], last = path, path
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("find container %s: no process that may be looked at is in a control group of this ID", id)
	case 1:
		return last, nil
	}
	return "", fmt.Errorf("find container %s: its processes are in %d network namespaces; name one by pid:N", id, len(found))
}

// within says whether one of the groups that a process is in (proc(5), /proc/pid/cgroup) is a container's.
func within(text, id string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/\n:", r) }), func(name string) bool {
		name = strings.TrimSuffix(name, ".scope")
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			name = name[i+1:]
		}
		return strings.HasPrefix(name, id)
	})
}

// open opens the namespace. The file keeps it, whatever becomes of its processes.
func (t Target) open() (*os.File, error) {
	path, err := t.Path()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("open network namespace %s: %w: it takes CAP_SYS_PTRACE", t.Spec, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", t.Spec, err)
	}
	return file, nil
}

// is says whether the target still is a namespace that was opened.
func (t Target) is(file *os.File) bool {
	path, err := t.Path()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	then, ferr := file.Stat()
	return err == nil && ferr == nil && os.SameFile(now, then)
}
