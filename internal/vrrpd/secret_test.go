package vrrpd_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestSecretThatComesLater starts a vrrpd again whose secrets are not there yet.
func TestSecretThatComesLater(t *testing.T) {
	a, b, _ := vrrpdtest.Pair(t)
	key := strings.Repeat("k", vrrp.MinKey)
	a.Secret("vrrp", key)
	a.Start()
	i := a.Router(100, 100*time.Millisecond, b.Addr)
	i.Auth, i.AuthKeys, i.AuthActive = resource.AuthEnforce, "1=vrrp", 1
	plain := a.Router(100, 100*time.Millisecond, b.Addr)
	plain.VRID, plain.Addresses = 8, "10.9.0.101/24"
	a.Apply(i, plain)
	a.WaitState("MASTER")
	a.Signal(syscall.SIGKILL)
	a.ForgetSecret("vrrp")
	a.Start()
	if got := a.WaitState("FAULT"); !strings.Contains(got.Reason, "vrrp") {
		t.Errorf("reason = %q, want it to name the secret", got.Reason)
	}
	if got := a.Named(plain.ID().Name).State; got == "FAULT" {
		t.Error("a router that needs no secret is in FAULT, too")
	}
	a.Secret("vrrp", key)
	a.WaitState("MASTER")
}
