package haproxy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	parse "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestAFrozenHAProxy: nothing is planned for a worker that does not answer, and nothing written.
func TestAFrozenHAProxy(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	worker := h.procs().Workers[0].PID
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw := func() { _ = syscall.Kill(worker, syscall.SIGCONT) }
	t.Cleanup(thaw)
	// A stop takes effect when the process next comes to it (signal(7)).
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for stat := ""; !strings.Contains(stat, ") T "); stat = h.read(fmt.Sprintf("/proc/%d/stat", worker)) {
		<-tick.C
	}
	c := h.plain()
	c.client = "9s"
	live, err := reconcile.Observe(t.Context(), h.hs)
	if !errors.Is(err, socket.ErrSilent) || len(live.Unobserved) != 2 { // there are no maps and certificates
		t.Errorf("Observe = %v, unobserved %v; want files and servers for silence", err, live.Unobserved)
	}
	if p := reconcile.Diff(live, reconcile.Target{Set: h.set(c), FactsKnown: true}); !p.Empty() {
		t.Errorf("plan = %+v, want nothing", p)
	}
	if err := h.apply(h.file(c)); !errors.Is(err, socket.ErrSilent) {
		t.Errorf("Apply = %v, want silence", err)
	}
	thaw()
	if got := h.read(h.managed.Path); got != string(h.file(h.plain()).Text) {
		t.Errorf("the file changed:\n%s", got)
	}
	reconciletest.Apply(t, h.hs, h.set(c))
}

func TestAHAProxyThatIsGone(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	h.stop()
	c := h.plain()
	c.client = "9s"
	plan := reconciletest.Plan(t, h.hs, h.set(c))
	if ps := plan.Preflight(t.Context(), h.hs); len(ps) > 0 {
		t.Errorf("problems = %v, want none: it may come back", ps)
	}
	err := plan.Apply(t.Context(), h.hs, nil)
	if !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "haproxy does not run") {
		t.Errorf("Apply = %v, want an error that says so", err)
	}
	if got := h.read(h.managed.Path); got != string(h.file(h.plain()).Text) {
		t.Errorf("a file that nobody checked was written:\n%s", got)
	}
	h.start("-f", "conf")
	reconciletest.Apply(t, h.hs, h.set(c))
	h.stop()
	// What leaves the definition leaves the disk without a haproxy too.
	reconciletest.Apply(t, h.hs, resource.Set{})
	if _, err := os.Stat(h.managed.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestAHAProxyWithoutOurFolder(t *testing.T) {
	h := newHost(t, "-V")
	c := h.plain()
	err := h.apply(h.file(c))
	if !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "-f "+h.path("conf")) {
		t.Errorf("Apply = %v, want what to add to the arguments", err)
	}
	if n := h.procs().Master.Reloads; n != 0 {
		t.Errorf("%d reloads, want none that cannot help", n)
	}
	h.stop()
	h.start("-f", "conf")
	reconciletest.Apply(t, h.hs, h.set(c))
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

// TestAFileThatWasRemoved comes back without a reload, unless there was one in between. The
// master still has the variable then.
func TestAFileThatWasRemoved(t *testing.T) {
	h := newHost(t)
	c := h.plain()
	for _, reloaded := range []bool{false, true} {
		reconciletest.Apply(t, h.hs, h.set(c))
		if err := os.Remove(h.managed.Path); err != nil {
			t.Fatal(err)
		}
		before := h.procs().Master.Reloads
		if reloaded {
			if _, err := socket.Ask(t.Context(), h.managed.MasterSocket, "reload"); err != nil && !errors.Is(err, socket.ErrEmpty) {
				t.Fatal(err)
			}
			h.wait("it was reloaded", func() bool {
				// While the master starts again nobody listens.
				reply, err := socket.Ask(t.Context(), h.managed.MasterSocket, "show proc")
				p, err2 := parse.ParseProcs(reply)
				_, served := socket.Ask(t.Context(), h.managed.RuntimeSocket, "show info")
				return err == nil && err2 == nil && served != nil && p.Master.Reloads > before
			})
			before++
		}
		reconciletest.Apply(t, h.hs, h.set(c))
		want := before
		if reloaded {
			want++
		}
		if n := h.procs().Master.Reloads; n != want {
			t.Errorf("reloaded by hand %v: %d reloads, want %d", reloaded, n, want)
		}
		if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
			t.Errorf("reloaded by hand %v: what is left is %+v", reloaded, p)
		}
	}
}

func TestAFileThatSomebodyChanged(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	edited := string(h.file(h.plain()).Text) + "# note\n"
	h.write("conf/50-hareconcile.cfg", edited)
	c := h.plain()
	c.servers[0].Weight = 3
	problems := reconciletest.Plan(t, h.hs, h.set(c)).Preflight(t.Context(), h.hs)
	if len(problems) != 1 || !strings.Contains(problems[0].Err.Error(), "changed by hand") {
		t.Errorf("problems = %v, want the change by hand", problems)
	}
	if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) || h.read(h.managed.Path) != edited {
		t.Errorf("Apply = %v, want a refusal and the file as it is", err)
	}
	h.managed.Overwrite = true
	reconciletest.Apply(t, h.hs, h.set(c))
	if got := h.read(h.managed.Path); got != string(h.file(c).Text) {
		t.Errorf("the file was not put right:\n%s", got)
	}
}

func TestAFileOfSomebodyElse(t *testing.T) {
	h := prepared(t)
	h.write("conf/50-hareconcile.cfg", "# mine\n")
	if err := os.Chmod(h.managed.Path, 0o604); err != nil {
		t.Fatal(err)
	}
	h.start("-f", "conf")
	f := h.file(h.plain())
	reconciletest.Conflict(t, h.hs, f)
	if err := h.apply(f); !errors.Is(err, reconcile.ErrRefused) || h.read(h.managed.Path) != "# mine\n" {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	h.managed.Adopt = true
	if err := h.apply(f); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(h.managed.Path); err != nil || st.Mode().Perm() != 0o604 {
		t.Errorf("the file has mode %v (%v), want the one that it had", st.Mode(), err)
	}
}

// TestGarbageOnTheSockets is another program that answers where haproxy should.
func TestGarbageOnTheSockets(t *testing.T) {
	h := prepared(t)
	h.managed.Maps = []string{h.path("hosts.map")}
	h.managed.Certificates = []string{h.path("site.pem")}
	h.write("hosts.map", "a b\n")
	f := h.file(h.plain())
	h.write("conf/50-hareconcile.cfg", f.Text)
	for _, path := range []string{h.managed.RuntimeSocket, h.managed.MasterSocket} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, c)
				_, _ = io.WriteString(c, "220 mail ready\x00\xff\n\n")
				_ = c.Close()
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-done })
	}
	live, err := reconcile.Observe(t.Context(), h.hs)
	if !errors.Is(err, parse.ErrReply) || len(live.Unobserved) != 4 {
		t.Errorf("Observe = %v, unobserved %v; want all four kinds", err, live.Unobserved)
	}
	c := h.plain()
	c.client = "9s"
	if err := h.apply(h.file(c)); !errors.Is(err, parse.ErrReply) || h.read(h.managed.Path) != f.Text {
		t.Errorf("Apply = %v, want an error and the file as it was", err)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	for name, want := range map[string]string{"z": "a reload with the file brings it"} {
		s := h.server(name, 1)
		err := h.hs[3].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: s.ID(), After: s})
		if !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Apply = %v, want %q", name, err, want)
		}
	}
	for _, change := range []func(*resource.HAProxyServer){
		func(s *resource.HAProxyServer) { s.Weight = 257 },
		func(s *resource.HAProxyServer) { s.Admin = "ready;shutdown sessions server app/a" },
	} {
		s := h.server("a", 1)
		change(&s)
		if err := h.hs[3].Apply(t.Context(), reconcile.Change{Action: reconcile.Update, ID: s.ID(), After: s}); err == nil {
			t.Errorf("Apply of %+v succeeded", s)
		}
	}
}

// TestAWeightThatNeedsAReload: haproxy changes none at runtime where clients are told apart
// by a table made at the start.
func TestAWeightThatNeedsAReload(t *testing.T) {
	h := newHost(t)
	c := h.plain()
	c.balance = "source"
	reconciletest.Apply(t, h.hs, h.set(c))
	before := h.procs().Master.Reloads
	c.servers[0].Weight = 33
	reconciletest.Apply(t, h.hs, h.set(c))
	if n := h.procs().Master.Reloads - before; n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

// pair returns a certificate that signs itself with its key, as one file, and a serial number.
func pair(t *testing.T, serial int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x.example"}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	b.WriteString("\n") // as some authorities write them
	_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return b.Bytes()
}

func TestACertificateThatWasRenewed(t *testing.T) {
	h := newHost(t)
	h.write("site.pem", string(pair(t, 1)))
	h.managed.Certificates = []string{h.path("site.pem")}
	v := resource.HAProxyCertificate{Socket: h.managed.RuntimeSocket, Path: h.path("site.pem")}
	port := freePort(t)
	c := h.plain()
	c.lines = []string{fmt.Sprintf("bind 127.0.0.1:%d ssl crt %s", port, v.Path)}
	want := h.set(c)
	want[v.ID()] = v
	served := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	reconciletest.Apply(t, h.hs, want)
	before := h.procs().Master.Reloads
	h.write("site.pem", string(pair(t, 2)))
	if p := reconciletest.Apply(t, h.hs, want); len(p.Changes) != 1 || served() != 2 {
		t.Errorf("plan = %+v and certificate %d is served; want one change and 2", p, served())
	}
	if p := reconciletest.Plan(t, h.hs, want); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
	h.write("site.pem", "what is this\n")
	err := reconciletest.Plan(t, h.hs, want).Apply(t.Context(), h.hs, nil)
	if !errors.Is(err, reconcile.ErrRefused) || served() != 2 {
		t.Errorf("Apply = %v and %d is served; want a refusal and 2", err, served())
	}
	mixed, _, _ := bytes.Cut(pair(t, 3), []byte("\n\n"))
	_, key, _ := bytes.Cut(pair(t, 4), []byte("\n\n"))
	h.write("site.pem", string(mixed)+"\n"+string(key))
	err = reconciletest.Plan(t, h.hs, want).Apply(t.Context(), h.hs, nil)
	if !errors.Is(err, reconcile.ErrRefused) || strings.Contains(err.Error(), "PRIVATE") || served() != 2 {
		t.Errorf("Apply of another's key = %v and %d is served; want a refusal and 2", err, served())
	}
	if n := h.procs().Master.Reloads; n != before {
		t.Errorf("%d reloads for a certificate, want none", n-before)
	}
}
