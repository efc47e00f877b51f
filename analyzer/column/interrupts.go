package column

import (
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// interruptsText is /proc/interrupts.
var interruptsText = Text{
	Path: "proc/interrupts",
	Doc:  "interrupts by number, device and CPU",
	read: readInterrupts,
}

// readInterrupts names a numbered interrupt with its device, irq.24.eth0-TxRx-0.cpu3, as
// numbers alone say nothing to anybody.
func readInterrupts(_ string, text []byte, r Row) error {
	cpus, rows, err := kerneltext.ParseInterrupts(text)
	for _, irq := range rows {
		name := irq.Name
		if c := name[0]; c >= '0' && c <= '9' && irq.Action != "" {
			name += "." + strings.ReplaceAll(irq.Action, ".", "-")
		}
		if len(irq.Counts) != len(cpus) {
			r.Put(Counter32, "1", float64(irq.Counts[0]), "irq", name)
			continue
		}
		for i, v := range irq.Counts {
			r.Sparse(Counter32, "1", float64(v), "irq", name, "cpu"+strconv.Itoa(cpus[i]))
		}
	}
	return err
}
