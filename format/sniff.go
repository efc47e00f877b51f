package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// SniffLen is how many bytes of a file IsBundle wants at most: the first block
// of the first frame (RFC 8878, section 3.1.1.2.4: a block has at most 128 KiB).
const SniffLen = 128<<10 + 32

// magicAt is where a tar archive says what it is (POSIX.1-2017, pax, "ustar Interchange
// Format"): both forms that we write do, and so does that of GNU tar.
const magicAt = 257

// IsBundle reports whether a file that begins with first is a tar archive, in zstd, in gzip or
// as it is, as against a capture, compressed or not. Where less than SniffLen bytes
// are given, they have to be the whole file or hold the whole first block.
func IsBundle(first []byte) bool { return Describe(unpacked(first)) == Tar }

// unpacked gives the beginning of what a compressed file holds, and of any other the file's own.
func unpacked(first []byte) []byte {
	var inner io.Reader
	switch Describe(first) {
	case Gzip:
		dec, err := gzip.NewReader(bytes.NewReader(first))
		if err != nil {
			return nil
		}
		inner = dec
	case Zstd:
		dec, err := zstd.NewReader(bytes.NewReader(first), zstd.WithDecoderConcurrency(1), zstd.IgnoreChecksum(true),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil
		}
		defer dec.Close()
		inner = dec
	default:
		return first
	}
	head := make([]byte, 512) // what Describe looks at
	n, _ := io.ReadFull(inner, head)
	return head[:n]
}

// DescribeContent says what data is, compression aside: that of a capture in gzip is a capture.
func DescribeContent(first []byte) string {
	what, inner := Describe(first), Describe(unpacked(first))
	if inner == Capture {
		return inner
	}
	return what
}

// sniff looks at the beginning of a stream, and at no more of it than it takes to tell a capture:
// packets may come in as they are captured.
func sniff(r *bufio.Reader) []byte {
	n := magicAt + 5
	if first, _ := r.Peek(4); Describe(first) == Capture {
		return first
	} else if what := Describe(first); what == Gzip || what == Zstd {
		n = SniffLen
	}
	first, _ := r.Peek(n) // a short stream is no error
	return first
}

// StreamIsBundle is IsBundle for a stream whose buffer has SniffLen bytes. It takes nothing out of it.
func StreamIsBundle(r *bufio.Reader) bool { return IsBundle(sniff(r)) }

// kinds are what people give instead of a bundle or a capture, by the bytes at an offset.
var kinds = []struct {
	at          int
	magic, what string
}{
	{magicAt, "ustar", Tar},
	{0, "\x1f\x8b", Gzip},
	{0, "\x28\xb5\x2f\xfd", Zstd},
	{0, "\xfd7zXZ\x00", "an xz file"},
	{0, "BZh", "a bzip2 file"},
	{0, "PK\x03\x04", "a zip archive"},
	{0, "\x7fELF", "a program"},
	{0, "\x0a\x0d\x0d\x0a", Capture},
	{0, "\xd4\xc3\xb2\xa1", Capture}, {0, "\xa1\xb2\xc3\xd4", Capture}, // pcap in µs
	{0, "\x4d\x3c\xb2\xa1", Capture}, {0, "\xa1\xb2\x3c\x4d", Capture}, // and in ns
}

// What Describe says of some kinds.
const (
	Tar     = "a tar archive"
	Gzip    = "a gzip file"
	Zstd    = "a zstd file"
	Capture = "a packet capture" // pcap and pcapng
)

// Describe says in words what data is, by up to SniffLen bytes that it begins with: for
// who gave a tar archive, a text or nothing where a bundle was asked for.
func Describe(first []byte) string {
	if len(first) == 0 {
		return "empty"
	}
	for _, k := range kinds {
		if len(first) > k.at && bytes.HasPrefix(first[k.at:], []byte(k.magic)) {
			return k.what
		}
	}
	for _, c := range first[:min(len(first), 512)] { // text begins as text; all of it may be large
		if c < '\t' || c > '\r' && c < ' ' || c == 0x7f {
			return fmt.Sprintf("unknown data (it begins with % x)", first[:min(len(first), 8)])
		}
	}
	return "text"
}
