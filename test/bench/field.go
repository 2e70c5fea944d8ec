package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	checkInterval = time.Second
	checkTimeout  = time.Second
)

// A field is a namespace in which programs check, and one that is all their servers.
type field struct {
	checkers, servers string
	farm, arrivals    *servant
}

// newField makes a field; it has to be closed even after an error.
func newField(ctx context.Context) (*field, error) {
	f := &field{checkers: fmt.Sprintf("hrbench-%d-checkers", os.Getpid()), servers: fmt.Sprintf("hrbench-%d-servers", os.Getpid())}
	for _, ns := range []string{f.checkers, f.servers} {
		if err := command(ctx, "ip", "netns", "add", ns); err != nil {
			return f, err
		}
	}
	if err := batch(ctx, f.servers, "link set lo up",
		"link add farm up type veth peer name check0 netns "+f.checkers, "addr add 10.110.0.2/30 dev farm",
		// The servers' addresses are all local, without any of them being on a device.
		"route add local 10.112.0.0/15 dev lo"); err != nil {
		return f, err
	}
	if err := batch(ctx, f.checkers, "link set lo up", "addr add 10.110.0.1/30 dev check0", "link set check0 up",
		"route add 10.112.0.0/15 via 10.110.0.2"); err != nil {
		return f, err
	}
	var err error
	if f.farm, err = newServant(ctx, f.servers, "farm"); err != nil {
		return f, err
	}
	if f.arrivals, err = newServant(ctx, f.servers, "arrivals", "farm", checkInterval.String()); err != nil {
		return f, err
	}
	var at time.Time
	if err := f.farm.ask("open", &at); err != nil {
		return f, err
	}
	var a arrivals
	return f, f.arrivals.ask("", &a)
}

func (f *field) close() error {
	var errs []error
	for _, s := range []*servant{f.farm, f.arrivals} {
		if s != nil {
			s.close()
		}
	}
	for _, ns := range []string{f.servers, f.checkers} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			errs = append(errs, command(context.Background(), "ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}

// keepalived checks servers with Debian's keepalived. preload is a library that stands in
// for IPVS where the kernel has none.
func (f *field) keepalived(dir, kind string, n int, withVictim bool, preload string) (*daemon, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n\trouter_id bench\n}\nvirtual_server %v %d {\n\tdelay_loop %d\n\tlb_algo %s\n\tlb_kind NAT\n\tprotocol TCP\n\talpha\n",
		checkedVIP.Addr(), checkedVIP.Port(), int(checkInterval.Seconds()), scheduler)
	check := "TCP_CHECK {"
	if kind == "http" {
		check = "HTTP_GET {\n\t\t\turl {\n\t\t\t\tpath /\n\t\t\t\tstatus_code 200\n\t\t\t}"
	}
	for _, s := range checked(n, withVictim) {
		fmt.Fprintf(&b, "\treal_server %v %d {\n\t\tweight 1\n\t\t%s\n\t\t\tconnect_timeout %d\n\t\t\tretry 0\n\t\t}\n\t}\n",
			s.Addr(), s.Port(), check, int(checkTimeout.Seconds()))
	}
	b.WriteString("}\n")
	d, err := checkers(dir, b.String())
	if err != nil {
		return nil, err
	}
	start := d.start
	d.start = func(ctx context.Context) (*exec.Cmd, error) {
		plain, err := start(ctx)
		if err != nil {
			return nil, err
		}
		cmd := inside(ctx, f.checkers, plain.Args[0], plain.Args[1:]...)
		if preload != "" {
			cmd.Env = append(os.Environ(), "LD_PRELOAD="+preload)
		}
		return cmd, nil
	}
	return d, nil
}

// engine checks servers with our checker alone, which is the program test/bench/checker.
func (f *field) engine(dir, program, kind string, n int) (*daemon, error) {
	list := filepath.Join(dir, "servers")
	var b bytes.Buffer
	for _, s := range checked(n, false) {
		fmt.Fprintln(&b, s)
	}
	if err := os.WriteFile(list, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	return f.ours(dir, program, "-servers", list, "-type", kind, "-interval", checkInterval.String(),
		"-timeout", checkTimeout.String(), "-duration", "1h")
}

// agent checks servers with our agent, which has the table, too.
func (f *field) agent(dir, kind string, n int) (*daemon, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return f.ours(dir, self, "director", kind, strconv.Itoa(n), dir)
}

func (f *field) ours(dir, program string, args ...string) (*daemon, error) {
	return newDaemon(dir, true, func(ctx context.Context) (*exec.Cmd, error) {
		return inside(ctx, f.checkers, program, args...), nil
	})
}
