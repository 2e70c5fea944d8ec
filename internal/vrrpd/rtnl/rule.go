package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The actions of rules (linux/fib_rules.h, FR_ACT_*).
const (
	ActionTable       = 1
	ActionBlackhole   = 6
	ActionUnreachable = 7
	ActionProhibit    = 8
)

// What package unix lacks of linux/fib_rules.h.
const (
	ruleInvert           = 0x2 // FIB_RULE_INVERT
	attrSuppressPrefix   = 14  // FRA_SUPPRESS_PREFIXLEN
	attrRulePad          = 18  // FRA_PAD
	attrRuleProtocol     = 21  // FRA_PROTOCOL
	sizeofRuleHeader     = 12  // struct fib_rule_hdr
	suppressNone         = ^uint32(0)
	ruleTableUnspecified = 0
)

// A Rule is a policy rule. What the fields cannot say makes it Other.
type Rule struct {
	IPv6     bool
	Priority uint32
	From, To netip.Prefix // not valid for any
	Input    string
	Output   string
	Mark     uint32
	Mask     uint32
	Table    uint32
	Action   uint8
	Protocol uint8
	Other    bool // is inverted, or looks at ports, users, tunnels or the like
}

// String returns r in the words of ip-rule(8).
func (r Rule) String() string {
	s := fmt.Sprintf("priority %d", r.Priority)
	if r.From.IsValid() {
		s += " from " + r.From.String()
	}
	if r.To.IsValid() {
		s += " to " + r.To.String()
	}
	return s + fmt.Sprintf(" table %d", r.Table)
}

// parseRule reads the body of RTM_NEWRULE and RTM_DELRULE.
func parseRule(b []byte) (r Rule, ok bool) {
	if len(b) < sizeofRuleHeader || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return r, false
	}
	fam := b[0]
	r.IPv6, r.Table, r.Action = fam == unix.AF_INET6, uint32(b[4]), b[7]
	r.Other = b[3] != 0 || binary.NativeEndian.Uint32(b[8:])&ruleInvert != 0
	eachAttr(b[sizeofRuleHeader:], func(typ uint16, v []byte) {
		switch typ {
		case unix.FRA_DST:
			r.To = netip.PrefixFrom(addr(fam, v), int(b[1]))
		case unix.FRA_SRC:
			r.From = netip.PrefixFrom(addr(fam, v), int(b[2]))
		case unix.FRA_IIFNAME:
			r.Input = unix.ByteSliceToString(v)
		case unix.FRA_OIFNAME:
			r.Output = unix.ByteSliceToString(v)
		case unix.FRA_PRIORITY:
			r.Priority = number(v)
		case unix.FRA_FWMARK:
			r.Mark = number(v)
		case unix.FRA_FWMASK:
			r.Mask = number(v)
		case unix.FRA_TABLE:
			r.Table = number(v)
		case attrRuleProtocol:
			if len(v) >= 1 {
				r.Protocol = v[0]
			}
		case attrSuppressPrefix:
			r.Other = r.Other || number(v) != suppressNone
		case attrRulePad:
		default:
			r.Other = true
		}
	})
	return r, true
}

// append appends the body of a request about r, with our mark as its protocol.
func (r *Rule) append(b []byte) []byte {
	fam := uint8(unix.AF_INET)
	if r.IPv6 {
		fam = unix.AF_INET6
	}
	var to, from uint8
	if r.To.IsValid() {
		to = uint8(r.To.Bits())
	}
	if r.From.IsValid() {
		from = uint8(r.From.Bits())
	}
	b = append(b, fam, to, from, 0, ruleTableUnspecified, 0, 0, r.Action)
	b = binary.NativeEndian.AppendUint32(b, 0)
	if r.To.IsValid() {
		b = appendAddr(b, unix.FRA_DST, r.To.Addr())
	}
	if r.From.IsValid() {
		b = appendAddr(b, unix.FRA_SRC, r.From.Addr())
	}
	if r.Input != "" {
		b = appendString(b, unix.FRA_IIFNAME, r.Input)
	}
	if r.Output != "" {
		b = appendString(b, unix.FRA_OIFNAME, r.Output)
	}
	if r.Mark != 0 || r.Mask != 0 {
		b = appendNumber(b, unix.FRA_FWMARK, r.Mark)
		b = appendNumber(b, unix.FRA_FWMASK, r.Mask)
	}
	b = appendNumber(b, unix.FRA_PRIORITY, r.Priority)
	if r.Table != 0 {
		b = appendNumber(b, unix.FRA_TABLE, r.Table)
	}
	return appendAttr(b, attrRuleProtocol, []byte{Mark})
}

// Rules lists the policy rules of both families.
func (c *Conn) Rules() ([]Rule, error) {
	var out []Rule
	for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
		body := make([]byte, sizeofRuleHeader)
		body[0] = fam
		kept := len(out)
		begin := func() { out = out[:kept] }
		err := c.dump(unix.RTM_GETRULE, body, begin, func(typ uint16, b []byte) {
			if r, ok := parseRule(b); ok && typ == unix.RTM_NEWRULE {
				out = append(out, r)
			}
		})
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, fmt.Errorf("list rules: %w", err)
		}
	}
	return out, nil
}
