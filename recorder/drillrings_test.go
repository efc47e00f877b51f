//go:build linux

package recorder

import (
	"testing"

	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
)

// An interface that carries packets of which its ring has none is recorded no more; one that is idle, or made anew
// meanwhile, or of which only some packets are wanted, says nothing.
func TestCompareRings(t *testing.T) {
	before := []ringReading{{"eth0", capture.Recording, 1000, 5000}}
	for _, c := range []struct {
		name     string
		now      ringReading
		filtered bool
		want     string
	}{
		{"recorded", ringReading{"eth0", capture.Recording, 1900, 6000}, false, control.StepOK},
		{"idle", ringReading{"eth0", capture.Recording, 1000, 5000 + standing - 1}, false, control.StepOK},
		{"passed by", ringReading{"eth0", capture.Recording, 1000, 5000 + standing}, false, control.StepFailed},
		{"of another port", ringReading{"eth0", capture.Recording, 1000, 9000}, true, control.StepOK},
		{"made anew", ringReading{"eth0", capture.Recording, 1000, 10}, false, control.StepUntried},
		{"down", ringReading{"eth0", capture.Down, 1000, 5000}, false, control.StepUntried},
		{"another", ringReading{"eth1", capture.Recording, 0, 5000}, false, control.StepUntried},
	} {
		if got := compare(before, []ringReading{c.now}, c.filtered); got.State != c.want || got.Text == "" {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
	if got := compare(nil, nil, false); got.State != control.StepUntried {
		t.Errorf("no ring: %+v", got)
	}
}
