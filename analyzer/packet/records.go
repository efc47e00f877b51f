package packet

import (
	"io"
)

// Record is one packet with the bytes that its capture holds of it.
type Record struct {
	Packet
	Data []byte // from the link header on, CapLen bytes; valid until the next record is read
}

// Records reads one capture record by record, in the order of the file. It is for who needs the bytes:
// what reads packets only has them sooner from a Source.
type Records struct {
	reg     registry
	reading reading
	record  record
	count   count
}

// OpenRecords recognises format and compression by the first bytes, and returns an error when the input
// is not a capture at all.
func OpenRecords(in Input) (*Records, error) {
	r := &Records{}
	feed, err := openFeed(r.reg.of(0), 0, in)
	if err != nil {
		return nil, err
	}
	r.reading.feed = feed
	return r, nil
}

// Next reads the next record into rec, or returns io.EOF after the last and a *DamageError where the
// input ends before its end.
func (r *Records) Next(rec *Record) error {
	f := r.reading.feed
	begin := f.stream.offset()
	switch err := f.source.next(&r.record); {
	case err == io.EOF:
		return err
	case err != nil:
		return &DamageError{Input: f.name, Offset: begin, Err: err}
	}
	r.count.others = r.count.others[:0]
	r.reading.decode(&rec.Packet, &r.record, &r.count)
	rec.Data = r.record.data
	return nil
}

// Interfaces returns the interfaces met so far.
func (r *Records) Interfaces() []Interface { return r.reg.list() }

// Close frees the decompressor.
func (r *Records) Close() { r.reading.feed.close() }
