package member

// NetlinkFolder holds what the kernel's routing netlink (rtnetlink(7)) tells of the
// recorder's network namespace at the end of the window (SPEC.md, "static/netlink/"). The
// tables are cut after 10,000 lines; the summary counts all.
const NetlinkFolder = StaticFolder + "netlink/"

// The tables, and their summary.
const (
	LinksName          = NetlinkFolder + "links.jsonl"
	AddressesName      = NetlinkFolder + "addresses.jsonl"
	RoutesName         = NetlinkFolder + "routes.jsonl"
	RulesName          = NetlinkFolder + "rules.jsonl"
	NeighboursName     = NetlinkFolder + "neighbours.jsonl"
	NetlinkSummaryName = NetlinkFolder + "summary.json"
)

// Link is a network interface: a line of links.jsonl.
type Link struct {
	Index          uint32            `json:"ifindex"`
	Name           string            `json:"name"`
	Kind           string            `json:"kind,omitempty"`       // bond, veth … ; none for hardware
	MemberKind     string            `json:"slave_kind,omitempty"` // of its master
	Master         uint32            `json:"master,omitempty"`     // ifindex
	Lower          uint32            `json:"link,omitempty"`       // ifindex of what it is stacked on, or of its peer
	Device         string            `json:"device,omitempty"`     // of hardware: its bus address
	Address        string            `json:"address,omitempty"`
	MTU            uint64            `json:"mtu"`
	Flags          []string          `json:"flags,omitempty"`
	State          string            `json:"operstate,omitempty"`
	Carrier        *bool             `json:"carrier,omitempty"`
	CarrierChanges uint64            `json:"carrier_changes"`
	Promiscuity    uint64            `json:"promiscuity,omitempty"`
	TxQueues       uint64            `json:"tx_queues,omitempty"`
	RxQueues       uint64            `json:"rx_queues,omitempty"`
	TxQueueLen     uint64            `json:"tx_queue_len"`
	Qdisc          string            `json:"qdisc,omitempty"`
	GSOMaxSize     uint64            `json:"gso_max_size,omitempty"`
	XDP            bool              `json:"xdp,omitempty"`
	Stats          map[string]uint64 `json:"stats,omitempty"` // struct rtnl_link_stats64
}

// Address is an address of an interface: a line of addresses.jsonl.
type Address struct {
	Interface string   `json:"interface,omitempty"` // its name
	Index     uint32   `json:"ifindex"`
	Family    string   `json:"family"`
	Local     string   `json:"address"`        // with the length of its prefix
	Peer      string   `json:"peer,omitempty"` // of a point-to-point link
	Scope     string   `json:"scope"`
	Flags     []string `json:"flags,omitempty"`
}

// Route is an entry of a routing table: a line of routes.jsonl.
type Route struct {
	Interface string            `json:"interface,omitempty"`
	Family    string            `json:"family"`
	Type      string            `json:"type"` // unicast, local, blackhole …
	Table     uint64            `json:"table"`
	To        string            `json:"dst"`           // prefix, or "default"
	From      string            `json:"src,omitempty"` // prefix
	Gateway   string            `json:"gateway,omitempty"`
	Index     uint32            `json:"ifindex,omitempty"`
	Protocol  string            `json:"protocol"`
	Scope     string            `json:"scope,omitempty"`
	Priority  uint64            `json:"metric,omitempty"`
	Source    string            `json:"prefsrc,omitempty"`
	NextHop   uint64            `json:"nhid,omitempty"` // number of a nexthop object
	Hops      []Hop             `json:"nexthops,omitempty"`
	Metrics   map[string]uint64 `json:"metrics,omitempty"` // RTAX_*: mtu, initcwnd, rto_min …
}

// Hop is one of several next hops.
type Hop struct {
	Gateway string `json:"gateway,omitempty"`
	Index   uint32 `json:"ifindex"`
	Weight  int    `json:"weight"`
}

// Rule says which table a packet is routed by (ip-rule(8)): a line of rules.jsonl.
type Rule struct {
	Family   string `json:"family"`
	Priority uint64 `json:"priority"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	In       string `json:"iif,omitempty"`
	Out      string `json:"oif,omitempty"`
	Mark     uint64 `json:"fwmark,omitempty"`
	Mask     uint64 `json:"fwmask,omitempty"`
	Action   string `json:"action"`
	Table    uint64 `json:"table,omitempty"`
	L3MDev   bool   `json:"l3mdev,omitempty"`
	IPProto  uint64 `json:"ip_protocol,omitempty"`
	Inverted bool   `json:"not,omitempty"`
}

// Neighbour is an entry of the ARP or neighbour discovery cache: a line of
// neighbours.jsonl.
type Neighbour struct {
	Interface string `json:"interface,omitempty"`
	Index     uint32 `json:"ifindex"`
	Family    string `json:"family"`
	Address   string `json:"address"`
	Link      string `json:"lladdr,omitempty"`
	State     string `json:"state"`
	Router    bool   `json:"router,omitempty"`
	// Ages in ticks of 1/100 s (USER_HZ), of struct nda_cacheinfo.
	Confirmed uint32 `json:"confirmed_ticks"`
	Used      uint32 `json:"used_ticks"`
	Updated   uint32 `json:"updated_ticks"`
	Probes    uint64 `json:"probes,omitempty"`
}

// NetlinkSummary is summary.json: exact counts, also of what was cut.
type NetlinkSummary struct {
	Links      uint64                       `json:"links"`
	Addresses  uint64                       `json:"addresses"`
	Routes     map[string]uint64            `json:"routes"` // by family
	Rules      uint64                       `json:"rules"`
	Neighbours map[string]map[string]uint64 `json:"neighbours"` // by family and state
}

// Append appends the whole member.
func (s *NetlinkSummary) Append(b []byte) ([]byte, error) { return appendDocument(b, s) }

// ParseLinks reads links.jsonl.
func ParseLinks(text []byte) ([]Link, error) { return parseRows[Link](text, "read link") }

// ParseAddresses reads addresses.jsonl.
func ParseAddresses(text []byte) ([]Address, error) {
	return parseRows[Address](text, "read address")
}

// ParseRoutes reads routes.jsonl.
func ParseRoutes(text []byte) ([]Route, error) { return parseRows[Route](text, "read route") }

// ParseRules reads rules.jsonl.
func ParseRules(text []byte) ([]Rule, error) { return parseRows[Rule](text, "read rule") }

// ParseNeighbours reads neighbours.jsonl.
func ParseNeighbours(text []byte) ([]Neighbour, error) {
	return parseRows[Neighbour](text, "read neighbour")
}

// ParseNetlinkSummary reads summary.json.
func ParseNetlinkSummary(text []byte) (*NetlinkSummary, error) {
	return parseDocument[NetlinkSummary](text, "read netlink summary")
}
