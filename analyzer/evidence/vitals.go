package evidence

import (
	"fmt"
	"io"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// readVitals adds the vitals' columns, with the units that the manifest gives.
func readVitals(r io.Reader, infos []format.VitalInfo, c *column.Columns) error {
	units := map[string]string{}
	for _, v := range infos {
		units[v.Name] = v.Unit
	}
	skipped := 0
	_, err := member.EachVitals(r, func(names []string, tick *member.VitalsRow) {
		row, ok := c.Row(member.VitalsName, tick.Time)
		if !ok {
			skipped++
			return
		}
		for i, name := range names {
			row.Put(column.Gauge, units[name], tick.Values[i], name)
		}
	})
	if err == nil && skipped > 0 {
		err = fmt.Errorf("%d rows out of the order of time", skipped)
	}
	return err
}
