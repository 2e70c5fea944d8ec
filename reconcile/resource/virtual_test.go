package resource

import "testing"

func TestVirtualTextsReadBack(t *testing.T) {
	for _, c := range []struct {
		text  string
		parse func(string) (string, error)
	}{
		{"192.0.2.1/24", text(ParseVirtualAddress)},
		{"192.0.2.1/24 dev eth1 label eth1:web scope link noprefixroute", text(ParseVirtualAddress)},
		{"2001:db8::1/64 dev eth1", text(ParseVirtualAddress)},
		{"10.0.0.0/8 via 192.0.2.254", text(ParseVirtualRoute)},
		{"blackhole 10.0.0.0/8 table 7 metric 10", text(ParseVirtualRoute)},
		{"::/0 via fe80::1 dev eth0 src 2001:db8::1 table 100 metric 5 scope link mtu 1400 onlink", text(ParseVirtualRoute)},
		{"ipv4 priority 100 from 192.0.2.0/24 to 10.0.0.0/8 iif eth0 oif eth1 fwmark 0x1/0xff table 100", text(ParseVirtualRule)},
		{"ipv6 priority 0 blackhole", text(ParseVirtualRule)},
		{"plugin/web lose 60 gain 5 scale -1", text(ParsePoints)},
		{"interface/eth0", text(ParsePoints)},
	} {
		got, err := c.parse(c.text)
		if err != nil || got != c.text {
			t.Errorf("parse %q = %q, %v", c.text, got, err)
		}
	}
}

func TestVirtualTextsAreRefused(t *testing.T) {
	for _, c := range []struct {
		text  string
		parse func(string) (string, error)
	}{
		{"", text(ParseVirtualAddress)},
		{"192.0.2.1", text(ParseVirtualAddress)},
		{"192.0.2.1/24 dev", text(ParseVirtualAddress)},
		{"192.0.2.1/24 color red", text(ParseVirtualAddress)},
		{"10.0.0.0/8 via nowhere", text(ParseVirtualRoute)},
		{"10.0.0.0/8 metric -1", text(ParseVirtualRoute)},
		{"ipv5 priority 1", text(ParseVirtualRule)},
		{"ipv4 priority 1 fwmark 1", text(ParseVirtualRule)},
		{"", text(ParsePoints)},
		{"plugin/web lose many", text(ParsePoints)},
	} {
		if got, err := c.parse(c.text); err == nil {
			t.Errorf("parse %q = %q, want an error", c.text, got)
		}
	}
}

func text[T interface{ String() string }](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		v, err := parse(s)
		return v.String(), err
	}
}
