#!/bin/sh
# Unpacks Debian's cloud kernel, which has the IPVS that the machine's own may lack, into the
# cache folder in which package qemu looks. Nothing is installed. One that is there is kept.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hareconcile/kernel
for dep in "$cache"/lib/modules/*/modules.dep; do
	[ ! -e "$dep" ] || exit 0
done
for program in apt-get dpkg-deb depmod; do
	command -v $program >/dev/null || { echo "kernel.sh: no $program: parts that need IPVS cannot run" >&2; exit 0; }
done
meta=linux-image-cloud-amd64
package=$(apt-cache depends $meta | sed -n 's/^ *Depends: //p' | head -n 1)
[ -n "$package" ] || { echo "kernel.sh: $meta is not known: apt-get update?" >&2; exit 1; }
echo "kernel.sh: unpacking $package into $cache"
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
(cd "$new" && apt-get -q -o APT::Sandbox::User="$(id -un)" download "$package")
dpkg-deb -x "$new"/*.deb "$new/root"
release=$(ls "$new/root/lib/modules")
depmod -b "$new/root" "$release"
rm -rf "$cache"
mkdir -p "$(dirname "$cache")"
mv "$new/root" "$cache"
