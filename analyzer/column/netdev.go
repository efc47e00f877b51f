package column

import "github.com/spikebox/spikebox/format/kerneltext"

// netdevText is /proc/net/dev.
var netdevText = Text{
	Path: "proc/net/dev",
	Doc:  "packets, bytes, errors and drops of each interface",
	read: readNetDev,
}

// readNetDev gives if.eth0.rx_dropped and its like. A vanished interface leaves a gap.
func readNetDev(_ string, text []byte, r Row) error {
	return kerneltext.ParseNetDev(text, func(d kerneltext.NetDevRow) {
		put := func(unit, name string, v uint64) { r.Put(Counter, unit, float64(v), "if", string(d.Name), name) }
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
	})
}
