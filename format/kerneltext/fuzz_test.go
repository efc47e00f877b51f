package kerneltext

import (
	"bytes"
	"testing"
)

// fuzz feeds a parser with what the fuzzer makes of a text: it must not panic, and an error
// must stay short enough to be printed.
func fuzz(f *testing.F, seed string, parse parse) {
	f.Add(testText(f, seed))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := parse(text); err != nil && len(err.Error()) > 1000 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	})
}

func FuzzSNMP(f *testing.F) {
	for _, text := range []string{":", "TcpExt: A B\nTcpExt: 1 2\n", "Tcp: A\nTcp:\n\n"} {
		f.Add([]byte(text))
	}
	fuzz(f, "proc_net_snmp", func(text []byte) error {
		return ParseSNMP(text, func(r SNMPRow) {
			if len(r.Name) == 0 || !bytes.Contains(text, r.Group) {
				panic("a value without a name")
			}
		})
	})
}

func FuzzNetDev(f *testing.F) { fuzz(f, "proc_net_dev", tickParsers["proc_net_dev"]) }
func FuzzStat(f *testing.F)   { fuzz(f, "proc_stat", tickParsers["proc_stat"]) }
func FuzzSoftnet(f *testing.F) {
	fuzz(f, "proc_net_softnet_stat", tickParsers["proc_net_softnet_stat"])
}
func FuzzSockstat(f *testing.F)  { fuzz(f, "proc_net_sockstat", tickParsers["proc_net_sockstat"]) }
func FuzzUDP(f *testing.F)       { fuzz(f, "proc_net_udp6", tickParsers["proc_net_udp6"]) }
func FuzzTCPStates(f *testing.F) { fuzz(f, "proc_net_tcp", tickParsers["proc_net_tcp"]) }

func FuzzCPUTable(f *testing.F) {
	const name = "proc_net_stat_nf_conntrack"
	fuzz(f, name, tickParsers[name])
}

func FuzzNumbers(f *testing.F) {
	const name = "proc_sys_net_ipv4_ip_local_port_range"
	fuzz(f, name, tickParsers[name])
}

func FuzzNameValue(f *testing.F) {
	f.Add(testText(f, "proc_meminfo"))
	f.Add(testText(f, "proc_vmstat"))
	fuzz(f, "proc_net_snmp6", func(text []byte) error { return ParseNameValue(text, func(NameValue) {}) })
}

func FuzzSoftirqs(f *testing.F) {
	fuzz(f, "proc_softirqs", func(text []byte) error {
		cpus, rows, err := ParseSoftirqs(text)
		for _, r := range rows {
			if len(r.Counts) != len(cpus) {
				panic("a row that is not as wide as its header")
			}
		}
		return err
	})
}

func FuzzInterrupts(f *testing.F) {
	fuzz(f, "proc_interrupts", func(text []byte) error {
		cpus, rows, err := ParseInterrupts(text)
		for _, r := range rows {
			if len(r.Counts) != len(cpus) && len(r.Counts) != 1 || r.Name == "" {
				panic("a row that is not as wide as its header, or has no name")
			}
		}
		return err
	})
}

func FuzzLoadavg(f *testing.F) {
	fuzz(f, "proc_loadavg", func(text []byte) error { _, err := ParseLoadavg(text); return err })
}

func FuzzPressure(f *testing.F) {
	fuzz(f, "proc_pressure_cpu", func(text []byte) error { return ParsePressure(text, func(PressureRow) {}) })
}

func FuzzProtocols(f *testing.F) {
	fuzz(f, "proc_net_protocols", func(text []byte) error { return ParseProtocols(text, func(Protocol) {}) })
}

func FuzzSchedstat(f *testing.F) {
	fuzz(f, "proc_schedstat", func(text []byte) error { _, err := ParseSchedstat(text); return err })
}

func FuzzBond(f *testing.F) {
	fuzz(f, "proc_net_bonding_bond0", func(text []byte) error { _, err := ParseBond(text); return err })
}
