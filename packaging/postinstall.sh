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
		# Of an upgrade. A configuration that this version refuses leaves it not armed, which the
		# journal tells, and not the package half installed.
		systemctl try-restart spikeboxd.service spikebox-watch.service ||
			echo 'spikebox: not started again: journalctl -u spikeboxd -u spikebox-watch' >&2
	fi
fi
