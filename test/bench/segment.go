package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

const bridgeName = "br0"

// A segment is a bridge with two hosts, each in a network namespace of its own, named
// after this process so that nothing else can have made them.
type segment struct {
	bridge string
	hosts  [2]string
}

var segments int // how many this process has made

func newSegment(ctx context.Context) (*segment, error) {
	segments++
	name := func(what string) string { return fmt.Sprintf("hrbench-%d-%d-%s", os.Getpid(), segments, what) }
	s := &segment{bridge: name("br"), hosts: [2]string{name("a"), name("b")}}
	for _, ns := range []string{s.bridge, s.hosts[0], s.hosts[1]} {
		if err := command(ctx, "ip", "netns", "add", ns); err != nil {
			return s, err
		}
	}
	steps := []string{"-n " + s.bridge + " link add " + bridgeName + " up type bridge"}
	for i, host := range s.hosts {
		steps = append(steps,
			fmt.Sprintf("-n %s link add p%d master %s type veth peer name eth0 netns %s", s.bridge, i, bridgeName, host),
			fmt.Sprintf("-n %s link set p%d up", s.bridge, i),
			fmt.Sprintf("-n %s addr add %v/24 dev eth0", host, hostAddrs[i]),
			fmt.Sprintf("-n %s link set lo up", host),
			fmt.Sprintf("-n %s link set eth0 up", host),
		)
	}
	for _, step := range steps {
		if err := command(ctx, "ip", strings.Fields(step)...); err != nil {
			return s, err
		}
	}
	return s, nil
}

// cut takes the first host's link away, or brings it back.
func (s *segment) cut(ctx context.Context, down bool) error {
	state := "up"
	if down {
		state = "down"
	}
	return command(ctx, "ip", "-n", s.bridge, "link", "set", "p0", state)
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

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func interfaceIndex(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}
