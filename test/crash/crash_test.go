// Package crash_test ends the agent after every single operation on the kernel or the disk
// that an apply makes, and looks at what its next start makes of that.
package crash_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// bin is the folder of the programs under test, and binEnv names it where another kernel runs them.
var bin = os.Getenv(binEnv)

const binEnv = "HARECONCILE_TEST_BIN"

func TestMain(m *testing.M) {
	if order := os.Getenv(traceEnv); order != "" {
		os.Exit(traceMain(order))
	}
	if bin != "" {
		os.Exit(m.Run())
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("/var/tmp", "hareconcile-crash-") // which a guest sees, too
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	cmd := exec.Command("go", "build", "-o", dir, "../../cmd/hareconcile", "../../cmd/hareconcile-vrrpd")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A story is two definitions, between which a node goes back and forth.
type story struct {
	name     string
	node     string
	old, new string // cluster.hcl
	// live prints what the node should be by it, from outside.
	live func(*node) string
	keep string // an address that both definitions have; empty where there is none
	// prepare, if not nil, starts what the definitions need.
	prepare func(*node)
}

const head = `
cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
  node "rs1" { address = "172.25.254.110" }

  rollout { min_healthy_time = "0s" }
}

tracker "uplink" { interface = "eth0" }

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  advert_interval   = "100ms"
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [%s]
  gates             = [tracker.uplink]
}
`

const service = `
pool "web" {
  port = 80

  server "rs1" { address = "172.25.254.110" }
}

virtual_server "http" {
  for_each = toset([%s])
  on       = vrrp_instance.web
  address  = each.value
  port     = 80
  forward  = "dr"
  pool     = pool.web
}
`

// cluster is a definition with these virtual addresses, and without services if plain.
func cluster(plain bool, vips ...string) string {
	var prefixes, addresses []string
	for _, v := range vips {
		prefixes = append(prefixes, fmt.Sprintf("%q", v+"/24"))
		addresses = append(addresses, fmt.Sprintf("%q", v))
	}
	text := fmt.Sprintf(head, strings.Join(prefixes, ", "))
	if !plain {
		text += fmt.Sprintf(service, strings.Join(addresses, ", "))
	}
	return text
}

const kept, gone, come = "172.25.254.100", "172.25.254.101", "172.25.254.102"

var stories = []story{
	{
		name: "real server", node: "rs1", keep: kept,
		old: cluster(false, kept, gone), new: cluster(false, kept, come),
		live: func(n *node) string {
			return n.ns.Run("ip", "-o", "-4", "addr", "show", "lo") + n.ns.Run("sysctl", "net.ipv4.conf.lo.arp_ignore", "net.ipv4.conf.all.arp_announce")
		},
	},
	{
		name: "director", node: "ka1", keep: kept,
		old: cluster(true, kept, gone), new: cluster(true, kept, come),
		live: func(n *node) string { return n.vrrpd() + n.ns.Run("ip", "-o", "-4", "addr", "show", "eth0") },
	},
	{
		name: "haproxy", node: "rs1", prepare: startHAProxy, live: served,
		old: proxied("{ rs1 = 10, rs2 = 10 }"), new: proxied("{ rs1 = 20, rs3 = 10 }"), // a weight by a command, and a reload
	},
}

// TestAnEndAfterEveryOperation pushes a definition, ends the agent as its n-th operation
// returns, and starts it without a source: it is at the old definition or at the new one, with
// a clean journal. With its source again it comes to the new one. An address that both have is
// there all the time.
func TestAnEndAfterEveryOperation(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip", "git", "sysctl", "haproxy")
	everyEnd(t, 3, stories)
}

// TestAnEndAfterEveryOperationOnATable is the same where there is IPVS.
func TestAnEndAfterEveryOperationOnATable(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip", "git", "ipvsadm")
	if nstest.UML(t, binEnv+"="+bin, nstest.SoakEnv+"="+os.Getenv(nstest.SoakEnv)) {
		return
	}
	everyEnd(t, 1, []story{{
		name: "table", node: "ka1", keep: kept,
		old: cluster(false, kept, gone), new: cluster(false, kept, come),
		live: func(n *node) string { return n.vrrpd() + n.ns.Run("ipvsadm", "-Sn") },
	}})
}

// everyEnd tells stories, each with so many ends in make test and all of them in make soak.
func everyEnd(t *testing.T, usual int, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			n := newNode(t, s)
			whole := n.attempt(0)
			if whole.Killed || len(whole.Ops) < 8 {
				t.Fatalf("an attempt has the operations %q", whole.Ops)
			}
			t.Logf("an attempt has %d operations: %s", len(whole.Ops), summary(whole.Ops))
			points := rand.Perm(len(whole.Ops))
			died, want := 0, nstest.Trials(usual, len(points))
			for _, k := range points { // an attempt may have fewer operations than the first
				if died == want {
					break
				}
				if n.attempt(k + 1).Killed {
					died++
				}
			}
			t.Logf("ended %d times", died)
			if died == 0 {
				t.Error("no attempt was ended")
			}
		})
	}
}

// summary counts operations of a kind.
func summary(ops []string) string {
	var order []string
	count := map[string]int{}
	for _, op := range ops {
		if count[op]++; count[op] == 1 {
			order = append(order, op)
		}
	}
	var b strings.Builder
	for _, op := range order {
		fmt.Fprintf(&b, "%d x %s, ", count[op], op)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// tail returns the last lines of a log.
func tail(b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-15):], nil)
}

// read returns a file's text, and "" if there is none.
func read(path ...string) string {
	b, _ := os.ReadFile(filepath.Join(path...))
	return string(b)
}
