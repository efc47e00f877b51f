package evidence

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/format"
)

// Options sets how evidence is read. The zero value is good.
type Options struct {
	Stdin  io.Reader     // what the path "-" stands for; os.Stdin when nil
	Limits format.Limits // on a bundle that may be hostile
	// Flow is called with every flow that has ended; it is valid during the call.
	Flow func(*flow.Flow)
	// NoPackets leaves the packets out: only texts are read.
	NoPackets bool
	// Progress is kept up to date while reading.
	Progress *Progress
}

// Progress tells how far reading has come. It may be read at any time.
type Progress struct {
	Done, Total atomic.Int64 // bytes of the captures; Total is 0 where it is not known
}

// ErrTwoBundles: counters of two hosts cannot be read as one.
var ErrTwoBundles = errors.New("more than one bundle: analyse each by itself; captures may come with it")

// Read reads one bundle, captures, or captures together with a bundle. Damage and texts
// that cannot be read are part of the result; an error means that an input could not be
// read at all.
func Read(paths []string, opts Options) (*Evidence, error) {
	in, err := openInputs(paths, opts)
	if err != nil {
		return nil, err
	}
	defer in.close()
	e := &Evidence{Inputs: in.list}
	done := make(chan struct{})
	go func() { // the texts are read while the packets are: other members of the bundle
		defer close(done)
		if in.bundle != nil {
			e.readBundle(in.bundle)
		}
	}()
	packets, err := readPackets(in, opts)
	<-done
	if err != nil {
		return nil, err
	}
	e.Packets = packets
	if packets != nil {
		packets.ways(e.Sockets)
	}
	return e, nil
}

// inputs are the opened files.
type inputs struct {
	list     []Input
	bundle   *format.Reader
	captures []packet.Input
	// own says that the captures are the bundle's, and broken ones no reason to end.
	own    bool
	closer []io.Closer
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
	for _, path := range paths {
		if err := in.open(path, opts); err != nil {
			in.close()
			return nil, err
		}
	}
	if in.bundle == nil || opts.NoPackets {
		return in, nil
	}
	if own, err := in.bundle.Open(packetsMember); err == nil {
		in.own = len(in.captures) == 0
		in.closer = append(in.closer, own)
		in.captures = append(in.captures, packet.Input{Name: packetsMember, Reader: counted(own, opts.Progress, sizeOf(in.bundle))})
	}
	return in, nil
}

// open tries a path as a bundle. What is none is a capture, until the packet reader says
// that it is not.
func (in *inputs) open(path string, opts Options) error {
	if path == "-" {
		stdin := opts.Stdin
		if stdin == nil {
			stdin = os.Stdin
		}
		in.capture("standard input", stdin, opts.Progress, 0)
		return nil
	}
	r, err := format.Open(path, opts.Limits)
	switch {
	case err == nil && in.bundle != nil:
		r.Close()
		return fmt.Errorf("open %s: %w", path, ErrTwoBundles)
	case err == nil:
		in.bundle = r
		in.closer = append(in.closer, r)
		in.list = append(in.list, Input{Path: path, Kind: "bundle"})
		return nil
	case !errors.Is(err, format.ErrNotBundle):
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open capture: %w", err)
	}
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	in.closer = append(in.closer, f)
	in.capture(path, f, opts.Progress, size)
	return nil
}

// capture adds packets to read, under the name that messages use.
func (in *inputs) capture(name string, r io.Reader, p *Progress, size int64) {
	in.list = append(in.list, Input{Path: name, Kind: "capture"})
	in.captures = append(in.captures, packet.Input{Name: name, Reader: counted(r, p, size)})
}

// sizeOf gives the length of the bundle's packets.
func sizeOf(r *format.Reader) int64 {
	for _, m := range r.Members() {
		if m.Name == packetsMember {
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
