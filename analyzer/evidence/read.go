package evidence

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// Options sets how evidence is read. The zero value is good.
type Options struct {
	Stdin  io.Reader     // what the path "-" stands for; os.Stdin when nil
	Limits format.Limits // on a bundle that may be hostile
	// Flow is called with every flow that has ended; it is valid during the call.
	Flow func(*flow.Flow)
	// Event is called with every event of a flow, in the order of the packets; it is valid
	// during the call.
	Event func(*flow.Event)
	// NoPackets leaves the packets out: only texts are read.
	NoPackets bool
	// OnlyFlows leaves out the texts, and the sums over services and peers: memory then
	// grows with live flows only.
	OnlyFlows bool
	// Bundles allows for more than one: of those beyond the first only the packets are read.
	Bundles bool
	// Latency is called with each line of the bundle's latencies, none of which is kept; it is valid during the call.
	Latency func(*member.Latency)
	// Logs are laid beside the rest.
	Logs Logs
	// Progress is kept up to date while reading.
	Progress *Progress
}

// Progress tells how far reading has come. It may be read at any time.
type Progress struct {
	Done, Total atomic.Int64 // bytes of the captures; Total is 0 where it is not known
}

// ErrTwoBundles: connections of two hosts cannot be listed as one's.
var ErrTwoBundles = errors.New("more than one bundle: captures may come with one, and analyze compares the packets of several")

// ErrStdinTwice: what one input has read of it is gone for the other.
var ErrStdinTwice = errors.New("standard input can be one of the inputs only")

// ErrNoPackets: the bundle holds none; its manifest says why.
var ErrNoPackets = errors.New("the bundle holds no packets")

// Read reads one bundle, captures, or both together. A bundle, and of several the first, is what the
// evidence is about; of what comes with it only the packets are read. Damage and texts
// that cannot be read are part of the result; an error means that an input could not be
// read at all.
func Read(paths []string, opts Options) (*Evidence, error) {
	in, err := openInputs(paths, opts)
	if err != nil {
		return nil, err
	}
	defer in.close()
	logs, err := openLogs(opts)
	if err != nil {
		return nil, err
	}
	defer closeLogs(logs)
	known := &connections{by: map[netip.AddrPort]int32{}}
	if len(logs) > 0 {
		opts.Flow = known.beside(opts.Flow)
	}
	e := &Evidence{Inputs: in.list, latency: opts.Latency}
	done := make(chan struct{})
	go func() { // the texts are read while the packets are: other members of the bundle
		defer close(done)
		switch {
		case in.bundle == nil:
		case opts.OnlyFlows:
			e.Manifest, e.Damage = in.bundle.Manifest, in.bundle.Damage()
		default:
			e.readBundle(in.bundle)
		}
	}()
	packets, err := readPackets(in, opts)
	<-done
	if err != nil && in.own && !opts.OnlyFlows {
		e.Partial.Add(member.PacketsName, err) // the rest of the bundle is still evidence
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if broken := in.broken(); broken != nil && in.whole(member.PacketsName) {
		e.Damage = append(e.Damage, broken) // of what is not whole, opening said it
	}
	e.Packets = packets
	if packets != nil {
		for _, err := range []error{packets.Unfollowed(), packets.Untimed()} {
			if err != nil {
				e.Partial.AddBounded(in.captures[in.about].Name, err)
			}
		}
		if !opts.OnlyFlows {
			e.packetColumns(in.own)
			packets.ways(e.Sockets, e.Own, e.Translations, e.Manifest != nil)
		}
	}
	e.readLogs(logs, known)
	e.Columns.Finish()
	if n := e.Columns.Left(); n > 0 {
		e.Partial.AddBounded(member.SnapshotFolder, fmt.Errorf("it has more numbers than are held: %d are not", n))
	}
	return e, nil
}

// inputs are the opened files.
type inputs struct {
	list     []Input
	bundle   *format.Reader
	captures []capture
	about    int // index of the capture that the evidence is about: the bundle's, or the first
	// own says that the captures are the bundle's, and broken ones no reason to end.
	own    bool
	size   int64   // bytes of all files, as they are
	member *source // of the bundle's packets; nil without
	closer []io.Closer
}

// capture is an opened input with packets.
type capture struct {
	packet.Input
	host  string                        // of a bundle's
	bound int64                         // ns by which its clock is wrong at most; 0: unknown
	again func() (io.ReadCloser, error) // opens it once more; nil for what can be read once
}

const (
	// mostPackets bounds the bundle's packets in bytes, which are streamed and cost time only: the
	// largest sensible rings hold 1 GiB. Those of a larger file may be longer: headers shrink to a
	// tenth.
	mostPackets  = 1 << 30
	packetsRatio = 30
)

// errManyPackets ends reading packets that would take a day.
var errManyPackets = fmt.Errorf("only the first of the packets are read: they are longer than %d GiB and %d times the file", mostPackets>>30, packetsRatio)

// broken is why the bundle's packets are not what was recorded: they are cut short, or their sum
// is wrong. It is known when they have been read.
func (in *inputs) broken() error {
	if in.member == nil || in.member.err == io.EOF || in.member.err == errManyPackets {
		return nil
	}
	return in.member.err
}

// whole says that a member was whole, as far as opening the bundle showed.
func (in *inputs) whole(name string) bool {
	return slices.ContainsFunc(in.bundle.Members(), func(m format.Member) bool { return m.Name == name && m.Complete })
}

// room is the memory that live flows may take. It grows with the files: who analyses 10 GB has a
// machine for it, while nobody expects a file of some MB to take all memory.
func (in *inputs) room() int64 {
	const small = 64 << 20 // bytes
	return flow.DefaultRoom + 3*max(0, in.size-small)
}

// close closes everything that was opened; all of it was only read.
func (in *inputs) close() {
	for _, c := range in.closer {
		c.Close()
	}
}

// openInputs opens every path and tells bundles from captures by their content.
func openInputs(paths []string, opts Options) (*inputs, error) {
	in := &inputs{}
	stdin := 0
	for _, path := range slices.Concat(paths, opts.Logs.Paths) {
		if path == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return nil, ErrStdinTwice
	}
	for _, path := range paths {
		if err := in.open(path, opts); err != nil {
			in.close()
			return nil, err
		}
	}
	if in.bundle == nil || opts.NoPackets {
		return in, nil
	}
	if own, err := in.packets(in.bundle); err == nil {
		in.own = len(in.captures) == 0
		in.member = own
		in.about = len(in.captures)
		in.add(member.PacketsName, in.bundle, own, opts.Progress)
	}
	return in, nil
}

// packets opens those of a bundle.
func (in *inputs) packets(r *format.Reader) (*source, error) {
	content, err := r.Open(member.PacketsName)
	if err != nil {
		return nil, err
	}
	most := int64(max(mostPackets, packetsRatio*in.size))
	return &source{r: content, closer: content, left: &most, over: errManyPackets}, nil
}

// add adds a bundle's packets to those to read.
func (in *inputs) add(name string, r *format.Reader, content *source, p *Progress) {
	in.closer = append(in.closer, content)
	in.captures = append(in.captures, capture{
		Input: packet.Input{Name: name, Reader: counted(content, p, sizeOf(r))},
		host:  r.Manifest.Host.Name, bound: clockBound(r.Manifest),
		again: func() (io.ReadCloser, error) { return in.packets(r) },
	})
}

// open tries a path as a bundle. What is none is a capture, until the packet reader says
// that it is not.
func (in *inputs) open(path string, opts Options) error {
	if path == "-" {
		stdin := opts.Stdin
		if stdin == nil {
			stdin = os.Stdin
		}
		return in.stream("standard input", stdin, opts)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open input: %w", err)
	}
	if info, err := f.Stat(); err == nil {
		in.size += info.Size()
	}
	switch { // before the bundle reader: what comes through a pipe is gone when that finds no bundle
	case pipe(f):
		in.closer = append(in.closer, f)
		return in.stream(path, f, opts)
	case compressedCapture(f):
		return in.file(path, f, opts)
	}
	f.Close()
	r, err := format.Open(path, opts.Limits)
	if err == nil {
		return in.addBundle(path, r, opts)
	}
	if !errors.Is(err, format.ErrNotBundle) {
		return err
	}
	if f, err = os.Open(path); err != nil {
		return fmt.Errorf("open capture: %w", err)
	}
	return in.file(path, f, opts)
}

// stream adds what can be read once only: a bundle, or a capture that may still go on.
func (in *inputs) stream(name string, from io.Reader, opts Options) error {
	buffered := bufio.NewReaderSize(from, format.SniffLen)
	defer func() {
		if n := len(in.list); n > 0 {
			in.list[n-1].Once = true
		}
	}()
	if !format.StreamIsBundle(buffered) {
		in.capture(name, buffered, opts.Progress, 0, nil)
		return nil
	}
	r, err := format.OpenStream(buffered, opts.Limits)
	if err != nil {
		return fmt.Errorf("open bundle on %s: %w", name, err)
	}
	return in.addBundle(name, r, opts)
}

// addBundle adds the bundle that the evidence is about, or the packets of a further one.
func (in *inputs) addBundle(name string, r *format.Reader, opts Options) error {
	in.closer = append(in.closer, r)
	if in.bundle != nil && !opts.Bundles {
		return fmt.Errorf("open %s: %w", name, ErrTwoBundles)
	}
	in.list = append(in.list, Input{Path: name, Kind: "bundle"})
	if in.bundle == nil {
		in.bundle = r
		return nil
	}
	content, err := in.packets(r)
	if err != nil {
		return fmt.Errorf("open the packets of %s: %w", name, err)
	}
	in.add(name, r, content, opts.Progress)
	return nil
}

// file adds an opened capture.
func (in *inputs) file(path string, f *os.File, opts Options) error {
	in.closer = append(in.closer, f)
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("open capture: %w", err)
		}
	}
	in.capture(path, f, opts.Progress, size, func() (io.ReadCloser, error) { return os.Open(path) })
	return nil
}

// pipe tells what cannot be read twice, as a shell's <(…).
func pipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice|os.ModeSocket) != 0
}

// captureMagic holds the first bytes of pcapng and of pcap, in both byte orders, with
// microseconds and nanoseconds.
var captureMagic = []uint32{0x0a0d0d0a, 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1}

// compressedCapture tells a zstd file with a capture in it. The bundle reader would
// decompress all of it to find no member, and would take one that is cut short for a
// bundle.
func compressedCapture(f *os.File) bool {
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return false
	}
	defer z.Close()
	var first [4]byte
	_, err = io.ReadFull(z, first[:])
	return err == nil && slices.Contains(captureMagic, binary.LittleEndian.Uint32(first[:]))
}

// capture adds packets to read, under the name that messages use.
func (in *inputs) capture(name string, r io.Reader, p *Progress, size int64, again func() (io.ReadCloser, error)) {
	in.list = append(in.list, Input{Path: name, Kind: "capture"})
	in.captures = append(in.captures, capture{Input: packet.Input{Name: name, Reader: counted(r, p, size)}, again: again})
}

// sizeOf gives the length of the bundle's packets.
func sizeOf(r *format.Reader) int64 {
	for _, m := range r.Members() {
		if m.Name == member.PacketsName {
			return m.Size
		}
	}
	return 0
}

// counted counts what is read towards the progress.
func counted(r io.Reader, p *Progress, size int64) io.Reader {
	if p == nil {
		return r
	}
	p.Total.Add(size)
	return &countingReader{r, p}
}

type countingReader struct {
	r io.Reader
	p *Progress
}

// Read reads on and counts.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.Done.Add(int64(n))
	return n, err
}
