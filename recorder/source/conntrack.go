//go:build linux

package source

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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

// tracked is conntrack-summary.json (format/SPEC.md, "conntrack-summary.json").
type tracked struct {
	Entries      uint64                       `json:"entries"`
	Lines        uint64                       `json:"lines"`
	Cut          bool                         `json:"cut"`
	Count        *uint64                      `json:"count,omitempty"`
	Max          *uint64                      `json:"max,omitempty"`
	Buckets      *uint64                      `json:"buckets,omitempty"`
	Unreplied    uint64                       `json:"unreplied"`
	Assured      uint64                       `json:"assured"`
	Offloaded    uint64                       `json:"offloaded"`
	ByState      map[string]map[string]uint64 `json:"by_state"`
	ByZone       map[uint16]uint64            `json:"by_zone"`
	TopSources   []conntrack.Source           `json:"top_sources"`
	SourcesError uint64                       `json:"top_sources_error"`
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
	stream, err := sink.Stream("conntrack.txt")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stream, 64<<10)
	t := tracked{Count: count, Max: env.number("nf_conntrack_max"), Buckets: env.number("nf_conntrack_buckets")}
	if err := t.dump(ctx, out, env.conntrackMax(), sink); err != nil {
		return err
	}
	if err := errors.Join(out.Flush(), stream.Close()); err != nil {
		return fmt.Errorf("write member %q: %w", "conntrack.txt", err)
	}
	summary, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary of conntrack: %w", err)
	}
	sink.Add("conntrack-summary.json", append(summary, '\n'))
	return nil
}

// dump writes at most so many lines and counts every entry.
func (t *tracked) dump(ctx context.Context, out *bufio.Writer, most uint64, sink *Sink) error {
	summary := conntrack.NewSummary()
	now := uint64(time.Now().UnixNano())
	err := conntrack.Dump(func(e *conntrack.Entry) bool {
		summary.Add(e)
		if t.Lines < most {
			t.Lines++
			out.Write(e.AppendLine(out.AvailableBuffer(), now)) // Flush tells of errors
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
	t.ByState, t.ByZone = summary.ByState, summary.ByZone
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
