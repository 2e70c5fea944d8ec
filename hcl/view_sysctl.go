package hcl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A vsSysctl is a setting below net/ipv4/vs: numbers from low to high, as many as count says.
type vsSysctl struct {
	low, high int64
	count     int
	text      bool // it is no number
}

var (
	onOff  = vsSysctl{0, 1, 1, false}
	level  = vsSysctl{0, 3, 1, false}
	number = vsSysctl{0, 1<<31 - 1, 1, false}
)

// vsSysctls are those of Linux (ip_vs_ctl.c, vs_vars, ip_vs_lblc.c, ip_vs_lblcr.c, and
// Documentation/networking/ipvs-sysctl.rst). A kernel that lacks one refuses it by name.
var vsSysctls = map[string]vsSysctl{
	"am_droprate":               {1, 1<<31 - 1, 1, false},
	"amemthresh":                number,
	"backup_only":               onOff,
	"cache_bypass":              onOff,
	"conn_lfactor":              {-8, 8, 1, false},
	"conn_max":                  number,
	"conn_reuse_mode":           {0, 2, 1, false},
	"conntrack":                 onOff,
	"drop_entry":                level,
	"drop_packet":               level,
	"est_cpulist":               {text: true},
	"est_nice":                  {-20, 19, 1, false},
	"expire_nodest_conn":        onOff,
	"expire_quiescent_template": onOff,
	"ignore_tunneled":           onOff,
	"lblc_expiration":           number,
	"lblcr_expiration":          number,
	"nat_icmp_send":             onOff,
	"pmtu_disc":                 onOff,
	"run_estimation":            onOff,
	"schedule_icmp":             onOff,
	"secure_tcp":                level,
	"sloppy_sctp":               onOff,
	"sloppy_tcp":                onOff,
	"snat_reroute":              onOff,
	"svc_lfactor":               {-8, 8, 1, false},
	"sync_persist_mode":         onOff,
	"sync_ports":                {1, 64, 1, false},
	"sync_qlen_max":             number,
	"sync_refresh_period":       number,
	"sync_retries":              level,
	"sync_sock_size":            number,
	"sync_threshold":            {0, 1<<31 - 1, 2, false},
	"sync_version":              onOff,
}

// ipvsSysctls reads sysctls = { name = value }.
func (v *view) ipvsSysctls(in *instance) map[string]string {
	got, ok := in.get("sysctls")
	if !ok {
		return nil
	}
	if !got.Type().IsObjectType() && !got.Type().IsMapType() {
		in.fail("sysctls", "Wrong type", "sysctls is an object, such as { expire_nodest_conn = 1 }.")
		return nil
	}
	out := map[string]string{}
	have := got.AsValueMap()
	for _, name := range sortedKeys(have) {
		at := in.fieldRange("sysctls", name)
		known, ok := vsSysctls[name]
		if !ok {
			v.ev.report.errorf(at, "Unknown setting", "IPVS has no net/ipv4/vs/%.80s.%s", name, DidYouMean(name, sortedKeys(vsSysctls)))
			continue
		}
		e, err := convert.Convert(have[name], cty.String)
		if err != nil || e.IsNull() {
			v.ev.report.errorf(at, "Wrong type", "%s wants %s, and this is %s.", name, known.describe(), friendly(have[name]))
			continue
		}
		value, ok := known.read(e.AsString())
		if !ok {
			v.ev.report.errorf(at, name+" cannot be that", "It is %.80q; it has to be %s.", e.AsString(), known.describe())
			continue
		}
		out[name] = value
	}
	return out
}

func (s vsSysctl) describe() string {
	if s.text {
		return "a list of processors, such as \"0-3\""
	}
	out := fmt.Sprintf("a whole number from %d to %d", s.low, s.high)
	if s.count > 1 {
		out = fmt.Sprintf("%d whole numbers from %d to %d with a space between them, such as \"3 50\"", s.count, s.low, s.high)
	}
	return out
}

// read returns a value as the kernel shows it: numbers with spaces between them, as package sysctl reads them.
func (s vsSysctl) read(value string) (string, bool) {
	if s.text {
		return value, value != "" && strings.Trim(value, "0123456789,-:/N") == "" || value == "all"
	}
	words := strings.Fields(value)
	if len(words) != s.count {
		return "", false
	}
	for k, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil || n < s.low || n > s.high {
			return "", false
		}
		words[k] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " "), true
}
