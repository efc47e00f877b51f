package format

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/zstd"
)

// SniffLen is how many bytes of a file IsBundle wants at most: the first block
// of the first frame (RFC 8878, section 3.1.1.2.4: a block has at most 128 KiB).
const SniffLen = 128<<10 + 32

// IsBundle reports whether a file that begins with first is a tar archive in
// zstd, as against a capture, compressed or not. Where less than SniffLen bytes
// are given, they have to be the whole file or hold the whole first block.
func IsBundle(first []byte) bool {
	dec, err := zstd.NewReader(bytes.NewReader(first), zstd.WithDecoderConcurrency(1), zstd.IgnoreChecksum(true),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return false
	}
	defer dec.Close()
	// Both forms that we write have the magic, and so has that of GNU tar.
	const magicAt = 257 // POSIX.1-2017, pax, "ustar Interchange Format"
	head := make([]byte, magicAt+5)
	_, err = io.ReadFull(dec, head)
	return err == nil && string(head[magicAt:]) == "ustar"
}
