package member

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// DropsName holds how many packets the kernel dropped, where and why.
const DropsName = "drops.csv"

// UnattributedName holds, in the same form, the drops of which nothing told whose network
// namespace they were in, while the recorder kept to its own.
const UnattributedName = "drops-unattributed.csv"

// DropsHeader is the first line of both, and so its columns (SPEC.md, "drops.csv").
const DropsHeader = "time,reason,place,count\n"

// Drop is how many packets one place in the kernel dropped for one reason within about a
// second.
type Drop struct {
	Time   int64  // the second's begin
	Line   int    // in drops.csv, counted from 1
	Reason string // as enum skb_drop_reason of the running kernel names it: NO_SOCKET
	Place  string // tcp_v4_rcv+0x80
	Count  uint64 // packets
}

// Append appends the drop's line.
func (d *Drop) Append(b []byte) []byte {
	b = strconv.AppendInt(b, d.Time, 10)
	b = append(append(b, ','), d.Reason...)
	b = append(append(b, ','), d.Place...)
	b = strconv.AppendUint(append(b, ','), d.Count, 10)
	return append(b, '\n')
}

// ParseDrops reads drops.csv.
func ParseDrops(text []byte) ([]Drop, error) {
	var drops []Drop
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		if n == 1 {
			return nil
		}
		// Nothing is quoted: reasons and places are made of C identifiers, which have no comma.
		fields := bytes.Split(line, []byte{','})
		if len(fields) < 4 { // later recorders may add columns (SPEC.md, "Versions")
			return fmt.Errorf("%d columns, want 4", len(fields))
		}
		at, err := stamp(fields[0])
		if err != nil {
			return err
		}
		count, err := strconv.ParseUint(string(fields[3]), 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a counter", kerneltext.Clip(fields[3]))
		}
		drops = append(drops, Drop{Time: at, Line: n, Reason: string(fields[1]), Place: string(fields[2]), Count: count})
		return nil
	})
	return drops, err
}
