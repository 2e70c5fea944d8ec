package rtnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// An Op is what a Request does.
type Op uint8

// The operations. Adding what is there is unix.EEXIST; deleting what is not there is no error.
const (
	AddAddress Op = iota + 1
	ReplaceAddress
	DeleteAddress
	AddRoute
	ReplaceRoute
	DeleteRoute
	AddRule
	DeleteRule
	AddLink
	SetLink
	DeleteLink
)

// A Request is one change; of the objects only the one that Op names counts.
type Request struct {
	Op      Op
	Address Address
	Route   Route
	Rule    Rule
	Link    LinkChange
}

// batch is how many requests go in one send. Only the last is acknowledged when all goes
// well, so that a batch costs one answer.
const batch = 128

// Do carries out reqs in order; one that fails does not stop those after it. errs, which is
// as long as reqs, receives what became of each. The error says that it is not known what
// became of them.
func (c *Conn) Do(reqs []Request, errs []error) error {
	for len(reqs) > 0 {
		n := min(batch, len(reqs))
		if err := c.doBatch(reqs[:n], errs[:n]); err != nil {
			return err
		}
		reqs, errs = reqs[n:], errs[n:]
	}
	return nil
}

func (c *Conn) doBatch(reqs []Request, errs []error) error {
	first := c.seq + 1
	c.out = c.out[:0]
	for i := range reqs {
		c.seq++
		errs[i] = nil
		c.out = reqs[i].append(c.out, c.seq, i == len(reqs)-1)
	}
	if err := c.send(); err != nil {
		return err
	}
	for {
		b, err := c.read()
		if err != nil {
			return err
		}
		for len(b) > 0 {
			m, rest, ok := cutMessage(b)
			if !ok {
				return errShort
			}
			b = rest
			i := int(int32(m.seq - first))
			if m.typ != unix.NLMSG_ERROR || i < 0 || i >= len(reqs) {
				continue
			}
			errs[i] = reqs[i].wrap(refusal(m))
			if i == len(reqs)-1 {
				return nil
			}
		}
	}
}

// append appends the message of r.
func (r *Request) append(b []byte, seq uint32, ack bool) []byte {
	flags := uint16(unix.NLM_F_REQUEST)
	if ack {
		flags |= unix.NLM_F_ACK
	}
	const (
		add     = unix.NLM_F_CREATE | unix.NLM_F_EXCL
		replace = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	)
	var start int
	switch r.Op {
	case AddAddress:
		b, start = beginMessage(b, unix.RTM_NEWADDR, flags|add, seq)
		b = r.Address.append(b)
	case ReplaceAddress:
		b, start = beginMessage(b, unix.RTM_NEWADDR, flags|replace, seq)
		b = r.Address.append(b)
	case DeleteAddress:
		b, start = beginMessage(b, unix.RTM_DELADDR, flags, seq)
		b = r.Address.append(b)
	case AddRoute:
		b, start = beginMessage(b, unix.RTM_NEWROUTE, flags|add, seq)
		b = r.Route.append(b, false)
	case ReplaceRoute:
		b, start = beginMessage(b, unix.RTM_NEWROUTE, flags|replace, seq)
		b = r.Route.append(b, false)
	case DeleteRoute:
		b, start = beginMessage(b, unix.RTM_DELROUTE, flags, seq)
		b = r.Route.append(b, true)
	case AddRule:
		b, start = beginMessage(b, unix.RTM_NEWRULE, flags|add, seq)
		b = r.Rule.append(b)
	case DeleteRule:
		b, start = beginMessage(b, unix.RTM_DELRULE, flags, seq)
		b = r.Rule.append(b)
	case AddLink:
		b, start = beginMessage(b, unix.RTM_NEWLINK, flags|add, seq)
		b = r.Link.append(b, true)
	case SetLink:
		b, start = beginMessage(b, unix.RTM_SETLINK, flags, seq)
		b = r.Link.append(b, false)
	case DeleteLink:
		b, start = beginMessage(b, unix.RTM_DELLINK, flags, seq)
		b = r.Link.append(b, false)
	}
	return endMessage(b, start)
}

// wrap names the request in its error, and forgives a deletion that had nothing to delete.
func (r *Request) wrap(err error) error {
	if err == nil {
		return nil
	}
	is := func(codes ...error) bool {
		for _, code := range codes {
			if errors.Is(err, code) {
				return true
			}
		}
		return false
	}
	switch {
	case r.Op == DeleteAddress && is(unix.EADDRNOTAVAIL, unix.ENODEV),
		r.Op == DeleteRoute && is(unix.ESRCH, unix.ENODEV),
		r.Op == DeleteRule && is(unix.ENOENT),
		r.Op == DeleteLink && is(unix.ENODEV):
		return nil
	}
	return fmt.Errorf("%s: %w", r.what(), err)
}

func (r *Request) what() string {
	switch r.Op {
	case AddAddress, ReplaceAddress:
		return fmt.Sprintf("add address %v", r.Address.Prefix)
	case DeleteAddress:
		return fmt.Sprintf("delete address %v", r.Address.Prefix)
	case AddRoute, ReplaceRoute:
		return fmt.Sprintf("add route %v", r.Route)
	case DeleteRoute:
		return fmt.Sprintf("delete route %v", r.Route)
	case AddRule:
		return fmt.Sprintf("add rule %v", r.Rule)
	case DeleteRule:
		return fmt.Sprintf("delete rule %v", r.Rule)
	case AddLink:
		return "add link " + r.Link.Name
	case SetLink:
		return fmt.Sprintf("set link %d", r.Link.Index)
	default:
		return fmt.Sprintf("delete link %d", r.Link.Index)
	}
}
