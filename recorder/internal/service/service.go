//go:build linux

// Package service knows what is between this process and the service manager that started it, and is nobody's else.
package service

import (
	"os"
	"slices"
	"strings"
)

// its are the beginnings of what systemd says to one process alone: where to tell it that it is ready and goes on
// (sd_notify(3), sd_watchdog_enabled(3)), and which sockets are handed to it (sd_listen_fds(3)). A child that took it for itself would answer
// for its parent.
var its = []string{"NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_"}

// Environ is this process's environment for a child of it: without what the service manager meant for it alone, nor variables that
// begin as others say.
func Environ(others ...string) []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return slices.ContainsFunc(slices.Concat(its, others), func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}
