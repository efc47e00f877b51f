#!/bin/sh
# The demonstration behind "make demo": a real incident in a private network namespace,
# caught by an armed spikeboxd and explained by spikebox. Without root, or not on Linux,
# a bundle that such a run produced.
set -eu
cd "$(dirname "$0")"
rm -rf out/demo
mkdir -p out/demo
if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ]; then
	echo "== a real incident: a server with a small accept queue falls behind (half a minute)"
	bin/spikebox-lab run listen-overflow -o out/demo
	set -- out/demo/*.spike.tar.zst
else
	echo "== not root on Linux: analysing a bundle that spikebox-lab run listen-overflow left"
	set -- testdata/bundles/v1/listen-overflow.spike.tar.zst
fi
echo "== spikebox analyze $1"
bin/spikebox analyze -o out/demo/report "$1"
echo
echo "bundle:  $1"
echo "report:  out/demo/report/report.html"
