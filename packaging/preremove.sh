#!/bin/sh
# Called by dpkg with remove (or upgrade), by rpm with 0 (or 1).
set -e
if { [ "$1" = remove ] || [ "$1" = 0 ]; } && [ -d /run/systemd/system ]; then
	# What systemd does not end does not keep the package.
	systemctl disable --now spikeboxd.service spikebox-watch.service || true
fi
