package column

import "github.com/spikebox/spikebox/format/kerneltext"

// protocolsText is /proc/net/protocols.
var protocolsText = Text{
	Path: "proc/net/protocols",
	Doc:  "sockets and memory of each protocol, and whether it is under memory pressure",
	read: readProtocols,
}

// readProtocols gives protocols.TCP.memory and its like, in pages where there is an account.
func readProtocols(_ string, text []byte, r Row) error {
	return kerneltext.ParseProtocols(text, func(p kerneltext.Protocol) {
		name := string(p.Name)
		r.Put(Gauge, "1", p.Sockets, "protocols", name, "sockets")
		if p.Pages < 0 {
			return
		}
		pressure := 0.0
		if p.Pressure {
			pressure = 1
		}
		r.Put(Gauge, "pages", p.Pages, "protocols", name, "memory")
		r.Put(Gauge, "1", pressure, "protocols", name, "pressure")
	})
}
