//go:build linux

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf/link"

	"github.com/spikebox/spikebox/bpf"
)

// extents tells where the code of each BPF program of the machine lies. Nothing runs but during read.
type extents struct {
	loaded *loaded
	iter   *link.Iter
}

// openExtents loads the iterator (Linux 5.9).
func openExtents(h hub) (*extents, error) {
	spec, err := bpf.LoadExtents()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe extents: %w", err)
	}
	l, err := load(h, wanted{id: "extents", spec: spec})
	if err != nil {
		return nil, err
	}
	iter, err := link.AttachIter(link.IterOptions{Program: l.Programs[bpf.ExtentsProgExtents]})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach iterator bpf_prog: %w", err), l.Close())
	}
	return &extents{l, iter}, nil
}

// read returns where code ends, by where it begins. On a nil extents that is of none.
func (e *extents) read() (map[uint64]uint64, error) {
	ends := map[uint64]uint64{}
	if e == nil {
		return ends, nil
	}
	pass, err := e.iter.Open()
	if err != nil {
		return ends, fmt.Errorf("start reading BPF programs: %w", err)
	}
	defer pass.Close()
	records, err := io.ReadAll(pass)
	if err != nil {
		return ends, fmt.Errorf("read BPF programs: %w", err)
	}
	for ; len(records) >= 16; records = records[16:] { // struct extent
		ends[binary.NativeEndian.Uint64(records)] = binary.NativeEndian.Uint64(records[8:])
	}
	return ends, nil
}

// Close unloads the iterator.
func (e *extents) Close() error { return errors.Join(e.iter.Close(), e.loaded.Close()) }
