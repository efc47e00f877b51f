package evidence

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// A token bucket that dropped between the trigger and the end: a counter with two
// readings; what stayed zero costs no column.
func TestReadingsOfDevices(t *testing.T) {
	const qdiscs = `{"at":"trigger","time":5,"interface":"eth0","kind":"tbf","handle":"1:","drops":10,"backlog":7}
{"at":"trigger","time":5,"interface":"lo","kind":"noqueue","handle":"0:","drops":0}
{"at":"end","time":9,"interface":"eth0","kind":"tbf","handle":"1:","drops":52,"backlog":0}
{"at":"end","time":9,"interface":"lo","kind":"noqueue","handle":"0:","drops":0}
`
	const drivers = `{"at":"trigger","time":5,"interface":"eth0","statistics":{"rx_missed":0}}
{"at":"end","time":9,"interface":"eth0","statistics":{"rx_missed":3}}
`
	var e Evidence
	for _, m := range []struct{ name, text string }{{member.QdiscsName, qdiscs}, {member.StatisticsName, drivers}} {
		if err := readerFor(m.name)(&e, m.name, strings.NewReader(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	e.Columns.Finish()
	if c := e.Columns.Get("qdisc.eth0.tbf.1:.drops"); c == nil || c.Kind != column.Counter || len(c.V) != 2 || c.V[0] != 10 || c.V[1] != 52 {
		t.Errorf("drops of the token bucket: %+v", c)
	}
	if c := e.Columns.Get("qdisc.eth0.tbf.1:.backlog"); c == nil || c.Kind != column.Gauge {
		t.Errorf("backlog of the token bucket: %+v", c)
	}
	if c := e.Columns.Get("ethtool.eth0.rx_missed"); c == nil || len(c.V) != 2 || c.V[0] != 0 || c.V[1] != 3 {
		t.Errorf("the driver's counter: %+v", c)
	}
	if c := e.Columns.Get("qdisc.lo.noqueue.0:.drops"); c != nil {
		t.Errorf("a number that was always zero: %+v", c)
	}
}

func FuzzReadings(f *testing.F) {
	f.Add([]byte(`{"time":5,"interface":"eth0","kind":"tbf","handle":"1:","drops":10}`))
	f.Add([]byte(`{"time":5,"interface":"eth0","statistics":{"x":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c column.Columns
		_ = readQdiscs(bytes.NewReader(text), &c) // must not panic
		_ = readDrivers(bytes.NewReader(text), &c)
	})
}
