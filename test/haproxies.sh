#!/bin/sh
# Unpacks the haproxy of another release of Debian, 13 (trixie) or the one named, with the
# libraries that it needs into the cache folder, where tests find the one of 13 as haproxy3.
# Nothing is installed, and apt's own lists stay as they are. One that is there is kept.
set -eu

release=${1-trixie}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hareconcile/haproxy-$release
[ ! -x "$cache/usr/sbin/haproxy" ] || exit 0
for program in apt-get dpkg-deb patchelf; do
	command -v $program >/dev/null || { echo "haproxies.sh: no $program: tests see one release of haproxy only" >&2; exit 0; }
done
# The archive is the one that this machine uses already.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
[ -n "$archive" ] || { echo "haproxies.sh: apt knows no archive of Debian: tests see one release of haproxy only" >&2; exit 0; }
echo "haproxies.sh: unpacking the haproxy of $release into $cache"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$new/apt/lists/partial" "$new/apt/archives/partial" "$new/debs" "$new/root"
cat >"$new/apt/other.sources" <<SOURCES
Types: deb
URIs: $archive
Suites: $release
Components: main
Architectures: $(dpkg --print-architecture)
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
: >"$new/apt/status"
# It verifies the lists by the keys of Debian, and packages by the lists.
apt() {
	apt-get -q -o APT::Sandbox::User="$(id -un)" -o Dir::Cache="$new/apt" -o Dir::State="$new/apt" -o Dir::State::status="$new/apt/status" \
		-o Dir::Etc::SourceList="$new/apt/other.sources" -o Dir::Etc::SourceParts=- \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
packages='haproxy libc6 libcap2 libcrypt1 libgcc-s1 libjemalloc2 liblua5.4-0 libopentracing-c-wrapper0t64
	libopentracing1 libpcre2-8-0 libssl3t64 libstdc++6 libsystemd0 libzstd1 zlib1g'
# shellcheck disable=SC2086 # the list of packages is words on purpose
if ! apt update || ! (cd "$new/debs" && apt download $packages); then
	echo "haproxies.sh: the archive does not give it: tests see one release of haproxy only" >&2
	exit 0
fi
for deb in "$new"/debs/*.deb; do
	dpkg-deb -x "$deb" "$new/root"
done
rm -rf "$new/root/usr/share" "$new/root/usr/lib/systemd" "$new/root/etc"

# The libraries are found beside the program, also when it starts itself again on a reload.
# DT_RPATH counts for the libraries of libraries too, as DT_RUNPATH does not (ld.so(8)).
program=$new/root/usr/sbin/haproxy
loader=$(basename "$(patchelf --print-interpreter "$program")")
loader=$(cd "$new/root" && find usr/lib -name "$loader" -path '*-linux-*' | head -n 1)
patchelf --set-interpreter "$cache/$loader" --force-rpath --set-rpath "$cache/$(dirname "$loader")" "$program"
mkdir -p "$(dirname "$cache")"
rm -rf "$cache"
mv "$new/root" "$cache"
if ! "$cache/usr/sbin/haproxy" -v; then
	rm -rf "$cache"
	exit 1
fi
