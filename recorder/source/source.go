//go:build linux

// Package source collects evidence as the kernel gives it: texts that are snapshotted
// every second while the recorder is armed, and one-off sources that are read when the
// rings are cut. Parsing is the analyzer's work.
//
// A new snapshot file is one row in Files; a new one-off source is one file here and
// one line in OneOffs.
package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// OneOff is evidence that is collected once, at the cut.
type OneOff struct {
	Name  string // as the manifest names it
	Doc   string
	Limit time.Duration // after which it is given up and the bundle written without it
	// AtTrigger has it collected at the trigger too: for what may be over at the end of
	// the window, and for counters of which the difference is wanted. Members of the same
	// name are joined into one, so they must be in a form of lines.
	AtTrigger bool
	Collect   func(context.Context, Env, *Sink) error
}

// Env is what one-off sources need to know of the recorder.
type Env struct {
	Root string // of /proc and /sys: "/", or a fixture tree
	At   string // member.AtTrigger or member.AtEnd
	// ConntrackMax bounds the lines of conntrack.txt; 0 means 200,000.
	ConntrackMax int
}

// OneOffs is every one-off source, most urgent first: what changes while we look at it
// comes before what stays.
var OneOffs = []*OneOff{
	sockets,
	connections,
	processes,
	qdiscs,
	links,
	netfilter,
	sysctls,
	texts,
	nics,
}

// OneOffsAtTrigger are those of OneOffs that are collected at the trigger too.
func OneOffsAtTrigger() []*OneOff {
	var some []*OneOff
	for _, s := range OneOffs {
		if s.AtTrigger {
			some = append(some, s)
		}
	}
	return some
}

// name tells the collection at the trigger from that at the end.
func (s *OneOff) name(env Env) string {
	if env.At == member.AtTrigger {
		return s.Name + "." + member.AtTrigger
	}
	return s.Name
}

// Sink takes what a source collects. Large members are held compressed, so that a host
// with 100,000 sockets costs a few MiB until the bundle is written.
type Sink struct {
	Members []*Member
	Partial string // why the source gives less than all; set by the source
	Lost    uint64
	Unit    string // of Lost
	AtLeast bool   // counting ended: more are missing
	Details map[string]string
}

// sinkWindow is small, because several sources collect at once: lines of sockets and
// connections repeat themselves within a few hundred bytes.
const sinkWindow = 256 << 10

// Member is one member of the bundle, held until it is written.
type Member struct {
	Name string
	Size int64
	raw  []byte
	z    *bytes.Buffer // in place of raw
}

// Add keeps a small member.
func (s *Sink) Add(name string, data []byte) {
	s.Members = append(s.Members, &Member{Name: name, Size: int64(len(data)), raw: bytes.Clone(data)})
}

// Stream keeps a member of any size, compressed. The member is complete after Close.
func (s *Sink) Stream(name string) (io.WriteCloser, error) {
	m := &Member{Name: name, z: &bytes.Buffer{}}
	enc, err := zstd.NewWriter(m.z, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(sinkWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("compress member %q: %w", name, err)
	}
	s.Members = append(s.Members, m)
	return &stream{m: m, enc: enc}, nil
}

type stream struct {
	m   *Member
	enc *zstd.Encoder
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.enc.Write(p)
	s.m.Size += int64(n)
	return n, err
}

func (s *stream) Close() error { return s.enc.Close() }

// WriteTo writes the member's content, Size bytes.
func (m *Member) WriteTo(w io.Writer) (int64, error) {
	if m.z == nil {
		n, err := w.Write(m.raw)
		return int64(n), err
	}
	dec, err := zstd.NewReader(bytes.NewReader(m.z.Bytes()), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("decompress member %q: %w", m.Name, err)
	}
	defer dec.Close()
	return io.Copy(w, dec)
}

// Result is what one source gave.
type Result struct {
	OneOff *OneOff
	Sink   *Sink
	Source format.Source
}

// CollectAll runs all one-off sources at once, each under its own time limit, so that
// one that is stuck never delays the others. Results are in the order of sources.
func CollectAll(ctx context.Context, env Env, sources []*OneOff) []Result {
	results := make([]Result, len(sources))
	pending := make([]<-chan Result, len(sources))
	for i, s := range sources {
		pending[i] = start(ctx, env, s)
	}
	for i := range sources {
		results[i] = <-pending[i]
		results[i].OneOff = sources[i]
	}
	return results
}

// start collects in the background. The channel gets exactly one result, at the latest
// when the limit has passed: a source stuck in the kernel keeps its goroutine, not ours.
func start(ctx context.Context, env Env, s *OneOff) <-chan Result {
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	done := make(chan Result, 1)
	began := time.Now()
	// Two goroutines, because a read of /proc or an ioctl does not heed a context: one may stay
	// in the kernel for as long as a driver holds RTNL, the other answers in time.
	go func() { done <- collect(ctx, env, s) }()
	out := make(chan Result, 1)
	go func() {
		defer cancel()
		select {
		case r := <-done:
			out <- r
		case <-ctx.Done():
			out <- Result{Sink: &Sink{}, Source: format.Source{
				Name: s.name(env), State: format.Failed, WallNs: int64(time.Since(began)),
				Reason: fmt.Sprintf("gave nothing within %v: %v", s.Limit, ctx.Err()),
			}}
		}
	}()
	return out
}

func collect(ctx context.Context, env Env, s *OneOff) Result {
	sink := &Sink{}
	began := time.Now()
	err := s.Collect(ctx, env, sink)
	source := format.Source{
		Name: s.name(env), State: format.Complete, WallNs: int64(time.Since(began)),
		Lost: sink.Lost, AtLeast: sink.AtLeast, Unit: sink.Unit, Details: sink.Details,
	}
	switch {
	case err != nil:
		source.State, source.Reason = State(err), err.Error()
		sink.Members = nil
	case sink.Partial != "" || sink.Lost > 0:
		source.State, source.Reason = format.Partial, sink.Partial
	}
	for _, m := range sink.Members {
		source.Members = appendFolder(source.Members, m.Name)
	}
	return Result{Sink: sink, Source: source}
}

// appendFolder names a source's members in the manifest: the member itself, or the
// folder below static/ for the many small ones.
func appendFolder(names []string, name string) []string {
	if folder, ok := staticFolder(name); ok {
		name = folder
	}
	for _, n := range names {
		if n == name {
			return names
		}
	}
	return append(names, name)
}
