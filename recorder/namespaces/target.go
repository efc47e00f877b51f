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
			return Target{}, fmt.Errorf("netns %q: want at least %d digits of a container's ID, as docker ps, podman ps and crictl ps show it (of a name: docker inspect -f {{.Id}} NAME)", spec, idLeast)
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

// path is the file that stands for the namespace now.
func (t Target) path() (string, error) {
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

// open opens the namespace, and tells the path by which it was found. The file keeps it, whatever becomes of its processes.
func (t Target) open() (file *os.File, path string, err error) {
	if path, err = t.path(); err != nil {
		return nil, "", err
	}
	file, err = os.Open(path)
	if errors.Is(err, os.ErrPermission) {
		return nil, "", fmt.Errorf("open network namespace %s: %w: %s", t.Spec, err, toLook)
	}
	if err != nil {
		return nil, "", fmt.Errorf("open network namespace %s: %w", t.Spec, err)
	}
	return file, path, nil
}

// toLook is what it takes to see another user's /proc/PID/ns.
const toLook = "it takes CAP_SYS_PTRACE"

// is says whether the target still is a namespace that was opened by a path.
func (t Target) is(file *os.File, path string) bool {
	if id, named := strings.CutPrefix(t.Spec, "container:"); named && same(file, path) && of(filepath.Dir(filepath.Dir(path)), id) {
		return true // the process that was found then is there: no look at all the others
	}
	path, err := t.path()
	return err == nil && same(file, path)
}

// same says whether a path leads to a file that is open.
func same(file *os.File, path string) bool {
	now, err := os.Stat(path)
	then, ferr := file.Stat()
	return err == nil && ferr == nil && os.SameFile(now, then)
}
