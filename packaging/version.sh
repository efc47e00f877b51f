#!/usr/bin/env bash
# Prints the version that programs tell (git's), and the one that packages bear, which sorts as commits do for
# dpkg, rpm and semver: 1.2.3 for the commit with the tag v1.2.3, 1.2.3+4.gcafe012 for the fourth after it, and
# 0.0.0+20261127125533.gcafe012 by the commit's time while there is no tag. Git's own 1.2.3-4-gcafe012 would be
# before 1.2.3 (semver 11: what follows a hyphen is a pre-release).
set -euo pipefail
version=$(git describe --tags --match 'v[0-9]*' --always --dirty)
if [[ $version =~ ^v(.+)-([0-9]+-g[0-9a-f]+.*)$ ]]; then
	release=${BASH_REMATCH[1]}+${BASH_REMATCH[2]}
elif [[ $version == v* ]]; then
	release=${version#v} release=${release/%-dirty/+dirty}
else
	release=0.0.0+$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S).g$version
fi
[[ $release != *+* ]] || release=${release%%+*}+$(tr - . <<<"${release#*+}")
echo "$version $release"
