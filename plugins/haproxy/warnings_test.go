package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// reload asks the master for a reload, which answers nothing, and for a moment after its
// start not even takes the question.
func (h *server) reload(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, err := socket.Ask(ctx, h.master, "reload")
		if err == nil || errors.Is(err, socket.ErrEmpty) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("reload: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestAfterReload(t *testing.T) {
	h := pair(t, inter("100ms"))
	conf := strings.Replace(all, `"frontends"`, `"backends": ["be_app"], "frontends"`, 1)
	w := h.watcher(t, conf)
	r := h.await(t, w, sdk.Fail, "DOWN")
	generation := r.Facts["worker_generation"]
	h.write(t, inter("10m"))
	h.reload(t)
	r = h.await(t, w, sdk.Unknown, "UNCHECKED_YET")
	believed(t, h.process.Pid)
	if r.Facts["worker_generation"] == generation {
		t.Errorf("facts %v after a reload, generation %s before", r.Facts, generation)
	}
	// Without the grace, haproxy's word counts: dead servers are up.
	late := h.watcher(t, strings.Replace(conf, "1h", "0s", 1))
	if r := look(t, late, time.Second); r.Metrics["backend_up{be_app}"] == 0 {
		t.Errorf("haproxy takes no server for up that it did not check: %+v", r.Parts)
	}
	// A reload that fails leaves the worker as it was.
	h.write(t, "frontend {")
	h.reload(t)
	lone := h.watcher(t, `{"socket": "SOCKET", "master_socket": "MASTER", "max_old_workers": 0}`)
	r = h.await(t, lone, sdk.Warn, "RELOAD_FAILED")
	if r.Metrics["reloads_failed"] != 1 || r.Metrics["up"] != 1 || r.Facts["master_pid"] != fmt.Sprint(h.process.Pid) {
		t.Errorf("metrics %v, facts %v", r.Metrics, r.Facts)
	}
}

func TestOldWorkers(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, `{"socket": "SOCKET", "master_socket": "MASTER", "max_old_workers": 0}`)
	h.await(t, w, sdk.Pass, "")
	if _, err := fmt.Fprint(h.dial(t), "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	h.awaitConnections(t, 1)
	h.reload(t)
	r := h.await(t, w, sdk.Warn, "OLD_WORKERS")
	if p := the(t, r, "stopping"); p.Status != sdk.Pass {
		t.Errorf("an old worker may stop, and the part says %+v", p)
	}
}

// TestOldWorkersByAge: how long ago they were replaced, whatever their own age.
func TestOldWorkersByAge(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, `{"socket": "SOCKET", "master_socket": "MASTER", "max_old_age": "1s"}`)
	h.await(t, w, sdk.Pass, "")
	if _, err := fmt.Fprint(h.dial(t), "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	h.awaitConnections(t, 1)
	h.reload(t)
	r := h.await(t, w, sdk.Warn, "OLD_WORKERS")
	expect(t, r, sdk.Warn, "s after it was replaced")
	if r.Metrics["old_workers"] != 1 || r.Metrics["old_worker_age_seconds"] < 2 {
		t.Errorf("metrics %v", r.Metrics)
	}
}

// TestStructure: a managed file that was written and not loaded.
func TestStructure(t *testing.T) {
	with := func(fingerprint string) string {
		return strings.Replace(config, "global\n", "global\n  stats socket DIR/user mode 600 level user\n  setenv HARECONCILE_STRUCT "+fingerprint+"\n", 1)
	}
	h := pair(t, with("one"))
	by := map[string]*watcher{
		"the master":         h.watcher(t, `{"socket": "SOCKET", "master_socket": "MASTER", "managed_file": "DIR/haproxy.cfg"}`),
		"the runtime socket": h.watcher(t, `{"socket": "SOCKET", "managed_file": "DIR/haproxy.cfg"}`),
	}
	for name, w := range by {
		if p := the(t, h.await(t, w, sdk.Pass, ""), "structure"); p.Status != sdk.Pass {
			t.Errorf("by %s: %+v", name, p)
		}
	}
	h.write(t, with("two"))
	for _, w := range by {
		h.await(t, w, sdk.Warn, "NOT_LOADED")
	}
	h.reload(t)
	for _, w := range by {
		h.await(t, w, sdk.Pass, "")
	}
	for conf, code := range map[string]string{
		`{"socket": "DIR/user", "managed_file": "DIR/haproxy.cfg"}`: "NO_PERMISSION",
		`{"socket": "SOCKET", "managed_file": "DIR/none"}`:          "NO_FILE",
		`{"socket": "SOCKET", "managed_file": "PIDFILE"}`:           "NO_FILE",
	} {
		if r := look(t, h.watcher(t, conf), 2*time.Second); r.Status != sdk.Warn || r.Code != code {
			t.Errorf("%s: %s %s %q, want a warning %s", conf, r.Status, r.Code, r.Detail, code)
		}
	}
}

// TestWeight: enough servers are up, and they carry too little.
func TestWeight(t *testing.T) {
	h := pair(t, strings.Replace(inter("100ms"), "server a 127.0.0.1:1", "server a 127.0.0.1:PORT weight 10", 1)+"  balance roundrobin\n")
	heavy := h.watcher(t, `{"socket": "SOCKET", "backends": ["be_app"], "min_weight_ratio": 0.9, "startup_grace": "0s"}`)
	light := h.watcher(t, `{"socket": "SOCKET", "backends": ["be_app"], "min_weight_ratio": 0.9}`)
	h.await(t, heavy, sdk.Pass, "") // ten of eleven, and of nothing that is known to be down
	h.command(t, "set server be_app/a weight 1")
	r := h.await(t, heavy, sdk.Fail, "TOO_LIGHT")
	expect(t, r, sdk.Fail, "has 1 servers up with 50 % of the weight, want 90 %")
	if r.Metrics["backend_weight_ratio{be_app}"] != 0.5 {
		t.Errorf("metrics %v", r.Metrics)
	}
	h.await(t, light, sdk.Fail, "TOO_LIGHT")
}

func TestCertificates(t *testing.T) {
	dir := shortDir(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(name string, days int) string {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().AddDate(0, 0, days)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	far, near, now := sign("far.pem", 90), sign("near.pem", 10), sign("now.pem", 1)
	h := pair(t, strings.Replace(config, "global\n", "global\n  stats socket DIR/user mode 600 level user\n", 1)+
		fmt.Sprintf("frontend fe_tls\n  bind 127.0.0.1:%d ssl crt %s crt %s crt %s\n  default_backend be_app\n", freePort(t), far, near, now))
	list, err := json.Marshal([]string{far, near, now, dir + "/none.pem"})
	if err != nil {
		t.Fatal(err)
	}
	r := look(t, h.watcher(t, `{"socket": "SOCKET", "certs": `+string(list)+`}`), 2*time.Second)
	for file, code := range map[string]string{far: "", near: "CERT_EXPIRES", now: "CERT_URGENT", dir + "/none.pem": "NO_CERT"} {
		if p := the(t, r, "cert "+file); p.Code != code || p.Status == sdk.Fail {
			t.Errorf("%s is %+v, want %q", file, p, code)
		}
	}
	if d := r.Metrics["cert_days{"+near+"}"]; r.Status != sdk.Warn || d < 9 || d > 10 {
		t.Errorf("%s, %v days", r.Status, d)
	}
	r = look(t, h.watcher(t, `{"socket": "DIR/user", "certs": `+string(list)+`}`), 2*time.Second)
	if p := the(t, r, "cert "+far); p.Code != "NO_PERMISSION" || r.Status != sdk.Warn {
		t.Errorf("on a socket of level user: %s, %+v", r.Status, p)
	}
}

// TestSaturated: only a limit of connections excuses silence; a haproxy that spins is down.
func TestSaturated(t *testing.T) {
	for _, tt := range []struct {
		conns, idle string
		want        bool
	}{{"9", "0", false}, {"10", "100", true}, {"0", "50", false}} {
		s := &seen{info: haproxy.Info{"CurrConns": tt.conns, "Maxconn": "10", "Idle_pct": tt.idle}}
		if got := (&watcher{}).saturated(s); got != tt.want {
			t.Errorf("with %s of 10 connections and %s %% idle: %v, want %v", tt.conns, tt.idle, got, tt.want)
		}
	}
}
