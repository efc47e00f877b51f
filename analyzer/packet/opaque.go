package packet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Opaque says inside what a packet is hidden that was not decoded: encrypted, cut by the snapshot
// length, nested too deep, or of a kind that no decoder here knows.
type Opaque uint8

// The encapsulations that may hide a packet.
const (
	Clear       Opaque = iota // nothing is hidden
	InESP                     // IPsec, RFC 4303
	InESPUDP                  // IPsec in UDP, RFC 3948
	InWireGuard               // UDP 51820
	InL2TP                    // RFC 2661, RFC 3931
	InMACsec                  // IEEE 802.1AE
	InIPIP                    // RFC 2003, RFC 4213
	InGRE                     // RFC 2784; PPTP's version 1, RFC 2637
	InGREUDP                  // RFC 8086
	InVXLAN                   // RFC 7348
	InGeneve                  // RFC 8926
	InGTPU                    // 3GPP TS 29.281
	InMPLS                    // RFC 3032
	InPPPoE                   // RFC 2516
	InAH                      // RFC 4302
	opaques
)

// opaqueNames are the names of the encapsulations for people.
var opaqueNames = [opaques]string{
	"", "ESP", "ESP over UDP", "WireGuard", "L2TP", "MACsec", "IP in IP", "GRE", "GRE over UDP", "VXLAN", "Geneve",
	"GTP-U", "MPLS", "PPPoE", "AH",
}

// String returns the name for people, empty for Clear.
func (o Opaque) String() string {
	if o < opaques {
		return opaqueNames[o]
	}
	return "invalid"
}

// Undecoded is packets of one kind that were not looked into.
type Undecoded struct {
	What    string `json:"what"` // WireGuard; link type 147; IP protocol 132; EtherType 0x88cc; short-ip
	Packets uint64 `json:"packets"`
	// Opaque says that connections may be hidden in them. Other protocols, whose headers were read, hide
	// none.
	Opaque bool `json:"opaque"`
}

// Where says where the packets are, as it follows their number: "in WireGuard", "of link type 147".
func (u Undecoded) Where() string {
	for _, name := range opaqueNames[1:] {
		if u.What == name {
			return "in " + name
		}
	}
	for kind, words := range brokenWords {
		if u.What == kind.String() {
			return words
		}
	}
	if name := linkNames[u.What]; name != "" {
		return "of " + u.What + " (" + name + ")"
	}
	return "of " + u.What
}

// Next says how to have such packets in a capture so that they can be read.
func (u Undecoded) Next() string {
	for _, words := range brokenWords {
		if u.Where() == words {
			return "capture whole headers: 128 bytes of each packet are enough (tcpdump -s 128)"
		}
	}
	if strings.HasPrefix(u.What, linkWord) {
		return "capture where packets come with Ethernet, Linux cooked, PPP, loopback or IP headers (tcpdump -L lists an interface's; Wi-Fi not in monitor mode)"
	}
	return "record on an interface whose packets can be read: behind WireGuard that is wg0"
}

// linkWord begins the name of a link type that no decoder here knows.
const linkWord = "link type "

// linkNames are those that people capture on, by their numbers in the pcap registry.
var linkNames = map[string]string{
	linkWord + "105": "802.11", linkWord + "119": "802.11 with Prism header", linkWord + "127": "802.11 with radiotap", linkWord + "163": "802.11 with AVS header",
	linkWord + "187": "Bluetooth", linkWord + "201": "Bluetooth", linkWord + "189": "USB", linkWord + "220": "USB", linkWord + "192": "PPI",
	linkWord + "195": "802.15.4", linkWord + "227": "CAN", linkWord + "239": "NFLOG", linkWord + "249": "USB", linkWord + "258": "PKTAP",
}

// brokenWords says what is wrong with packets whose headers could not be read.
var brokenWords = map[Kind]string{
	ShortLink: "cut within the link header", ShortIP: "cut within the IP header", ShortTCP: "cut within the TCP header",
	ShortPayload: "cut within the UDP or ICMP header",
	BadIP:        "with a broken IP header", BadTCP: "with a broken TCP header",
}

// Undecoded lists what was not looked into, the most packets first. No packet is in it twice.
func (s *Stats) Undecoded() []Undecoded {
	list := []Undecoded{}
	add := func(what string, n uint64, opaque bool) {
		if n > 0 {
			list = append(list, Undecoded{what, n, opaque})
		}
	}
	for o, n := range s.Opaque {
		add(o.String(), n, true)
	}
	for link, n := range s.Links {
		add(linkWord+strconv.FormatUint(uint64(link), 10), n, true)
	}
	for kind := range brokenWords {
		add(kind.String(), s.Kinds[kind], true)
	}
	for number, n := range s.Protos {
		add(fmt.Sprintf("IP protocol %d", number), n, false)
	}
	for number, n := range s.Ether {
		add(etherName(number), n, false)
	}
	slices.SortFunc(list, func(a, b Undecoded) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.What, b.What))
	})
	return list
}

// etherName names an EtherType; frames of IEEE 802.3 have none.
func etherName(number uint16) string {
	if number == 0 {
		return "LLC"
	}
	return fmt.Sprintf("EtherType %#04x", number)
}
