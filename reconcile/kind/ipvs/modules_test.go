package ipvs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// fakeRoot has modules that are listed, and a helper that knows those on disk.
func fakeRoot(t *testing.T, helper string) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/modules", "ip_vs_rr 16384 1 - Live 0x0\nip_vs 16384 3 ip_vs_rr, Live 0x0\n")
	write("sys/module/ip_vs_sh/parameters/x", "")
	if helper != "" {
		write("helper", helper)
		write("proc/sys/kernel/modprobe", filepath.Join(root, "helper")+"\n")
	}
	return root
}

func preflight(t *testing.T, h reconcile.Handler, s resource.IPVSService) error {
	t.Helper()
	return h.(reconcile.Preflighter).Preflight(t.Context(), []reconcile.Change{{Action: reconcile.Create, ID: s.ID(), After: s}})[0]
}

func TestPreflight(t *testing.T) {
	const onDisk = "#!/bin/sh\n[ \"$1 $2 $3\" = '-n -q --' ] || exit 2\ncase $4 in ip_vs|ip_vs_wlc) exit 0;; esac\nexit 1\n"
	const blind = "#!/bin/sh\nexit 1\n"
	for _, c := range []struct {
		helper, scheduler, engine, want string
	}{
		{onDisk, "rr", "", ""},
		{onDisk, "sh", "", ""},
		{onDisk, "wlc", "", ""},
		{onDisk, "twos", "", `no scheduler "twos" (module ip_vs_twos)`},
		{onDisk, "rr", "sip", `no persistence engine "sip" (module ip_vs_pe_sip)`},
		{blind, "twos", "", ""},
		{"", "twos", "", ""},
		{"#!/nosuch\n", "twos", "", ""},
	} {
		t.Run(fmt.Sprintf("%.20q %s %s", c.helper, c.scheduler, c.engine), func(t *testing.T) {
			h := newServices((&fake{}).dial, nil, fakeRoot(t, c.helper))
			s := service("tcp 192.0.2.1:80", c.scheduler)
			s.PersistenceEngine = c.engine
			err := preflight(t, h, s)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Preflight = %v, want %q", err, c.want)
			}
		})
	}
}

// TestModulesAreLoadedBefore looks at what the helper was asked for when the kernel is.
func TestModulesAreLoadedBefore(t *testing.T) {
	root := fakeRoot(t, "#!/bin/sh\necho \"$@\" >>\"${0%/*}/asked\"\n")
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	h := newServices(f.dial, l, root)
	var cs []reconcile.Change
	for i, scheduler := range []string{"rr", "lblcr", "sh", "lblcr", "wlc"} {
		s := service(fmt.Sprintf("tcp 192.0.2.1:%d", i), scheduler)
		if i == 4 {
			s.Persistence, s.PersistenceEngine = seconds(1), "sip"
		}
		cs = append(cs, reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s})
	}
	asked := ""
	f.before = func() {
		b, _ := os.ReadFile(filepath.Join(root, "asked"))
		asked = string(b)
	}
	if err := h.ApplyAll(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	if want := "-q -- ip_vs_lblcr\n-q -- ip_vs_wlc\n-q -- ip_vs_pe_sip\n"; asked != want {
		t.Errorf("the helper was asked %q before the kernel was, want %q", asked, want)
	}
}

func preflightKernel(t *testing.T, e env) {
	for _, name := range []string{"rr", "lblcr", "ovf", "fo", "dh", "nq", "sed"} {
		if err := preflight(t, e.hs[0], service("tcp 192.0.2.1:80", name)); err != nil {
			t.Errorf("Preflight(%s) = %v, want nil", name, err)
		}
	}
	s := service("tcp 192.0.2.1:80", "nosuch")
	if err := preflight(t, e.hs[0], s); err == nil || !strings.Contains(err.Error(), "ip_vs_nosuch") {
		t.Errorf("Preflight(nosuch) = %v, want an error that names the module", err)
	}
	s = service("tcp 192.0.2.1:80", "rr")
	for _, engine := range []string{"sip", "nosuch"} {
		s.PersistenceEngine = engine
		if err := preflight(t, e.hs[0], s); (err == nil) != (engine == "sip") {
			t.Errorf("Preflight(engine %s) = %v", engine, err)
		}
	}
}
