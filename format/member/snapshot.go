package member

import (
	"strings"
	"time"
)

// SnapshotFolder holds the kernel's texts that count, byte for byte, a folder for each time
// at which they were read (SPEC.md, "Members").
const SnapshotFolder = "snapshots/"

// SnapshotTime is the form of such a folder's name: RFC 3339 in UTC with nine digits, so
// that names sort as times do. The time is that at which reading began.
const SnapshotTime = "2006-01-02T15:04:05.000000000Z07:00"

// SnapshotName is the member that holds one kernel text of a snapshot; path has no slash
// at its begin.
func SnapshotName(at time.Time, path string) string {
	return SnapshotFolder + at.UTC().Format(SnapshotTime) + "/" + encodePath(path)
}

// SplitSnapshot takes a member's name apart into Unix nanoseconds and path; ok is false
// where it is no snapshot's.
func SplitSnapshot(member string) (at int64, path string, ok bool) {
	rest, ok := strings.CutPrefix(member, SnapshotFolder)
	if !ok {
		return 0, "", false
	}
	stamp, path, ok := strings.Cut(rest, "/")
	t, err := time.Parse(SnapshotTime, stamp)
	if !ok || err != nil {
		return 0, "", false
	}
	return t.UnixNano(), decodePath(path), true
}
