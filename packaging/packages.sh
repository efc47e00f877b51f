#!/usr/bin/env bash
# Makes out/packages: .deb, .rpm and container images for Linux, archives for all systems that spikebox
# runs on, an SBOM and checksums. The same commit and Go give the same bytes: times are the commit's, and orders
# are sorted. Wants Go alone; for a part only: packages.sh linux/amd64
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 LC_ALL=C TZ=UTC
umask 022 # modes are packed
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
platforms=(${*:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64})

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
versions=$(packaging/version.sh)
read -r version release <<<"$versions"
mtime=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
export SOURCE_DATE_EPOCH
out=out/packages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf $out
mkdir -p $out

build() { # OS ARCH FOLDER PROGRAM
	GOOS=$1 GOARCH=$2 go build -trimpath -ldflags "-s -w -X github.com/spikebox/spikebox/cmd/internal/cli.version=$version" -o "$3" "./cmd/$4"
}

archive() { # FOLDER NAME: the folder as a .tar.gz
	find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	tar --sort=name --owner=0 --group=0 --numeric-owner --format=ustar -C "$(dirname "$1")" -cf - "$(basename "$1")" | gzip -9n >"$out/$2.tar.gz"
}

# image makes an OCI image (image-spec 1.1) of the files alone, without base or shell: podman, skopeo, containerd
# and docker (by manifest.json) load it.
image() { # FOLDER NAME ARCH
	local root=$work/image-$3/root blobs=$work/image-$3/oci/blobs/sha256 oci=$work/image-$3/oci layer config manifest
	mkdir -p "$root"/{usr/bin,etc/spikebox,var/lib/spikebox,run/spikebox} "$blobs"
	cp "$1"/spikebox{,d} "$root/usr/bin"
	cp packaging/spikeboxd.conf "$root/etc/spikebox"
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	tar --sort=name --owner=0 --group=0 --numeric-owner --format=ustar -C "$root" -cf "$work/layer.tar" etc run usr var
	blob() { # MEDIATYPE FILE: keeps it, and prints its descriptor
		local sum; sum=$(sha256sum "$2" | cut -d" " -f1)
		cp "$2" "$blobs/$sum"
		printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$1" "$sum" "$(stat -c %s "$2")"
	}
	gzip -9nc "$work/layer.tar" >"$work/blob"
	layer=$(blob application/vnd.oci.image.layer.v1.tar+gzip "$work/blob")
	printf '{"created":"%s","architecture":"%s","os":"linux","config":{"Entrypoint":["/usr/bin/spikeboxd"],"Cmd":["run"],"Env":["PATH=/usr/bin"],"Volumes":{"/var/lib/spikebox":{}},"Labels":{"org.opencontainers.image.title":"spikebox","org.opencontainers.image.version":"%s","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$mtime" "$3" "$release" "$(sha256sum "$work/layer.tar" | cut -d" " -f1)" >"$work/blob"
	config=$(blob application/vnd.oci.image.config.v1+json "$work/blob")
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$config" "$layer" >"$work/blob"
	manifest=$(blob application/vnd.oci.image.manifest.v1+json "$work/blob")
	printf '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"
	printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"spikebox:%s"}}]}' "${manifest%\}}" "${release//+/-}" >"$oci/index.json"
	name() { grep -o 'sha256:[0-9a-f]*' <<<"$1" | tr : /; }
	printf '[{"Config":"blobs/%s","RepoTags":["spikebox:%s"],"Layers":["blobs/%s"]}]' "$(name "$config")" "${release//+/-}" "$(name "$layer")" >"$oci/manifest.json"
	find "$oci" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	tar --sort=name --owner=0 --group=0 --numeric-owner --format=ustar -C "$oci" -cf "$out/$2.oci.tar" blobs index.json manifest.json oci-layout
}

# Manual pages and completions come from the programs themselves.
doc=$work/doc
mkdir "$doc"
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$work/" spikebox
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$work/" spikeboxd
"$work/spikebox" manual | gzip -9n >"$doc/spikebox.1.gz"
"$work/spikeboxd" manual | gzip -9n >"$doc/spikeboxd.8.gz"
for shell in bash zsh fish; do
	for program in spikebox spikeboxd; do "$work/$program" completion $shell >"$doc/$program.$shell"; done
done

for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/}
	name=spikebox-$release-$os-$arch
	folder=$work/$name
	mkdir "$folder"
	build "$os" "$arch" "$folder/" spikebox
	cp LICENSE README.md CHECKS.md CHANGELOG.md "$folder"
	if [[ $os == linux ]]; then
		build "$os" "$arch" "$folder/" spikeboxd
		sed -e "s|@ARCH@|$arch|g; s|@BIN@|$folder|g; s|@DOC@|$doc|g; s|@VERSION@|$release|g; s|@MTIME@|$mtime|g" packaging/nfpm.yaml >"$work/nfpm.yaml"
		for kind in deb rpm; do
			go run $nfpm package -f "$work/nfpm.yaml" -p $kind -t $out >/dev/null
		done
		image "$folder" "$name" "$arch"
		cp packaging/spikeboxd.{service,conf} packaging/spikebox-drill.{service,timer} packaging/spikebox-watch.service packaging/sysusers.conf "$folder"
	fi
	archive "$folder" "$name"
done
go run $sbom mod -json -licenses -noserial -output "$out/spikebox-$release.cdx.json" . 2>/dev/null
# It has the time at which it was made.
sed -i "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$mtime\"/" "$out/spikebox-$release.cdx.json"
(cd $out && sha256sum -- * >SHA256SUMS)
ls -l $out
