package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// A segment is two hosts, each in a network namespace of its own, on one bridge for each
// of their devices. The namespaces are named after this process, so that nothing else can
// have made them. The bridges have an address, too: the observer there is also the client.
type segment struct {
	bridge  string
	hosts   [2]string
	devices int
}

var segments int // how many this process has made

// hostAddr is the address of a host on a device; 2 is the client.
func hostAddr(host, device int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(9 + device), 0, byte(1 + host)})
}

func bridgeName(device int) string { return fmt.Sprintf("br%d", device) }

func newSegment(ctx context.Context, devices int) (*segment, error) {
	segments++
	name := func(what string) string { return fmt.Sprintf("hrbench-%d-%d-%s", os.Getpid(), segments, what) }
	s := &segment{bridge: name("br"), hosts: [2]string{name("a"), name("b")}, devices: devices}
	for _, ns := range []string{s.bridge, s.hosts[0], s.hosts[1]} {
		if err := command(ctx, "ip", "netns", "add", ns); err != nil {
			return s, err
		}
	}
	var steps []string
	for d := range devices {
		steps = append(steps,
			fmt.Sprintf("link add %s up type bridge", bridgeName(d)),
			fmt.Sprintf("addr add %v/16 dev %s", hostAddr(2, d), bridgeName(d)),
		)
		for i, host := range s.hosts {
			steps = append(steps,
				fmt.Sprintf("link add p%d.%d master %s type veth peer name eth%d netns %s", d, i, bridgeName(d), d, host),
				fmt.Sprintf("link set p%d.%d up", d, i),
			)
		}
	}
	if err := batch(ctx, s.bridge, steps...); err != nil {
		return s, err
	}
	for i, host := range s.hosts {
		steps := []string{"link set lo up"}
		for d := range devices {
			steps = append(steps, fmt.Sprintf("addr add %v/16 dev eth%d", hostAddr(i, d), d), fmt.Sprintf("link set eth%d up", d))
		}
		if err := batch(ctx, host, steps...); err != nil {
			return s, err
		}
	}
	return s, nil
}

// cut takes the first host's links away, or brings them back.
func (s *segment) cut(ctx context.Context, down bool) error {
	state := "up"
	if down {
		state = "down"
	}
	var steps []string
	for d := range s.devices {
		steps = append(steps, fmt.Sprintf("link set p%d.0 %s", d, state))
	}
	return batch(ctx, s.bridge, steps...)
}

// close removes the namespaces, and with them everything in them.
func (s *segment) close() error {
	var errs []error
	for _, ns := range []string{s.hosts[0], s.hosts[1], s.bridge} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			errs = append(errs, command(context.Background(), "ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}

// inside returns a command in a namespace; its process is the program itself.
func inside(ctx context.Context, ns, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + ns, "--", program}, args...)...)
}

// batch runs lines of ip(8) in a namespace.
func batch(ctx context.Context, ns string, lines ...string) error {
	cmd := exec.CommandContext(ctx, "ip", "-n", ns, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -n %s -batch: %w: %s", ns, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
