package kerneltext

import (
	"bytes"
	"fmt"
)

// NetDevRow is one interface of /proc/net/dev; the columns are those of
// rtnl_link_stats64, some of them summed by the kernel. Name is valid until the function
// that got the row returns.
type NetDevRow struct {
	Name []byte
	RxBytes, RxPackets, RxErrors, RxDropped, RxFifo, RxFrame, RxCompressed, RxMulticast,
	TxBytes, TxPackets, TxErrors, TxDropped, TxFifo, TxCollisions, TxCarrier, TxCompressed uint64
}

// ParseNetDev reads /proc/net/dev: two header lines, then "name: 8 receive and 8
// transmit columns" (net/core/net-procfs.c, dev_seq_printf_stats, Linux 2.6.12 to
// 6.18). RxDropped is rx_dropped plus rx_missed_errors. Old kernels print no blank
// between the colon and a wide first column. It calls row with each interface and does
// not allocate.
func ParseNetDev(text []byte, row func(NetDevRow)) error {
	return Lines(text, func(_ int, line []byte) error {
		colon := bytes.LastIndexByte(line, ':') // an alias such as eth0:1 has one in its name
		switch {
		case colon < 0 && bytes.IndexByte(line, '|') >= 0: // which an interface may have in its name, too
			return nil // a header line
		case colon < 0:
			return fmt.Errorf("no interface before %q", Clip(line))
		}
		d := NetDevRow{Name: bytes.TrimSpace(line[:colon])}
		var buf [16][]byte
		err := counters(fields(buf[:0], line[colon+1:]),
			&d.RxBytes, &d.RxPackets, &d.RxErrors, &d.RxDropped, &d.RxFifo, &d.RxFrame, &d.RxCompressed, &d.RxMulticast,
			&d.TxBytes, &d.TxPackets, &d.TxErrors, &d.TxDropped, &d.TxFifo, &d.TxCollisions, &d.TxCarrier, &d.TxCompressed)
		if err != nil {
			return fmt.Errorf("interface %q: %w", Clip(d.Name), err)
		}
		row(d)
		return nil
	})
}
