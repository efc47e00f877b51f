package traffic

import "github.com/spikebox/spikebox/analyzer/packet"

// Volume is how many TCP packets went which way in each second.
type Volume struct {
	First int64       // Unix s
	Ways  [][3]uint32 // by second since First and packet.Dir
}

// mostSeconds bounds a volume to a day and a half, 1.5 MB; what is beyond is not counted.
const mostSeconds = 1 << 17

// Add counts a packet.
func (v *Volume) Add(p *packet.Packet) {
	at := p.Time / 1e9
	if len(v.Ways) == 0 {
		v.First = at
	}
	i := at - v.First
	if i < 0 || i >= mostSeconds {
		return
	}
	for int64(len(v.Ways)) <= i {
		v.Ways = append(v.Ways, [3]uint32{})
	}
	v.Ways[i][p.Dir]++
}
