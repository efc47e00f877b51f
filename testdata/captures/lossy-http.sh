#!/usr/bin/env bash
# Makes lossy-http-{server,client}.pcap.gz and lossy-http.kernel.json anew: HTTP through a
# veth pair between two network namespaces. Each end loses TCP packets at random in its own
# input hook, which is behind both taps: either capture holds every segment that either end
# sent, and the kernels' counters say which of them were sent again. Everything runs on one
# CPU: on several, segments overtake each other inside the veth, and the far tap sees another
# order than they were sent in.
#
#   sudo ./lossy-http.sh FOLDER      wants iproute2, nftables, tcpdump, python3 and curl
set -euo pipefail
taskset -cp 0 $$ >/dev/null
out=$(realpath "${1:?usage: ./lossy-http.sh FOLDER}")
work=$(mktemp -d)
server=lossy-server-$$ client=lossy-client-$$
children=()
cleanup() {
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	ip netns del "$server" 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

# join NS LINK ADDRESS: without segmentation offload every frame is one segment, as on a wire.
join() {
	ip -n "$1" link set "$2" gso_max_segs 1
	ip -n "$1" addr add "$3/24" dev "$2"
	ip -n "$1" link set lo up
	ip -n "$1" link set "$2" up
	# No route of an earlier run may tell congestion control where to begin.
	ip netns exec "$1" sysctl -qw net.ipv4.tcp_no_metrics_save=1
}

# lose NS PERMILLE
lose() {
	ip netns exec "$1" nft -f - <<-NFT
		table ip loss {
			chain input {
				type filter hook input priority filter
				meta l4proto tcp numgen random mod 1000 < $2 drop
			}
		}
	NFT
}

# tap NS LINK FILE: 96 bytes hold the headers of any segment; -B 65536 KiB, so that none is lost.
tap() {
	ip netns exec "$1" tcpdump -n -Z root -i "$2" -s 96 -B 65536 -w "$3" tcp 2>"$3.said" &
	children+=($!)
	taps+=($!)
	until grep -q 'listening on' "$3.said"; do sleep 0.1; done
}

# counters NS: the namespace's own, all of them.
counters() { NSTAT_HISTORY="$work/history" ip netns exec "$1" nstat -asjz; }

ip netns add "$server"
ip netns add "$client"
ip -n "$server" link add web type veth peer name browser netns "$client"
join "$server" web 10.93.0.1
join "$client" browser 10.93.0.2

ip netns exec "$server" python3 - >/dev/null 2>&1 <<'PYTHON' &
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):  # /N: an answer of N bytes
        n = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(n))
        self.end_headers()
        self.wfile.write(bytes(n))
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("10.93.0.1", 8080), Handler).serve_forever()
PYTHON
children+=($!)
until [ -n "$(ip netns exec "$server" ss -Hltn)" ]; do sleep 0.1; done

taps=()
tap "$server" web "$work/server.pcap"
tap "$client" browser "$work/client.pcap"
for ns in server client; do counters "${!ns}" >"$work/$ns.before"; done
lose "$server" 40
lose "$client" 40

# Answers and uploads of all sizes at once, and one reader so slow that its window closes.
head -c 300000 /dev/zero >"$work/upload"
requests=()
get() { ip netns exec "$client" curl -sS -o /dev/null "$@" & requests+=($!); }
for i in $(seq 24); do
	get "http://10.93.0.1:8080/$((i * i * 1500))" "http://10.93.0.1:8080/$i"
done
for i in $(seq 8); do
	head -c $((i * 40000)) /dev/zero >"$work/upload.$i"
	get --data-binary "@$work/upload.$i" -H Expect: http://10.93.0.1:8080/
done
get --limit-rate 1M http://10.93.0.1:8080/4000000
for pid in "${requests[@]}"; do wait "$pid"; done

# Until nothing is left that could be sent again.
busy() { [ -n "$(ip netns exec "$1" ss -Htan state connected exclude time-wait)" ]; }
while busy "$server" || busy "$client"; do sleep 0.2; done
for ns in server client; do counters "${!ns}" >"$work/$ns.after"; done
# tcpdump gets a block of the ring after a second at the latest, and does not empty the ring
# when it is told to end.
sleep 2
for pid in "${taps[@]}"; do
	kill -INT "$pid"
	wait "$pid" || true
done
for ns in server client; do
	captured=$(awk '/ captured$/ { print $1 }' "$work/$ns.pcap.said")
	if ! grep -q "^$captured packets received by filter" "$work/$ns.pcap.said"; then
		echo "the capture is not whole: $(cat "$work/$ns.pcap.said")" >&2
		exit 1
	fi
done

for ns in server client; do gzip -9n <"$work/$ns.pcap" >"$out/lossy-http-$ns.pcap.gz"; done
python3 - "$work" >"$out/lossy-http.kernel.json" <<'PYTHON'
import json, sys
moved = {}
for end in ("server", "client"):
    before, after = (json.load(open(f"{sys.argv[1]}/{end}.{when}"))["kernel"] for when in ("before", "after"))
    moved[end] = {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}
print(json.dumps(moved, indent=1))
PYTHON
