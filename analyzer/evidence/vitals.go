package evidence

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// readVitals adds the vitals' columns, with the units that the manifest gives.
func readVitals(text []byte, infos []format.VitalInfo, c *column.Columns) error {
	units := map[string]string{}
	for _, v := range infos {
		units[v.Name] = v.Unit
	}
	vitals, err := member.ParseVitals(text)
	skipped := 0
	for _, tick := range vitals.Rows {
		r, ok := c.Row(member.VitalsName, tick.Time)
		if !ok {
			skipped++
			continue
		}
		for i, name := range vitals.Names {
			r.Put(column.Gauge, units[name], tick.Values[i], name)
		}
	}
	if err == nil && skipped > 0 {
		err = fmt.Errorf("%d rows out of the order of time", skipped)
	}
	return err
}
