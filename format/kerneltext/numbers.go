package kerneltext

import "fmt"

// ParseNumbers reads the numbers of a file below /proc/sys, one for each target: one of
// nf_conntrack_count, two of ip_local_port_range (kernel/sysctl.c, proc_dointvec, Linux
// 2.6.12 to 6.18). They are signed: nf_conntrack_max, which is not, reads as -1 when it is
// set to the largest there is. It does not allocate.
func ParseNumbers(text []byte, into ...*float64) error {
	var buf [4][]byte
	words := fields(buf[:0], text)
	if len(words) < len(into) {
		return fmt.Errorf("%d numbers, want %d", len(words), len(into))
	}
	for i, to := range into {
		v, err := Number(words[i])
		if err != nil {
			return err
		}
		*to = v
	}
	return nil
}
