package format

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"
)

// tarBlock is the unit of a tar archive (POSIX.1-2017, pax, "ustar Interchange Format").
const tarBlock = 512

// zeros pads members to whole blocks and ends the archive with two empty ones.
var zeros [2 * tarBlock]byte

// tarHeader is the header of one member, all of its blocks. Everything but name
// and size is fixed, so that the same content gives the same bytes (SPEC.md, "Tar").
func tarHeader(name string, size int64, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     size,
		Mode:     0o644,
		// Whole seconds, or the header would need a PAX record.
		ModTime: time.Unix(at.Unix(), 0),
	})
	if err != nil {
		return nil, fmt.Errorf("make tar header of %q: %w", name, err)
	}
	return b.Bytes(), nil
}

// padding is the number of bytes behind a member of size bytes that fill its last block.
func padding(size int64) int64 { return -size & (tarBlock - 1) }
