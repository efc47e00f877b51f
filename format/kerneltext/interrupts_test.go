package kerneltext

import "testing"

// With fewer than 1,000 interrupts arm64 prints no blank behind the name (arch/arm64/kernel/smp.c,
// arch_show_interrupts, "%*s%u:%s", Linux 6.1 and 6.12), and a counter of ten digits fills its column.
func TestInterruptsOfArm64(t *testing.T) {
	cpus, rows, err := ParseInterrupts([]byte(`           CPU0       CPU1
 11:      48211      47110     GICv3  30 Level     arch_timer
IPI0:2768808080 2768808081       Rescheduling interrupts
IPI1:      1201       1120       Function call interrupts
Err:          0
`))
	if err != nil || len(cpus) != 2 || len(rows) != 4 {
		t.Fatalf("%d CPUs, rows %+v, %v", len(cpus), rows, err)
	}
	ipi := rows[1]
	if ipi.Name != "IPI0" || len(ipi.Counts) != 2 || ipi.Counts[0] != 2768808080 || ipi.Counts[1] != 2768808081 ||
		ipi.Action != "Rescheduling interrupts" {
		t.Errorf("%+v", ipi)
	}
}
