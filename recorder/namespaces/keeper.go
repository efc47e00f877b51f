//go:build linux

package namespaces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/service"
	"github.com/spikebox/spikebox/recorder/internal/thread"
)

const (
	// lookEvery is how often it is looked whether a namespace is still what the operator named. A recorder within it
	// keeps it alive, and the interfaces of a container that is gone should go.
	lookEvery = 2 * time.Second
	// againLeast is how soon a recorder that has ended, or whose namespace is not there, is tried again: a container that is
	// started anew is of interest from its first seconds on. Each time takes twice as long, up to againMost, since to look for a container is
	// to read of every process on the host.
	againLeast, againMost = time.Second, 10 * time.Second
	// HomeEnv tells a child the descriptor of the namespace that its keeper is in: commands for bundles run there.
	HomeEnv = "SPIKEBOXD_HOME_NETNS"
	// LabelEnv tells a child which of the namespaces it records.
	LabelEnv = "SPIKEBOXD_NETNS"
	homeFd   = 3 // the first of exec.Cmd.ExtraFiles
)

// Keeper keeps a child for each target.
type Keeper struct {
	Targets []Target
	// Args gives the arguments of the child for a target.
	Args func(Target) []string
	// Once: a child that has ended is not begun anew.
	Once bool
	// Socket gives the control socket of the child for a target; empty: it has none.
	Socket func(Target) string
	Log    *slog.Logger

	mu       sync.Mutex
	children map[Target]*exec.Cmd // that run
}

// Run keeps the children until ctx is done, and until all have ended, or with Once each of them has.
// It fails at once where this process may not enter a namespace, or none of them is there. Where some are, the others are waited for: after a
// boot containers come when they come, and what is there is worth recording.
func (k *Keeper) Run(ctx context.Context) error {
	k.children = map[Target]*exec.Cmd{}
	home, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("open the own network namespace: %w", err)
	}
	defer home.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(ctx, func() { k.Signal(unix.SIGTERM) })
	var wait sync.WaitGroup
	var absent []error
	var refused error
	for _, t := range k.Targets {
		first := make(chan error, 1)
		wait.Go(func() { k.keep(ctx, t, home, first) })
		err := <-first
		if errors.Is(err, os.ErrPermission) {
			refused = err
			break
		}
		if err != nil {
			absent = append(absent, err)
		}
	}
	if refused == nil && len(absent) == len(k.Targets) {
		refused = errors.Join(absent...)
	}
	if refused != nil {
		cancel(refused)
	} else {
		for _, err := range absent {
			k.Log.Warn(fmt.Sprintf("%v; it is tried again every %v", err, againMost), "event", "netns")
		}
		go k.report(ctx)
	}
	wait.Wait()
	return refused
}

// Signal sends a signal to every child.
func (k *Keeper) Signal(s os.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.children {
		_ = c.Process.Signal(s) // it may have ended
	}
}

// keep has a child for a target run, again and again. It tells first how the first start went.
func (k *Keeper) keep(ctx context.Context, t Target, home *os.File, first chan<- error) {
	again := againLeast
	for told := false; ; {
		file, path, err := t.open()
		var ended <-chan error
		if err == nil {
			ended, err = k.start(ctx, t, file, home)
		}
		if !told {
			first <- err
			told = true
		}
		if err == nil {
			began := time.Now()
			k.watch(t, file, path, ended)
			if time.Since(began) > againMost { // it is none that ends as soon as it is begun
				again = againLeast
			}
		}
		if k.Once || ctx.Err() != nil {
			return
		}
		select {
		case <-time.After(again):
			again = min(2*again, againMost)
		case <-ctx.Done():
			return
		}
	}
}

// start starts a child in a namespace. ended gives how it ended.
func (k *Keeper) start(ctx context.Context, t Target, file, home *os.File) (ended <-chan error, err error) {
	cmd := exec.Command("/proc/self/exe", k.Args(t)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(service.Environ(), fmt.Sprintf("%s=%d", HomeEnv, homeFd), LabelEnv+"="+t.Label())
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{home}
	// Killed, the keeper leaves no recorder behind; and a terminal's Ctrl-C reaches the keeper alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM, Setpgid: true}
	started, over := make(chan error, 1), make(chan error, 1)
	// A child is in the namespace of the thread that starts it, and is sent Pdeathsig when that thread ends: it
	// lives as long as its child, and is never used for anything else.
	go thread.Spend(func() {
		if err := enter(t, file); err != nil {
			started <- err
			return
		}
		var err error
		k.mu.Lock()
		if err = ctx.Err(); err == nil {
			if err = cmd.Start(); err == nil {
				k.children[t] = cmd
			}
		}
		k.mu.Unlock()
		started <- err
		if err == nil {
			over <- cmd.Wait()
		}
	})
	if err := <-started; err != nil {
		file.Close()
		return nil, err
	}
	return over, nil
}

// watch waits for the end of a child, which it brings about when the target is another namespace or none.
func (k *Keeper) watch(t Target, file *os.File, path string, ended <-chan error) {
	defer file.Close()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.children, t)
	}()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	gone := false
	for {
		select {
		case err := <-ended:
			if err != nil && !gone {
				k.Log.Error(fmt.Sprintf("the recorder of network namespace %s has ended: %v", t.Spec, err), "event", "netns", "netns", t.Label())
			}
			return
		case <-look.C:
			if !gone && !t.is(file, path) {
				gone = true
				k.Log.Info(fmt.Sprintf("network namespace %s is not there any more; what is pending of it is finished", t.Spec), "event", "netns", "netns", t.Label())
				k.mu.Lock()
				_ = k.children[t].Process.Signal(unix.SIGTERM)
				k.mu.Unlock()
			}
		}
	}
}

// Try says whether a recorder could be put into a target now.
func (t Target) Try() error {
	file, _, err := t.open()
	if err != nil {
		return err
	}
	defer file.Close()
	if t.Spec == Own {
		return nil
	}
	thread.Spend(func() { err = enter(t, file) })
	return err
}

// enter puts the calling thread into a namespace.
func enter(t Target, file *os.File) error {
	if t.Spec == Own { // it is there, without a privilege
		return nil
	}
	err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: it takes CAP_SYS_ADMIN, and in the unit RestrictNamespaces=net", err)
	case errors.Is(err, unix.EINVAL):
		err = errors.New("it is none")
	}
	return fmt.Errorf("enter network namespace %s: %w", t.Spec, err)
}
