#!/bin/sh
# Called by dpkg with configure, by rpm with 1 or 2. It enables and starts nothing: arming is a
# decision, and one command.
set -e
if [ "$1" = configure ] || [ "$1" = 1 ] || [ "$1" = 2 ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers spikebox.conf
	elif ! getent passwd spikebox >/dev/null; then
		useradd --system --home-dir /var/lib/spikebox --shell /usr/sbin/nologin spikebox
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl try-restart spikeboxd.service spikebox-watch.service # of an upgrade
	fi
fi
