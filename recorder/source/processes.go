//go:build linux

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/member"
)

// processesMost bounds the list: a host with more processes than this gets the first
// ones and a count of the rest.
const processesMost = 5000

// threadsMost bounds the threads that are asked how long they waited: 5 µs each, so that they take a tenth of a second.
const threadsMost = 20000

var processes = &OneOff{
	Name: "processes",
	Doc:  "processes, from /proc/PID/stat, without kernel threads that have used no CPU time",
	// A starved host is whose processes are asked for most: with 90 tasks that could run on 2 CPUs, 157 of them took 3 s.
	Limit:     10 * time.Second,
	AtTrigger: true,
	Collect:   collectProcesses,
}

func collectProcesses(ctx context.Context, env Env, sink *Sink) error {
	entries, err := os.ReadDir(filepath.Join(env.Root, "proc"))
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	stream, err := sink.Stream(member.ProcessesName)
	if err != nil {
		return err
	}
	out, now, n, asked := member.NewProcessWriter(stream), env.now(), 0, 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		dir := filepath.Join(env.Root, "proc", e.Name())
		line, err := readProcess(filepath.Join(dir, "stat"))
		if err != nil || neverRan(&line) {
			continue // gone meanwhile
		}
		if n++; n > processesMost {
			sink.Lost++
			continue
		}
		line.At, line.Time, line.PID = env.At, now, pid
		if asked += line.Threads; asked <= threadsMost && line.RSSPages > 0 { // not for the kernel's own
			line.RunDelay = runDelay(dir)
		}
		if err := out.Write(&line); err != nil {
			return err
		}
	}
	if sink.Lost > 0 {
		sink.Unit, sink.Partial = "processes", fmt.Sprintf("only the first %d are kept", processesMost)
	}
	return stream.Close()
}

// neverRan says whether a process is a kernel thread, which has no memory of its own, that has used no CPU
// time: most of those have not. A program that has used less than a tick is listed: the master of nginx needs
// no more for days, and a list without it cannot tell that every process of a listener stands still.
func neverRan(p *member.ProcessUse) bool { return p.UTime+p.STime == 0 && p.RSSPages == 0 }

// runDelay sums up how long the threads of a process were ready to run and waited for a CPU: the second number of their
// schedstat (fs/proc/base.c, proc_pid_schedstat), which /proc/PID/schedstat has of the first thread alone. 0 where the kernel was built
// without CONFIG_SCHED_INFO, or where they are gone.
func runDelay(dir string) (sum uint64) {
	threads, _ := os.ReadDir(filepath.Join(dir, "task"))
	for _, t := range threads {
		text, _ := os.ReadFile(filepath.Join(dir, "task", t.Name(), "schedstat"))
		if fields := bytes.Fields(text); len(fields) > 1 {
			ns, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			sum += ns
		}
	}
	return sum
}

var errNotStat = errors.New("not in the form of /proc/PID/stat")

// readProcess reads "pid (comm) state ppid …" (fs/proc/array.c, do_task_stat). The name
// may hold blanks and parentheses, so fields are counted from the last one.
func readProcess(path string) (line member.ProcessUse, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return line, err
	}
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return line, errNotStat
	}
	fields := strings.Fields(string(text[end+1:])) // from field 3 on
	if len(fields) < 22 {
		return line, errNotStat
	}
	line.Comm, line.State = string(text[open+1:end]), fields[0]
	var ppid, threads uint64
	for _, f := range []struct {
		to    *uint64
		field int // as proc(5) counts
	}{{&ppid, 4}, {&line.UTime, 14}, {&line.STime, 15}, {&threads, 20}, {&line.Start, 22}, {&line.RSSPages, 24}} {
		if *f.to, err = strconv.ParseUint(fields[f.field-3], 10, 64); err != nil {
			return line, errNotStat
		}
	}
	line.PPID, line.Threads = int(ppid), int(threads)
	return line, nil
}
