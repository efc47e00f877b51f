package check

// dropReason is what the kernel means by one of its reasons to drop a packet
// (include/net/dropreason-core.h, Linux 6.18; the names are those of enum skb_drop_reason without
// SKB_DROP_REASON_). A reason is normal, or is told by another check, or is a loss.
type dropReason struct {
	told   string // ID of the check that tells of it
	normal string // why it is no loss
	means  string // of a loss: what was the matter with the packets, as a clause behind "they"
	look   string // and what to do
	// only says that it is worth knowing at most: what a network brings by itself.
	only bool
}

// Why drops are no loss, for several reasons.
const (
	isOld      = "TCP has these bytes already: it is what is left of a retransmission, which other checks tell"
	isClosing  = "what still arrives for a connection that has ended has nobody to read it"
	isOwnRule  = "a rule that the host's owner has set; local-drop says where it hits connections"
	isNotOurs  = "it was not for this host"
	isNoPacket = "it was no packet of a network, or only a copy of one"
)

// What to do about losses, for several reasons.
const (
	lookCorrupt   = "Something changes packets: a cable, a switch, memory of a NIC or a wrong offload. Compare with a capture at the sender, and switch receive checksum offload off for a test (ethtool -K)."
	lookMalformed = "See in a capture who sends them (events.jsonl has the addresses): a broken sender, a tunnel, or somebody who tries."
	lookMartian   = "See whose they are (events.jsonl, net.ipv4.conf.*.log_martians): a wrong address or mask on the wire, an asymmetric route, or forged senders."
	lookSequence  = "Look for what stands between and rewrites sequence numbers or has lost a connection's state: a firewall, NAT or load balancer with a timeout for idle connections."
	lookOldSYN    = "A SYN-ACK is sent again where this host's ACK was lost, or found the server's accept queue full: ask the server for its ListenOverflows. A SYN means that the peer has forgotten its connection (it was restarted, or its NAT was) and uses the same port again."
	lookTunnel    = "Compare the tunnel's configuration on both ends."
	lookAuth      = "Compare the keys on both ends (BGP peers, net.ipv4.tcp_ao), and which of them is configured for it at all."
	lookMemory    = "See memory-pressure and /proc/meminfo: the kernel had no memory at once, in a context that cannot wait."
)

// dropReasons are all of Linux 6.18. NOT_SPECIFIED is left out: it is no reason, and what stands
// behind it cannot be told.
var dropReasons = map[string]dropReason{
	"NO_SOCKET":               {told: "connection-refused"},
	"SOCKET_CLOSE":            {normal: "a program closed its socket with data unread"},
	"SOCKET_FILTER":           {normal: isOwnRule},
	"SOCKET_RCVBUFF":          {told: "udp-rcvbuf"},
	"UNIX_DISCONNECT":         {normal: isNoPacket},
	"UNIX_SKIP_OOB":           {normal: isNoPacket},
	"PKT_TOO_SMALL":           {means: "were shorter than their headers say", look: lookMalformed},
	"TCP_CSUM":                {means: "had a wrong TCP checksum", look: lookCorrupt},
	"UDP_CSUM":                {means: "had a wrong UDP checksum", look: lookCorrupt},
	"IP_CSUM":                 {means: "had a wrong IP checksum", look: lookCorrupt},
	"ICMP_CSUM":               {means: "had a wrong ICMP checksum", look: lookCorrupt},
	"SKB_CSUM":                {means: "had a wrong checksum", look: lookCorrupt},
	"NETFILTER_DROP":          {told: "local-drop"},
	"OTHERHOST":               {normal: isNotOurs + ": a promiscuous interface sees others' frames"},
	"IP_INHDR":                {means: "had a broken IP header", look: lookMalformed, only: true},
	"HDR_TRUNC":               {means: "ended within their headers", look: lookMalformed, only: true},
	"IP_RPFILTER":             {means: "came in on another interface than the way back to their senders leads to (the reverse path filter)", look: "Look at the way back to these senders (ip route get) and at net.ipv4.conf.*.rp_filter: 2 lets asymmetric routes through."},
	"UNICAST_IN_L2_MULTICAST": {normal: "an address of one host in a frame to many is not answered, by RFC 1122"},
	"XFRM_POLICY":             {normal: isOwnRule},
	"IP_NOPROTO":              {normal: "neighbours speak protocols of which this host knows nothing (VRRP, OSPF)"},
	"PROTO_MEM":               {told: "tcp-memory"},
	"TCP_AUTH_HDR":            {means: "had more than one TCP option for authentication", look: lookAuth},
	"TCP_MD5NOTFOUND":         {means: "had no MD5 signature, and one is demanded", look: lookAuth},
	"TCP_MD5UNEXPECTED":       {means: "had an MD5 signature that nobody expects", look: lookAuth},
	"TCP_MD5FAILURE":          {means: "had a wrong MD5 signature", look: lookAuth},
	"TCP_AONOTFOUND":          {means: "had no TCP-AO signature, and one is demanded", look: lookAuth},
	"TCP_AOUNEXPECTED":        {means: "had a TCP-AO signature that nobody expects", look: lookAuth},
	"TCP_AOKEYNOTFOUND":       {means: "were signed by a TCP-AO key that is not here", look: lookAuth},
	"TCP_AOFAILURE":           {means: "had a wrong TCP-AO signature", look: lookAuth},
	"SOCKET_BACKLOG": {means: "came while a process held the socket for so long that its backlog was full (TcpExt TCPBacklogDrop)",
		look: "See which connection that is (events.jsonl): a process that reads or writes very much in one call, or a CPU that it shares with its own NET_RX."},
	"TCP_FLAGS":                {normal: "segments that no state of TCP wants, such as a RST at a listener"},
	"TCP_ABORT_ON_DATA":        {told: "reset-storm"},
	"TCP_ZEROWINDOW":           {told: "zero-window"},
	"TCP_OLD_DATA":             {normal: isOld},
	"TCP_OVERWINDOW":           {told: "window-shrunk"},
	"TCP_OFOMERGE":             {normal: isOld},
	"TCP_RFC7323_PAWS":         {means: "had an older timestamp than what came before on their connection (TcpExt PAWSEstab)", look: "Hosts behind one address whose clocks differ look like that: NAT that reuses ports at once, or a load balancer that hands connections over. So do packets that were very late."},
	"TCP_RFC7323_PAWS_ACK":     {normal: "an ACK that another has overtaken says nothing new"},
	"TCP_RFC7323_TW_PAWS":      {means: "asked for a connection of which the old one is in TIME_WAIT and had newer timestamps", look: "Hosts behind one address whose clocks differ look like that, when its NAT uses a port again within the minute that TIME_WAIT lasts: give the NAT more ports or addresses."},
	"TCP_RFC7323_TSECR":        {means: "echoed a timestamp that this host has not sent", look: lookSequence},
	"TCP_LISTEN_OVERFLOW":      {told: "listen-overflow"},
	"TCP_OLD_SEQUENCE":         {normal: isOld},
	"TCP_INVALID_SEQUENCE":     {means: "had sequence numbers outside of the window", look: lookSequence},
	"TCP_INVALID_END_SEQUENCE": {means: "ended beyond the window", look: lookSequence},
	"TCP_INVALID_ACK_SEQUENCE": {means: "acknowledged what was never sent", look: lookSequence},
	"TCP_ACK_UNSENT_DATA":      {means: "acknowledged what was never sent", look: lookSequence},
	"TCP_RESET":                {normal: "a RST does its work and goes"},
	"TCP_INVALID_SYN":          {means: "were SYNs or SYN-ACKs on connections that are established here", only: true, look: lookOldSYN},
	"TCP_CLOSE":                {normal: isClosing},
	"TCP_FASTOPEN":             {normal: "a handshake whose data was taken already"},
	"TCP_OLD_ACK":              {normal: "an ACK that another has overtaken says nothing new"},
	"TCP_TOO_OLD_ACK":          {normal: "an ACK that another has overtaken says nothing new"},
	"TCP_OFO_QUEUE_PRUNE":      {told: "tcp-collapse"},
	"TCP_OFO_DROP":             {told: "tcp-collapse"},
	"TCP_MINTTL":               {normal: isOwnRule},
	"IP_OUTNOROUTES":           {told: "no-route"},
	"IP_INNOROUTES":            {means: "were to be forwarded, and no route leads there", look: "Look at the routes for these destinations (ip route get): a route that is missing, or somebody who tries addresses.", only: true},
	"IP_INADDRERRORS":          {means: "were for addresses that nothing here forwards to", look: lookMartian, only: true},
	"IP_LOCAL_SOURCE":          {means: "came from outside with an address of this host", look: lookMartian},
	"IP_INVALID_SOURCE":        {means: "had a sender that cannot be one", look: lookMartian, only: true},
	"IP_LOCALNET":              {means: "came from outside with a loopback address", look: lookMartian, only: true},
	"IP_INVALID_DEST":          {means: "had a destination that cannot be one", look: lookMartian, only: true},
	"BPF_CGROUP_EGRESS":        {normal: isOwnRule},
	"IPV6DISABLED":             {told: "rx-dropped-explained"},
	"NEIGH_CREATEFAIL":         {told: "neighbour-overflow"},
	"NEIGH_FAILED":             {told: "neighbour-failed"},
	"NEIGH_QUEUEFULL":          {told: "neighbour-failed"},
	"NEIGH_DEAD":               {told: "neighbour-failed"},
	"NEIGH_HH_FILLFAIL":        {told: "neighbour-failed"},
	"TC_EGRESS":                {normal: isOwnRule},
	"TC_INGRESS":               {normal: isOwnRule},
	"XDP":                      {normal: isOwnRule},
	"SECURITY_HOOK":            {normal: isOwnRule},
	"QDISC_DROP":               {told: "qdisc-drop"},
	"QDISC_OVERLIMIT":          {told: "qdisc-drop"},
	"QDISC_CONGESTED":          {told: "qdisc-drop"},
	"CAKE_FLOOD":               {told: "qdisc-drop"},
	"FQ_BAND_LIMIT":            {told: "qdisc-drop"},
	"FQ_HORIZON_LIMIT":         {told: "qdisc-drop"},
	"FQ_FLOW_LIMIT":            {told: "qdisc-drop"},
	"DUALPI2_STEP_DROP":        {told: "qdisc-drop"},
	"CPU_BACKLOG":              {told: "softnet-drop"},
	"UNHANDLED_PROTO":          {told: "rx-dropped-explained"},
	"VLAN_FILTER":              {told: "rx-dropped-explained"},
	"SKB_GSO_SEG":              {means: "could not be cut into segments for an interface without segmentation offload", look: lookMemory},
	"SKB_UCOPY_FAULT":          {means: "could not be copied from the memory of their program", look: "See which program writes to a TUN device or a packet socket with a bad address."},
	"NOMEM":                    {means: "could not be taken for want of memory", look: lookMemory},
	"PFMEMALLOC":               {means: "had been received into the last reserve of memory, and their sockets may not use it", look: lookMemory},
	"DEV_HDR":                  {means: "had a header that their device cannot make or read", look: lookMalformed},
	"DEV_READY":                {means: "were for a device that is down", look: "See which interface was down then (kernel log, ip link) and who still routes through it."},
	"FULL_RING": {means: "found the ring of a TUN, TAP or virtio device full: the program or the virtual machine behind it does not take its packets",
		look: "Look at that virtual machine's CPU, or at the program (a VPN) that reads the device; txqueuelen of the device is its ring."},
	"TAP_FILTER":               {normal: isNotOurs},
	"TAP_TXFILTER":             {normal: isOwnRule},
	"INVALID_PROTO":            {means: "were of no protocol that their device carries", look: lookMalformed, only: true},
	"PKT_TOO_BIG":              {normal: "the sender is told, and sends smaller ones (path MTU discovery)"},
	"DUP_FRAG":                 {normal: "the same fragment twice"},
	"FRAG_REASM_TIMEOUT":       {means: "were fragments of packets of which others never came", look: "Datagrams larger than the path's MTU depend on every fragment: firewalls drop them, and load balancers send them apart. Make them smaller (DNS: edns-buffer-size, tunnels: MTU)."},
	"FRAG_TOO_FAR":             {means: "were fragments that came too late or between too many others (net.ipv4.ipfrag_max_dist)", look: "Datagrams larger than the path's MTU depend on every fragment: make them smaller."},
	"IPV6_BAD_EXTHDR":          {means: "had an IPv6 extension header that is not understood", look: lookMalformed, only: true},
	"IPV6_NDISC_FRAG":          {means: "were neighbour discovery in fragments, which is refused (RFC 6980)", look: lookMalformed, only: true},
	"IPV6_NDISC_HOP_LIMIT":     {means: "were neighbour discovery from beyond this network", look: lookMalformed, only: true},
	"IPV6_NDISC_BAD_CODE":      {means: "were broken neighbour discovery", look: lookMalformed, only: true},
	"IPV6_NDISC_BAD_OPTIONS":   {means: "were broken neighbour discovery", look: lookMalformed, only: true},
	"IPV6_NDISC_NS_OTHERHOST":  {normal: isNotOurs},
	"QUEUE_PURGE":              {normal: isClosing},
	"TC_COOKIE_ERROR":          {means: "were lost between tc and their way on", look: "See which tc filters and actions are there (tc filter show), and whether they are changed while packets pass."},
	"TC_CHAIN_NOTFOUND":        {means: "were sent to a chain of tc that does not exist", look: "Compare tc filter show with what goto chain names."},
	"TC_RECLASSIFY_LOOP":       {means: "went round in tc's filters", look: "Look for actions of tc that reclassify (tc filter show)."},
	"RECURSION_LIMIT":          {means: "went round between devices", look: "Look for devices that send through each other: tunnels whose outer route leads into themselves."},
	"PACKET_SOCK_ERROR":        {normal: isNoPacket + ": a capture's buffer was full"},
	"VXLAN_INVALID_HDR":        {means: "had a broken VXLAN header", look: lookTunnel},
	"VXLAN_VNI_NOT_FOUND":      {means: "were of a VXLAN that is not configured here", look: lookTunnel, only: true},
	"VXLAN_ENTRY_EXISTS":       {means: "came from another end of the VXLAN than the one at which their sender is pinned", look: lookTunnel},
	"MAC_INVALID_SOURCE":       {means: "had a MAC address that is no sender's", look: lookMalformed},
	"LOCAL_MAC":                {means: "came in with this host's own MAC address", look: "Two hosts with one MAC address, or a loop between switches: see events.jsonl and the switch's log of moving addresses."},
	"NO_TX_TARGET":             {means: "had no device to leave by", look: "See which bond, bridge or tunnel had no member that was up."},
	"IP_TUNNEL_ECN":            {means: "came out of a tunnel with marks of congestion that cannot be", look: lookTunnel},
	"TUNNEL_TXINFO":            {means: "were given to a tunnel that was not told where to", look: lookTunnel},
	"ARP_PVLAN_DISABLE":        {normal: isOwnRule},
	"MAC_IEEE_MAC_CONTROL":     {normal: "pause frames and their like end at the link"},
	"BRIDGE_INGRESS_STP_STATE": {normal: "the spanning tree blocks this port on purpose"},
	"CAN_RX_INVALID_FRAME":     {normal: isNoPacket},
	"CANFD_RX_INVALID_FRAME":   {normal: isNoPacket},
	"CANXL_RX_INVALID_FRAME":   {normal: isNoPacket},
	"PSP_INPUT":                {normal: isOwnRule},
	"PSP_OUTPUT":               {normal: isOwnRule},
}
