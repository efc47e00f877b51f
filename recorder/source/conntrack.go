//go:build linux

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/conntrack"
	"github.com/spikebox/spikebox/recorder/internal/kmod"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// conntrackMax bounds the lines of a dump: 200,000 of them are 40 MB of text and some
// 3 MiB in the bundle.
const conntrackMax = 200_000

var connections = &OneOff{
	Name:    "conntrack",
	Doc:     "the connection tracking table by ctnetlink, and its exact summary",
	Limit:   10 * time.Second,
	Collect: collectConntrack,
}

// collectConntrack writes the table's first lines, and counts all of it.
func collectConntrack(ctx context.Context, env Env, sink *Sink) error {
	count := env.number("nf_conntrack_count")
	if count == nil {
		return missing("connections are not tracked here: the kernel has no net.netfilter.nf_conntrack_count (module nf_conntrack)")
	}
	// A request for a netlink family loads its module (nfnetlink_rcv_msg, request_module), and a
	// recorder that only looks changes nothing on the host.
	if !kmod.Present(env.Root, "nf_conntrack_netlink") {
		return missing("the kernel module nf_conntrack_netlink is not loaded, and asking for the table would load it")
	}
	stream, err := sink.Stream(member.ConntrackName)
	if err != nil {
		return err
	}
	// These are read before the dump, which takes seconds on a large table that moves meanwhile.
	t := member.ConntrackSummary{Count: count, Max: env.number("nf_conntrack_max"), Buckets: env.number("nf_conntrack_buckets")}
	if err := dumpConntrack(ctx, env, &t, stream, sink); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return fmt.Errorf("write member %q: %w", member.ConntrackName, err)
	}
	summary, err := t.Append(nil)
	if err != nil {
		return fmt.Errorf("encode summary of conntrack: %w", err)
	}
	sink.Add(member.ConntrackSummaryName, summary)
	return nil
}

// dumpConntrack writes at most so many lines and counts every entry.
func dumpConntrack(ctx context.Context, env Env, t *member.ConntrackSummary, out io.Writer, sink *Sink) error {
	most := env.conntrackMax()
	summary := conntrack.NewSummary()
	now := uint64(env.now())
	var line []byte
	err := conntrack.Dump(func(e *member.ConntrackEntry) bool {
		summary.Add(e)
		if t.Lines < most {
			t.Lines++
			line = e.Append(line[:0], now)
			out.Write(line) // Close tells of errors
		}
		return ctx.Err() == nil
	})
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (it needs CAP_NET_ADMIN)", err)
	case errors.Is(err, nldump.ErrInterrupted):
		sink.Partial = err.Error()
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	t.Entries, t.Unreplied, t.Assured, t.Offloaded = summary.Entries, summary.Unreplied, summary.Assured, summary.Offloaded
	t.ByState, t.ByZone = summary.ByState, map[string]uint64{}
	for zone, n := range summary.ByZone {
		t.ByZone[strconv.Itoa(int(zone))] = n
	}
	t.TopSources, t.SourcesError = summary.TopSources(), summary.SourcesError
	if t.Cut = t.Lines < t.Entries; t.Cut {
		sink.Lost, sink.Unit = t.Entries-t.Lines, "entries"
		sink.Partial = fmt.Sprintf("only the first %d entries were kept; the summary counts all", most)
	}
	return nil
}

func (e Env) conntrackMax() uint64 {
	if e.ConntrackMax > 0 {
		return uint64(e.ConntrackMax)
	}
	return conntrackMax
}

// number reads a setting of connection tracking, nil where the kernel has none.
func (e Env) number(name string) *uint64 {
	text, err := os.ReadFile(filepath.Join(e.Root, "proc/sys/net/netfilter", name))
	if err != nil {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
