//go:build linux

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// content reads a member back.
func content(t *testing.T, m *Member) string {
	t.Helper()
	var out bytes.Buffer
	n, err := m.WriteTo(&out)
	if err != nil || n != m.Size || int64(out.Len()) != n {
		t.Fatalf("member %s: wrote %d bytes of %d (%v)", m.Name, n, m.Size, err)
	}
	return out.String()
}

// stoppedCase is a source that does not come to its end.
type stoppedCase struct {
	collect func(context.Context, Env, *Sink) error
	state   format.State
	reason  []string
	lines   int
}

// A source that is at its time limit, or fails on its way, keeps what it had to its last
// whole line, whether it heeds its context or hangs in the kernel; the manifest says where it
// ends. One that had nothing has failed, as before.
func TestStoppedSourceKeepsWhatItHad(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	some := func(sink *Sink) *Stream {
		sink.Add(member.NetfilterName, []byte("{}\n"))
		stream, err := sink.Stream(member.SocketsName)
		if err != nil {
			t.Error(err)
		}
		for i := range 100_000 { // more than any buffer holds
			fmt.Fprintf(stream, "{\"n\":%d}\n", i)
		}
		fmt.Fprint(stream, "{\"n\":") // a line that is not finished
		return stream
	}
	cases := map[string]stoppedCase{
		"hangs": {func(_ context.Context, _ Env, sink *Sink) error {
			stream := some(sink)
			<-hang
			fmt.Fprint(stream, "late\n")
			return nil
		}, format.Partial, []string{"stopped at its time limit of 3s", "sockets.jsonl ends after 100000 lines"}, 100_000},
		"heeds its context": {func(ctx context.Context, _ Env, sink *Sink) error {
			some(sink)
			<-ctx.Done()
			return ctx.Err()
		}, format.Partial, []string{"stopped at its time limit of 3s", "sockets.jsonl ends after 100000 lines"}, 100_000},
		"fails": {func(_ context.Context, _ Env, sink *Sink) error {
			some(sink)
			return errors.New("no buffer space")
		}, format.Partial, []string{"no buffer space; sockets.jsonl ends after 100000 lines", "missing"}, 100_000},
		"had nothing": {func(ctx context.Context, _ Env, sink *Sink) error {
			_, err := sink.Stream(member.SocketsName)
			<-ctx.Done()
			return errors.Join(err, ctx.Err())
		}, format.Failed, []string{"gave nothing within 3s"}, 0},
	}
	var all []*OneOff
	for name, c := range cases {
		all = append(all, &OneOff{Name: name, Limit: 3 * time.Second, Collect: c.collect})
	}
	for _, r := range CollectAll(t.Context(), Env{}, all) {
		cases[r.Source.Name].check(t, r)
	}
}

// check compares what a source gave.
func (c stoppedCase) check(t *testing.T, r Result) {
	name := r.Source.Name
	if r.Source.State != c.state {
		t.Errorf("%s: source %+v, want %s", name, r.Source, c.state)
	}
	for _, part := range c.reason {
		if !strings.Contains(r.Source.Reason, part) {
			t.Errorf("%s: reason %q, want %q in it", name, r.Source.Reason, part)
		}
	}
	if c.lines == 0 {
		if len(r.Sink.Members) > 0 || len(r.Source.Members) > 0 {
			t.Errorf("%s: members %q", name, r.Source.Members)
		}
		return
	}
	if got := strings.Join(r.Source.Members, " "); got != member.NetfilterName+" "+member.SocketsName {
		t.Errorf("%s: members %q", name, got)
	}
	text := content(t, r.Sink.Members[1])
	if n := strings.Count(text, "\n"); n != c.lines || !strings.HasSuffix(text, "{\"n\":99999}\n") {
		t.Errorf("%s: %d lines, the end %q", name, n, text[max(0, len(text)-20):])
	}
}

// Without what they read, sources are not complete with nothing.
func TestNothingIsNotComplete(t *testing.T) {
	env := Env{Root: t.TempDir(), At: member.AtEnd}
	for _, r := range CollectAll(t.Context(), env, []*OneOff{sysctls, texts, processes}) {
		if r.Source.State != format.Unsupported || r.Source.Reason == "" || len(r.Source.Members) > 0 {
			t.Errorf("source %+v, want that it is unsupported", r.Source)
		}
	}
	s, err := OpenSnapshots(env.Root, 1<<20, time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if src := s.Source(time.Time{}, time.Now()); src.State != format.Unsupported || src.Reason == "" {
		t.Errorf("source %+v, want that it is unsupported", src)
	}
}
