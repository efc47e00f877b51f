//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/namespaces"
)

// everyNetNS widens what the kernel shows of all namespaces, in place of naming one.
const everyNetNS = "all"

// targets are the namespaces that --netns names; nil where one recorder, in this process, does.
func (f *runFlags) targets() (all []namespaces.Target, errs []error) {
	if len(f.netns) == 1 && f.netns[0] == everyNetNS {
		return nil, nil
	}
	labels := map[string]string{}
	for _, spec := range f.netns {
		t, err := namespaces.Parse(spec)
		switch {
		case spec == everyNetNS:
			err = fmt.Errorf("netns %q: it stands alone", spec)
		case err == nil && labels[t.Label()] != "":
			err = fmt.Errorf("netns %q: its files would have the names of those of %q", spec, labels[t.Label()])
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		labels[t.Label()] = spec
		all = append(all, t)
	}
	if len(f.netns) == 1 && f.netns[0] == namespaces.Own {
		return nil, errs
	}
	return all, errs
}

// within prepares the configuration of a child of a keeper: nothing in another process.
func within(cfg *recorder.Config) (child bool) {
	label := os.Getenv(namespaces.LabelEnv)
	if label == "" {
		return false
	}
	cfg.NetNS = label
	if fd, err := strconv.Atoi(os.Getenv(namespaces.HomeEnv)); err == nil {
		unix.CloseOnExec(fd)
		cfg.Home = os.NewFile(uintptr(fd), "home network namespace")
	}
	_ = os.Unsetenv(namespaces.LabelEnv)
	_ = os.Unsetenv(namespaces.HomeEnv)
	return true
}

// keep keeps a recorder in each namespace.
func keep(ctx context.Context, cfg *recorder.Config, targets []namespaces.Target) error {
	k := &namespaces.Keeper{Targets: targets, Once: cfg.Once, Log: cfg.Log,
		Socket: func(t namespaces.Target) string { return apart(t, targets, cfg.Control) },
		Args:   func(t namespaces.Target) []string { return slices.Concat(os.Args[1:], others(t, targets, cfg)) }}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	heard := make(chan os.Signal, 8)
	signal.Notify(heard, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1)
	go func() {
		for s := range heard {
			switch {
			case s == unix.SIGUSR1, s == unix.SIGHUP && !hungUp():
				k.Signal(s)
			case ctx.Err() == nil:
				cancel() // and that tells them
			default:
				k.Signal(unix.SIGTERM) // the second and the third, see signals.go of recorder
			}
		}
	}()
	return k.Run(ctx)
}

// others are the flags of a child whose files must not be another's.
func others(t namespaces.Target, targets []namespaces.Target, cfg *recorder.Config) []string {
	if len(targets) == 1 || t.Spec == namespaces.Own {
		return nil
	}
	flags := []string{"--dir", filepath.Join(cfg.Dir, t.Label()), "--control", apart(t, targets, cfg.Control)}
	if cfg.Fallback != "" {
		flags = append(flags, "--fallback-dir", filepath.Join(cfg.Fallback, t.Label()))
	}
	if path, is := strings.CutPrefix(cfg.Metrics, "unix:"); is {
		flags = append(flags, "--metrics", "unix:"+apart(t, targets, path))
	}
	return flags
}

// apart gives a socket's path a target's name: control.sock, control-blue.sock.
func apart(t namespaces.Target, targets []namespaces.Target, path string) string {
	if path == "" || len(targets) == 1 || t.Spec == namespaces.Own {
		return path
	}
	end := filepath.Ext(path)
	return strings.TrimSuffix(path, end) + "-" + t.Label() + end
}
