package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// errNoFOU: fou has no alias by which the kernel would load it when it is asked for.
var errNoFOU = errors.New("the kernel module fou, which unwraps gue, is missing: load it with `modprobe fou`")

// fouFamily returns the number of the kernel's generic netlink family fou, or 0 without the
// module. To look for it in the list of all families loads nothing.
func fouFamily() (int, error) {
	families, err := netlink.GenlFamilyList()
	if err != nil {
		return 0, fmt.Errorf("list generic netlink families: %w", err)
	}
	for _, f := range families {
		if f.Name == netlink.FOU_GENL_NAME {
			return int(f.ID), nil
		}
	}
	return 0, nil
}

// ports lists the ports that unwrap something; nil without the module fou.
func ports() (map[port]string, error) {
	id, err := fouFamily()
	if err != nil || id == 0 {
		return nil, err
	}
	list, err := netlink.FouList(unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list ports of fou: %w", err)
	}
	out := map[port]string{}
	for _, f := range list {
		p := port{f.Family, uint16(f.Port)}
		switch {
		case one(f.Local) || one(f.Peer) || f.IfIndex != 0:
			out[p] = "what one address or device gets"
		case f.EncapType == netlink.FOU_ENCAP_GUE:
			out[p] = "gue"
		default:
			out[p] = "fou"
		}
	}
	return out, nil
}

// one reports whether a socket is bound to an address.
func one(a net.IP) bool { return a != nil && !a.IsUnspecified() }

func (kernel) open(p port, open bool) error {
	have, err := ports()
	switch {
	case err != nil:
		return err
	case have == nil && open:
		return errNoFOU
	case open == (have[p] != ""):
		return nil
	}
	verb, command := "close", netlink.FOU_CMD_DEL
	attributes := []*nl.RtAttr{
		nl.NewRtAttr(netlink.FOU_ATTR_PORT, binary.BigEndian.AppendUint16(nil, p.number)),
		nl.NewRtAttr(netlink.FOU_ATTR_AF, []byte{uint8(p.family)}),
	}
	if open {
		verb, command = "open", netlink.FOU_CMD_ADD
		attributes = append(attributes, nl.NewRtAttr(netlink.FOU_ATTR_TYPE, []byte{netlink.FOU_ENCAP_GUE}))
	}
	if err := fou(command, attributes); err != nil {
		return fmt.Errorf("%s UDP port %d for gue: %w", verb, p.number, err)
	}
	return nil
}

// fou sends a request. netlink.FouAdd would add the protocol 0, which newer kernels refuse
// (fou_nl_policy).
func fou(command uint8, attributes []*nl.RtAttr) error {
	id, err := fouFamily()
	if err != nil {
		return err
	}
	req := nl.NewNetlinkRequest(id, unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: command, Version: 1})
	for _, a := range attributes {
		req.AddData(a)
	}
	_, err = req.Execute(unix.NETLINK_GENERIC, 0)
	return err
}
