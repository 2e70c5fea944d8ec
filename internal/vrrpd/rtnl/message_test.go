package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// TestBridgePortIsNoLink: that a port left its bridge is told as the end of a link, too.
func TestBridgePortIsNoLink(t *testing.T) {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], 3)
	b = appendString(b, unix.IFLA_IFNAME, "eth0")
	if l, ok := parseLink(b); !ok || l.Index != 3 || l.Name != "eth0" {
		t.Fatal("a link was not understood")
	}
	b[0] = unix.AF_BRIDGE
	if l, ok := parseLink(b); ok {
		t.Errorf("parseLink(AF_BRIDGE) = %v, want nothing", l)
	}
}

func TestTornDumpIsNoAnswer(t *testing.T) {
	c := &Conn{seq: 5}
	nothing := func(uint16, []byte) {}
	msg := func(typ, flags uint16) []byte {
		b, start := beginMessage(nil, typ, flags, 5)
		return endMessage(append(b, 0, 0, 0, 0), start)
	}
	if done, err := c.answer(append(msg(unix.RTM_NEWADDR, 0), msg(unix.NLMSG_DONE, 0)...), nothing); !done || err != nil {
		t.Errorf("whole dump: %v, %v, want an answer", done, err)
	}
	for name, b := range map[string][]byte{
		"in a part":   append(msg(unix.RTM_NEWADDR, unix.NLM_F_DUMP_INTR), msg(unix.NLMSG_DONE, 0)...),
		"in the last": append(msg(unix.RTM_NEWADDR, 0), msg(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR)...),
	} {
		c.torn = false
		if done, err := c.answer(b, nothing); !done || !errors.Is(err, ErrTorn) {
			t.Errorf("torn %s: %v, %v, want ErrTorn", name, done, err)
		}
	}
}

func TestDeletionOfNothingIsNoError(t *testing.T) {
	for _, r := range []struct {
		op  Op
		err error
	}{
		{DeleteAddress, unix.EADDRNOTAVAIL}, {DeleteAddress, unix.ENODEV}, {DeleteRoute, unix.ESRCH}, {DeleteRule, unix.ENOENT}, {DeleteLink, unix.ENODEV},
	} {
		if err := (&Request{Op: r.op}).wrap(r.err); err != nil {
			t.Errorf("op %d: %v", r.op, err)
		}
		if err := (&Request{Op: r.op}).wrap(unix.EPERM); !errors.Is(err, unix.EPERM) {
			t.Errorf("op %d: %v, want EPERM", r.op, err)
		}
	}
}

func TestRefusalHasTheKernelsWords(t *testing.T) {
	inNamespace(t, func(ns *nstest.NS, c *Conn, _ *Events) {
		ns.Run("ip", "addr", "add", "10.0.0.1/24", "dev", "v0")
		a := Address{Index: linkNamed(t, c, "v0").Index, Prefix: netip.MustParsePrefix("10.0.0.2/24"), Scope: unix.RT_SCOPE_LINK}
		err := do(t, c, Request{Op: AddAddress, Address: a})[0]
		if !errors.Is(err, unix.EINVAL) || len(err.Error()) < len("add address 10.0.0.2/24: invalid argument (") {
			t.Errorf("%v, want EINVAL with the kernel's words", err)
		}
	})
}
