package main

import (
	"context"
	"os"
	"path/filepath"
)

// fakeSource makes keepalived believe that the kernel has IPVS: where generic netlink knows
// none it uses these socket options (linux/ip_vs.h), which cost nothing here. Without it
// Debian's keepalived checks nothing on such a kernel.
const fakeSource = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { BASE = 64 + 1024 + 64, LAST = BASE + 63 };

int setsockopt(int fd, int level, int name, const void *v, socklen_t n)
{
	static int (*next)(int, int, int, const void *, socklen_t);

	if (level == IPPROTO_IP && name >= BASE && name <= LAST)
		return 0;
	if (!next)
		next = dlsym(RTLD_NEXT, "setsockopt");
	return next(fd, level, name, v, n);
}

int getsockopt(int fd, int level, int name, void *v, socklen_t *n)
{
	static int (*next)(int, int, int, void *, socklen_t *);

	if (level == IPPROTO_IP && name >= BASE && name <= LAST) {
		memset(v, 0, *n);
		return 0;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "getsockopt");
	return next(fd, level, name, v, n);
}
`

// fakeIPVS builds the library and returns its path.
func fakeIPVS(ctx context.Context, dir string) (string, error) {
	source, library := filepath.Join(dir, "ipvs.c"), filepath.Join(dir, "ipvs.so")
	if err := os.WriteFile(source, []byte(fakeSource), 0o600); err != nil {
		return "", err
	}
	return library, command(ctx, "gcc", "-O2", "-shared", "-fPIC", "-o", library, source)
}
