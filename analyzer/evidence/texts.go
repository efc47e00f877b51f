package evidence

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// readSnapshot adds the numbers of one text of one snapshot.
func readSnapshot(name string, text []byte, c *column.Columns) error {
	at, path, ok := member.SplitSnapshot(name)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", member.SnapshotFolder)
	}
	return c.Read(path, at, text)
}
