//go:build linux

package namespaces

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// container finds the namespace of a container, by the control groups of its processes: that of the oldest, which the
// engine began. What the container itself began may be in others: a service of a systemd in it that has PrivateNetwork=,
// a container in it, whose control group is below.
func container(proc, id string) (string, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return "", err
	}
	var oldest string
	var since uint64
	var ids []string // in whole
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		whole := idOf(dir, id)
		if whole == "" {
			continue
		}
		began, err := started(dir)
		if err != nil {
			continue // it has ended meanwhile
		}
		if !slices.Contains(ids, whole) {
			ids = append(ids, whole)
		}
		if oldest == "" || began < since {
			oldest, since = filepath.Join(dir, "ns/net"), began
		}
	}
	switch len(ids) {
	case 0:
		return "", fmt.Errorf("find container %s: no process is in a control group of this ID", id)
	case 1:
		return oldest, nil
	}
	return "", fmt.Errorf("find container %s: the IDs of %d begin so; give more digits", id, len(ids))
}

// of says whether a process, whose folder in /proc is given, is a container's.
func of(dir, id string) bool { return idOf(dir, id) != "" }

// idOf is the ID in whole, which begins as given, of the container that a process is in; empty: it is in none of these.
func idOf(dir, id string) string {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	return within(string(text), id)
}

// within gives the ID in whole where one of the groups that a process is in (proc(5), /proc/pid/cgroup) is a container's.
// Their names have it: /docker/ID and /libpod_parent/libpod-ID where the engine makes groups itself,
// /system.slice/docker-ID.scope and /kubepods.slice/…/cri-containerd-ID.scope where systemd does, /kubepods/burstable/podUID/ID …
// Podman's and CRI-O's monitor of a container, which is in the host's namespace, has a group with the ID, too: libpod-conmon-ID.scope,
// crio-conmon-ID.scope.
func within(text, id string) string {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/\n:", r) }) {
		name = strings.TrimSuffix(name, ".scope")
		kind, whole := "", name
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			kind, whole = name[:i], name[i+1:]
		}
		if strings.HasPrefix(whole, id) && !strings.HasSuffix(kind, "conmon") {
			return whole
		}
	}
	return ""
}

// started is when a process began, in clock ticks since the boot: field 22 of proc(5), /proc/pid/stat, counted from behind the name, in which
// anything may stand.
func started(dir string) (uint64, error) {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("read %s/stat: %d fields behind the name", dir, len(fields))
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
