package member

// NetfilterName holds the names and sizes of rule sets.
const NetfilterName = StaticFolder + "netfilter.json"

// Netfilter is static/netfilter.json (SPEC.md, "static/netfilter.json"). It never holds what
// rules match or sets contain.
type Netfilter struct {
	Nftables []*NftTable   `json:"nftables"` // null where the kernel has no nf_tables
	IPv4     []LegacyTable `json:"iptables"` // null where the kernel has no iptables
	IPv6     []LegacyTable `json:"ip6tables"`
}

// NftTable is a table of nf_tables with its sizes.
type NftTable struct {
	Family string      `json:"family"`
	Name   string      `json:"name"`
	Chains []*NftChain `json:"chains"`
	Sets   []*NftSet   `json:"sets"`
}

// NftChain is a chain. Type, hook, priority, policy and device are those of base chains.
type NftChain struct {
	Name     string `json:"name"`
	Type     string `json:"type,omitempty"`
	Hook     string `json:"hook,omitempty"`
	Priority *int32 `json:"priority,omitempty"`
	Device   string `json:"device,omitempty"`
	Policy   string `json:"policy,omitempty"` // accept or drop
	Rules    uint64 `json:"rules"`
}

// NftSet is a set, a map or a flow meter.
type NftSet struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // of its keys
	Elements uint64 `json:"elements"`
	AtLeast  bool   `json:"at_least,omitempty"` // counting was given up
}

// LegacyTable is a table of iptables.
type LegacyTable struct {
	Table string `json:"table"`
	// Entries counts rules, the policy of each of its chains and one at the end.
	Entries uint32 `json:"entries"`
	Bytes   uint32 `json:"bytes"`
}

// Append appends the whole member.
func (n *Netfilter) Append(b []byte) ([]byte, error) { return appendDocument(b, n) }

// ParseNetfilter reads static/netfilter.json.
func ParseNetfilter(text []byte) (*Netfilter, error) {
	return parseDocument[Netfilter](text, "read sizes of netfilter")
}
