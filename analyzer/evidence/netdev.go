package evidence

import (
	"bytes"
	"fmt"
)

// netdevText is /proc/net/dev.
var netdevText = Text{
	Path: "proc/net/dev",
	Doc:  "packets, bytes, errors and drops of each interface",
	read: readNetDev,
}

// NetDevRow is one interface of /proc/net/dev; the columns are those of
// rtnl_link_stats64, some of them summed by the kernel.
type NetDevRow struct {
	Name string
	RxBytes, RxPackets, RxErrors, RxDropped, RxFifo, RxFrame, RxCompressed, RxMulticast,
	TxBytes, TxPackets, TxErrors, TxDropped, TxFifo, TxCollisions, TxCarrier, TxCompressed uint64
}

// ParseNetDev reads /proc/net/dev: two header lines, then "name: 8 receive and 8
// transmit columns" (net/core/net-procfs.c, dev_seq_printf_stats, Linux 2.6.12 to
// 6.18). RxDropped is rx_dropped plus rx_missed_errors. Old kernels print no blank
// between the colon and a wide first column.
func ParseNetDev(text []byte) ([]NetDevRow, error) {
	var rows []NetDevRow
	err := lines(text, func(_ int, line []byte) error {
		if bytes.IndexByte(line, '|') >= 0 {
			return nil // a header line
		}
		colon := bytes.LastIndexByte(line, ':') // an alias such as eth0:1 has one in its name
		if colon < 0 {
			return fmt.Errorf("no interface before %q", clip(line))
		}
		row := NetDevRow{Name: string(bytes.TrimSpace(line[:colon]))}
		err := counters(bytes.Fields(line[colon+1:]),
			&row.RxBytes, &row.RxPackets, &row.RxErrors, &row.RxDropped, &row.RxFifo, &row.RxFrame, &row.RxCompressed, &row.RxMulticast,
			&row.TxBytes, &row.TxPackets, &row.TxErrors, &row.TxDropped, &row.TxFifo, &row.TxCollisions, &row.TxCarrier, &row.TxCompressed)
		if err != nil {
			return fmt.Errorf("interface %q: %w", clip([]byte(row.Name)), err)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// readNetDev gives if.eth0.rx_dropped and its like. A vanished interface leaves a gap.
func readNetDev(_ string, text []byte, r row) error {
	rows, err := ParseNetDev(text)
	for i := range rows {
		d := &rows[i]
		put := func(unit, name string, v uint64) { r.put(Counter, unit, float64(v), "if", d.Name, name) }
		put("B", "rx_bytes", d.RxBytes)
		put("1", "rx_packets", d.RxPackets)
		put("1", "rx_errors", d.RxErrors)
		put("1", "rx_dropped", d.RxDropped)
		put("1", "rx_fifo", d.RxFifo)
		put("1", "rx_frame", d.RxFrame)
		put("1", "rx_multicast", d.RxMulticast)
		put("B", "tx_bytes", d.TxBytes)
		put("1", "tx_packets", d.TxPackets)
		put("1", "tx_errors", d.TxErrors)
		put("1", "tx_dropped", d.TxDropped)
		put("1", "tx_fifo", d.TxFifo)
		put("1", "tx_collisions", d.TxCollisions)
		put("1", "tx_carrier", d.TxCarrier)
	}
	return err
}
