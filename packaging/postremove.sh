#!/bin/sh
# Bundles stay: somebody may want them. Their user stays with them, as files without one would be
# the next user's.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
