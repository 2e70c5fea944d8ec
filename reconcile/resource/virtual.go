package resource

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A VirtualAddress is an address that moves with a virtual router. Its text is in the
// words of ip-address(8): "192.0.2.1/24 dev eth1 label eth1:web scope link noprefixroute".
type VirtualAddress struct {
	Prefix        netip.Prefix
	Device        string // "" is the router's interface
	Label         string // IPv4 only
	Scope         string // "global" (""), "site", "link" or "host"
	NoPrefixRoute bool
}

// A VirtualRoute is a route that is there while a virtual router is MASTER. Its text is
// in the words of ip-route(8): "[blackhole|unreachable|prohibit] PREFIX [via A] [dev D]
// [src A] [table N] [metric N] [scope S] [mtu N] [onlink]".
type VirtualRoute struct {
	Type   string // "unicast" (""), "blackhole", "unreachable" or "prohibit"
	Prefix netip.Prefix
	Via    netip.Addr
	Device string
	Source netip.Addr
	Table  uint32 // 0 is main
	Metric uint32
	Scope  string
	MTU    uint32
	OnLink bool
}

// A VirtualRule is a policy rule that is there while a virtual router is MASTER. Its text
// is in the words of ip-rule(8): "ipv4|ipv6 priority N [from P] [to P] [iif D] [oif D]
// [fwmark V/M] [table N | blackhole | unreachable | prohibit]".
type VirtualRule struct {
	Family   string // IPv4 or IPv6
	Priority uint32 // required
	From, To netip.Prefix
	Input    string
	Output   string
	Mark     uint32
	Mask     uint32
	Table    uint32
	Action   string // "table" (""), "blackhole", "unreachable" or "prohibit"
}

// Points are what a tracker does to a priority. The text is "KEY [lose N] [gain N] [scale N]".
type Points struct {
	Tracker TrackerKey
	Lose    int // taken away while the tracker is down
	Gain    int // added while it is up
	Scale   int // times the tracker's value (files), added
}

// words builds a text of names and values; what is zero is left out.
type words []string

func (w *words) add(name, value string) {
	if value != "" {
		*w = append(*w, name, value)
	}
}

func (w *words) number(name string, n uint32) {
	if n != 0 {
		*w = append(*w, name, strconv.FormatUint(uint64(n), 10))
	}
}

func (w *words) flag(name string, set bool) {
	if set {
		*w = append(*w, name)
	}
}

func (w *words) text() string { return strings.Join(*w, " ") }

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func prefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// String returns the text of a.
func (a VirtualAddress) String() string {
	w := words{prefix(a.Prefix)}
	w.add("dev", a.Device)
	w.add("label", a.Label)
	w.add("scope", a.Scope)
	w.flag("noprefixroute", a.NoPrefixRoute)
	return w.text()
}

// String returns the text of r.
func (r VirtualRoute) String() string {
	var w words
	w.flag(r.Type, r.Type != "")
	w = append(w, prefix(r.Prefix))
	w.add("via", address(r.Via))
	w.add("dev", r.Device)
	w.add("src", address(r.Source))
	w.number("table", r.Table)
	w.number("metric", r.Metric)
	w.add("scope", r.Scope)
	w.number("mtu", r.MTU)
	w.flag("onlink", r.OnLink)
	return w.text()
}

// String returns the text of r.
func (r VirtualRule) String() string {
	w := words{r.Family, "priority", strconv.FormatUint(uint64(r.Priority), 10)}
	w.add("from", prefix(r.From))
	w.add("to", prefix(r.To))
	w.add("iif", r.Input)
	w.add("oif", r.Output)
	if r.Mark != 0 || r.Mask != 0 {
		w.add("fwmark", fmt.Sprintf("%#x/%#x", r.Mark, r.Mask))
	}
	w.number("table", r.Table)
	w.flag(r.Action, r.Action != "")
	return w.text()
}

// String returns the text of p.
func (p Points) String() string {
	w := words{p.Tracker}
	for _, f := range []struct {
		name string
		n    int
	}{{"lose", p.Lose}, {"gain", p.Gain}, {"scale", p.Scale}} {
		if f.n != 0 {
			w = append(w, f.name, strconv.Itoa(f.n))
		}
	}
	return w.text()
}

// A reader takes a text apart. The first mistake stays in err.
type reader struct {
	words []string
	err   error
}

var errEnds = errors.New("ends too early")

// next returns the next word, and "" at the end.
func (r *reader) next() string {
	if len(r.words) == 0 {
		return ""
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) word() string {
	w := r.next()
	if w == "" {
		r.fail(errEnds)
	}
	return w
}

func (r *reader) prefix() netip.Prefix {
	p, err := netip.ParsePrefix(r.word())
	if err != nil {
		r.fail(err)
	}
	return p
}

func (r *reader) addr() netip.Addr {
	a, err := netip.ParseAddr(r.word())
	if err != nil {
		r.fail(err)
	}
	return a
}

func (r *reader) number() uint32 {
	n, err := strconv.ParseUint(r.word(), 10, 32)
	if err != nil {
		r.fail(err)
	}
	return uint32(n)
}

func (r *reader) int() int {
	n, err := strconv.ParseInt(r.word(), 10, 32)
	if err != nil {
		r.fail(err)
	}
	return int(n)
}

// end wraps the first mistake; what names the text.
func (r *reader) end(what, text string) error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", what, text, r.err)
}

func unknown(word string) error { return fmt.Errorf("%q is not known", word) }

// ParseVirtualAddress reads the text of a virtual address.
func ParseVirtualAddress(s string) (VirtualAddress, error) {
	r := reader{words: strings.Fields(s)}
	a := VirtualAddress{Prefix: r.prefix()}
	for w := r.next(); w != ""; w = r.next() {
		switch w {
		case "dev":
			a.Device = r.word()
		case "label":
			a.Label = r.word()
		case "scope":
			a.Scope = r.word()
		case "noprefixroute":
			a.NoPrefixRoute = true
		default:
			r.fail(unknown(w))
		}
	}
	return a, r.end("virtual address", s)
}

// ParseVirtualRoute reads the text of a virtual route.
func ParseVirtualRoute(s string) (VirtualRoute, error) {
	r := reader{words: strings.Fields(s)}
	var v VirtualRoute
	if len(r.words) > 0 && (r.words[0] == "blackhole" || r.words[0] == "unreachable" || r.words[0] == "prohibit") {
		v.Type = r.next()
	}
	v.Prefix = r.prefix()
	for w := r.next(); w != ""; w = r.next() {
		switch w {
		case "via":
			v.Via = r.addr()
		case "dev":
			v.Device = r.word()
		case "src":
			v.Source = r.addr()
		case "table":
			v.Table = r.number()
		case "metric":
			v.Metric = r.number()
		case "scope":
			v.Scope = r.word()
		case "mtu":
			v.MTU = r.number()
		case "onlink":
			v.OnLink = true
		default:
			r.fail(unknown(w))
		}
	}
	return v, r.end("virtual route", s)
}

// ParseVirtualRule reads the text of a virtual rule.
func ParseVirtualRule(s string) (VirtualRule, error) {
	r := reader{words: strings.Fields(s)}
	v := VirtualRule{Family: r.word()}
	if v.Family != IPv4 && v.Family != IPv6 {
		r.fail(unknown(v.Family))
	}
	for w := r.next(); w != ""; w = r.next() {
		switch w {
		case "priority":
			v.Priority = r.number()
		case "from":
			v.From = r.prefix()
		case "to":
			v.To = r.prefix()
		case "iif":
			v.Input = r.word()
		case "oif":
			v.Output = r.word()
		case "fwmark":
			if _, err := fmt.Sscanf(r.word(), "0x%x/0x%x", &v.Mark, &v.Mask); err != nil {
				r.fail(err)
			}
		case "table":
			v.Table = r.number()
		case "blackhole", "unreachable", "prohibit":
			v.Action = w
		default:
			r.fail(unknown(w))
		}
	}
	return v, r.end("virtual rule", s)
}

// ParsePoints reads the text of points.
func ParsePoints(s string) (Points, error) {
	r := reader{words: strings.Fields(s)}
	p := Points{Tracker: r.word()}
	for w := r.next(); w != ""; w = r.next() {
		switch w {
		case "lose":
			p.Lose = r.int()
		case "gain":
			p.Gain = r.int()
		case "scale":
			p.Scale = r.int()
		default:
			r.fail(unknown(w))
		}
	}
	return p, r.end("points", s)
}
