//go:build linux

// Package kmod tells whether the kernel has a module already. Some requests, of netlink
// above all, make the kernel load the module that would answer them; a recorder never
// changes the system, so it looks first.
package kmod

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Present says that asking for what a module does cannot load it: it is loaded or built
// in, or this kernel cannot load modules at all. False says no more than that it may. The
// name is spelled with underscores, as lsmod(8) does.
func Present(root, name string) bool {
	loaded, err := os.Open(filepath.Join(root, "proc/modules"))
	if err != nil {
		return true // a kernel without CONFIG_MODULES has no such file
	}
	defer loaded.Close()
	for lines := bufio.NewScanner(loaded); lines.Scan(); {
		if first, _, _ := strings.Cut(lines.Text(), " "); first == name {
			return true
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/modules_disabled")); err == nil && bytes.HasPrefix(text, []byte("1")) {
		return true
	}
	return builtIn(root, name)
}

// builtIn looks where the kernel (only modules with parameters) and its package say so.
func builtIn(root, name string) bool {
	if _, err := os.Stat(filepath.Join(root, "sys/module", name)); err == nil {
		return true
	}
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return false
	}
	list, err := os.Open(filepath.Join(root, "lib/modules", unix.ByteSliceToString(uts.Release[:]), "modules.builtin"))
	if err != nil {
		return false
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// Files may be spelled with hyphens; the kernel knows modules by underscores only
		// (KBUILD_MODNAME).
		file := strings.TrimSuffix(filepath.Base(lines.Text()), ".ko")
		if strings.ReplaceAll(file, "-", "_") == name {
			return true
		}
	}
	return false
}
