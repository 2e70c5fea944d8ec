#!/bin/sh
# Installs the Debian packages that tests and demo need, and only those that are missing;
# as "deps.sh bench" those of the benchmark.
# Nothing that comes with them is started or enabled on this machine:
#   - a policy-rc.d that denies every start is in place while apt-get runs (invoke-rc.d(8));
#     afterwards it is removed, and one that was there before is back in its place;
#   - links by which a package enables its unit or its init script, also under another name,
#     are taken away again.
set -eu

# program or file : package : what for
needs='
/usr/sbin/ip:iproute2:network namespaces
/usr/sbin/modprobe:kmod:kernel modules
/usr/bin/linux.uml:user-mode-linux:a kernel with IPVS where the host has none
/usr/sbin/keepalived:keepalived:the peer of interop tests and benchmarks
/usr/lib/frr/vrrpd:frr:the other peer of interop tests, with vrrpd and bfdd
/usr/sbin/haproxy:haproxy:the peer of the haproxy plugin
/usr/bin/patchelf:patchelf:another release of haproxy, which test/haproxies.sh unpacks
/usr/sbin/nginx:nginx-light:web servers of the lab, and the peer of the nginx plugin
/usr/sbin/ipvsadm:ipvsadm:an independent look at the IPVS table
/usr/bin/systemctl:systemd:the peer of the systemd plugin
/usr/bin/dbus-daemon:dbus-daemon:the bus of that systemd
/usr/share/dbus-1/system.conf:dbus-system-bus-common:and who may ask what on it
/usr/bin/tcpdump:tcpdump:an independent look at the wire
/usr/bin/ping:iputils-ping:reachability between namespaces
/usr/bin/pgrep:procps:processes that a test left
/usr/bin/killall:psmisc:what check scripts believe
/usr/bin/nsenter:util-linux:commands inside namespaces
/usr/bin/curl:curl:the client of the lab
/usr/bin/git:git:repositories that agents pull
/usr/bin/ssh-keygen:openssh-client:keys for git over ssh
/usr/bin/gpg:gpg:signatures of commits
/usr/sbin/sshd:openssh-server:git servers of labs
/usr/bin/redis-server:redis-server:a server that redis checks ask
/usr/sbin/unbound:unbound:a server that dns checks ask
/usr/sbin/mariadbd:mariadb-server-core:a server that mysql checks ask
/usr/bin/pg_ctlcluster:postgresql:a server that postgresql checks ask
/usr/bin/protoc:protobuf-compiler:messages of the plugin in Python
/usr/lib/python3/dist-packages/grpc/__init__.py:python3-grpcio:the plugin in Python
/usr/lib/python3/dist-packages/google/protobuf/__init__.py:python3-protobuf:the plugin in Python
/usr/lib/python3/dist-packages/aiosmtpd/__init__.py:python3-aiosmtpd:a server that smtp checks ask
/usr/bin/gcc:gcc:the race detector
/usr/include/stdlib.h:libc6-dev:the race detector
'

if [ "${1-}" = bench ]; then
	needs='
/usr/bin/qemu-system-x86_64:qemu-system-x86:a machine whose kernel has IPVS
/usr/sbin/depmod:kmod:the modules of that kernel
/usr/bin/dpkg-deb:dpkg:unpacking that kernel
'
fi

missing='' why=''
# The fields have no blanks of their own but the last one, so lines are what is split.
old_ifs=$IFS
IFS='
'
for line in $needs; do
	file=${line%%:*}
	rest=${line#*:}
	# /bin and /usr/bin are one folder on some machines and two on others.
	if [ ! -e "$file" ] && [ ! -e "${file#/usr}" ]; then
		missing="$missing ${rest%%:*}"
		why="$why, ${rest%%:*} (${rest#*:})"
	fi
done
IFS=$old_ifs

[ -n "$missing" ] || exit 0
echo "deps: installing${why#,}"

if ! command -v apt-get >/dev/null; then
	echo "deps: this is not Debian; tests that need the missing programs are skipped" >&2
	exit 0
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
	as_root=${SUDO-sudo}
	if [ -z "$as_root" ] || ! command -v "${as_root%% *}" >/dev/null; then
		echo "deps: not root and no sudo; tests that need the missing programs are skipped" >&2
		exit 0
	fi
fi

# shellcheck disable=SC2086 # the list of packages and the command are words on purpose
exec $as_root sh -eu -c '
links() { find /etc/systemd/system /etc/rc[0-6S].d -type l \( -path "/etc/systemd/*" -o -name "S[0-9]*" \) 2>/dev/null | sort; }
before=$(mktemp) after=$(mktemp) policy=/usr/sbin/policy-rc.d
saved=$policy.before-hareconcile
finish() {
	links >"$after"
	comm -13 "$before" "$after" | while read -r link; do rm -f "$link"; done
	rm -f "$policy"
	[ ! -e "$saved" ] || mv "$saved" "$policy"
	rm -f "$before" "$after"
}
links >"$before"
trap finish EXIT
trap "exit 1" HUP INT TERM
# An earlier run that was killed may have left its own policy: that one is not worth keeping.
[ ! -e "$policy" ] || grep -q "made by hareconcile" "$policy" || mv "$policy" "$saved"
printf "#!/bin/sh\n# made by hareconcile: make deps\nexit 101\n" >"$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q --no-install-recommends "$@" || { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }
' deps $missing
