package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

func netipPort(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
}

func TestConfiguration(t *testing.T) {
	mistake := func(name, config string, attributes ...string) sdktest.Case {
		return sdktest.Case{Name: name, Config: config, Mistakes: attributes}
	}
	sdktest.Run(t, newTracker(), []sdktest.Case{
		{Name: "no pid file means down", Config: `{"pidfile": "/nonexistent/nginx.pid"}`, Want: sdk.Fail, Detail: "there is no /nonexistent/nginx.pid"},
		mistake("a relative path", `{"pidfile": "nginx.pid"}`, "pidfile"),
		mistake("a program to run", `{"config_test": true, "nginx_bin": "/bin/bash"}`, "nginx_bin"),
		mistake("a file that is a command", `{"config_test": true, "config_file": "/usr/bin/id > /tmp/x; /bin/true"}`, "config_file"),
		mistake("a file of others", `{"config_test": true, "config_file": "/etc/nginx/../shadow"}`, "config_file"),
		mistake("a port alone", `{"listen": ["80", ":80", "*:80", "[::]:0"]}`, "listen", "listen", "listen"),
		mistake("two names for the master", `{"pidfile": "/p", "unit": "nginx.service"}`, "unit"),
		mistake("a unit leads nowhere else", `{"unit": "../x.service"}`, "unit"),
		mistake("no workers", `{"workers_min": 0}`, "workers_min"),
		mistake("half a worker", `{"workers_min": 1.5}`, "workers_min"),
		mistake("another scheme", `{"http_url": "ftp://127.0.0.1/"}`, "http_url"),
		mistake("a password", `{"http_url": "http://a:b@127.0.0.1/"}`, "http_url"),
		mistake("no URL", `{"http_host": "a", "http_insecure": true}`, "http_host", "http_insecure"),
		mistake("a code that is none", `{"http_url": "http://127.0.0.1/", "http_expect_status": ["2xx", "99", "300-200"]}`, "http_expect_status", "http_expect_status", "http_expect_status"),
		mistake("no duration", `{"http_url": "http://127.0.0.1/", "http_timeout": "1"}`, "http_timeout"),
		mistake("authorities that do not count", `{"http_url": "https://127.0.0.1/", "http_ca": "/ca", "http_insecure": true}`, "http_ca"),
		mistake("a share of nothing", `{"stub_status_url": "http://127.0.0.1/", "warn_active_ratio": 0.5}`, "warn_active_ratio"),
		mistake("a share above all", `{"stub_status_url": "http://127.0.0.1/", "max_connections": 9, "warn_active_ratio": 80}`, "warn_active_ratio"),
		mistake("names without an address", `{"cert_sni": ["a"]}`, "cert_sni"),
		mistake("an address that is none", `{"cert_sni": ["a"], "cert_address": "a:443"}`, "cert_address"),
		mistake("a warning about nothing", `{"cert_warn": "1h"}`, "cert_warn"),
		mistake("too many", `{"listen": ["1.1.1.1:1"`+strings.Repeat(`,"1.1.1.1:1"`, maxList)+`]}`, "listen"),
	})
}

func TestAnswers(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		name   string
		change func(*config)
		want   sdk.Status
		code   string
	}{
		{"a good one", func(c *config) { c.web.body = "fine" }, sdk.Pass, ""},
		{"another body", func(c *config) { c.web.body = "excellent" }, sdk.Fail, "HTTP_BODY"},
		{"redirects are not followed", func(c *config) { c.web.url = s.url("/moved") }, sdk.Fail, "HTTP_STATUS"},
		{"a redirect that is wanted", func(c *config) { c.web.url, c.web.status = s.url("/moved"), [][2]int{{302, 302}} }, sdk.Pass, ""},
		{"an error", func(c *config) { c.web.url = s.url("/broken") }, sdk.Fail, "HTTP_STATUS"},
		{"nobody there", func(c *config) { c.web.url = fmt.Sprintf("http://127.0.0.1:%d/", s.tlsPort) }, sdk.Fail, "HTTP_REFUSED"},
		{"TLS where there is none", func(c *config) { c.web.url = strings.Replace(s.url("/"), "http", "https", 1) }, sdk.Fail, "HTTP_TLS"},
		{"a name that does not resolve", func(c *config) { c.web.url = "http://nowhere.invalid/"; c.web.timeout = 10 * time.Second }, sdk.Unknown, "HTTP_UNKNOWN"},
		{"authorities that are not there", func(c *config) { c.web.ca = "/nonexistent" }, sdk.Unknown, "HTTP_UNKNOWN"},
		{"stub_status elsewhere decides nothing", func(c *config) { c.stub = s.url("/broken") }, sdk.Pass, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.expect(s.watcher(func(c *config) { s.web("/")(c); tt.change(c) }), tt.want, tt.code)
		})
	}
	r := s.check(s.watcher(s.web("/")))
	if r.Metrics["workers"] != 2 || r.Metrics["http_status"] != 200 || r.Facts["pid"] != fmt.Sprint(s.process.Pid) || !strings.HasPrefix(r.Facts["server"], "nginx") {
		t.Errorf("metrics %v, facts %v", r.Metrics, r.Facts)
	}
}

// certificate writes a self-signed one and its key.
func certificate(t *testing.T, dir string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web.test"}, DNSNames: []string{"web.test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: k}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificates(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name       string
		ends       time.Duration
		web, plain string // codes where http verifies, and where it does not
		status     sdk.Status
	}{
		{"good", 90 * day, "", "", sdk.Pass},
		{"to be renewed", 10 * day, "CERT_ENDS", "CERT_ENDS", sdk.Warn},
		{"about to end", day, "CERT_CRITICAL", "CERT_CRITICAL", sdk.Warn},
		{"expired", -time.Hour, "HTTP_TLS", "CERT_EXPIRED", sdk.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := openDir(t)
			certificate(t, dir, time.Now().Add(-100*day), time.Now().Add(tt.ends))
			s := startWith(t, two, "server { listen 127.0.0.1:TLSPORT ssl; ssl_certificate "+dir+"/crt; ssl_certificate_key "+dir+"/key; return 200; }")
			secure := func(c *config) {
				s.web("/")(c)
				c.web.url = fmt.Sprintf("https://127.0.0.1:%d/", s.tlsPort)
				c.web.sni, c.web.ca, c.web.timeout = "web.test", dir+"/crt", 3*time.Second
				c.certAddr, c.certNames = netipPort(s.tlsPort).String(), []string{"web.test"}
			}
			r := s.expect(s.watcher(secure), tt.status, tt.web)
			if days := r.Metrics["cert_days{web.test}"]; days < tt.ends.Hours()/24-0.1 || days > tt.ends.Hours()/24 {
				t.Errorf("%v days left, want %v", days, tt.ends.Hours()/24)
			}
			blind := s.watcher(func(c *config) { secure(c); c.web.ca, c.web.insecure = "", true })
			if r := s.check(blind); r.Status == sdk.Fail || r.Code != tt.plain {
				t.Errorf("without verification: %s, want up with %q", text(r), tt.plain)
			}
			s.expect(s.watcher(func(c *config) { secure(c); c.web.ca = "" }), sdk.Fail, "HTTP_TLS") // unknown to the system
			s.kill0()
		})
	}
}

// TestHistory plays what looks find one after the other.
func TestHistory(t *testing.T) {
	workers := func(pids ...int) (out []proc.Stat) {
		for _, pid := range pids {
			out = append(out, proc.Stat{PID: pid, Start: uint64(pid)})
		}
		return out
	}
	type look struct{ workers, old []int }
	for _, tt := range []struct {
		name                 string
		looks                []look
		respawns, generation int
	}{
		{"nothing happens", []look{{[]int{1, 2}, nil}, {[]int{1, 2}, nil}}, 0, 0},
		{"one is replaced", []look{{[]int{1, 2}, nil}, {[]int{1, 3}, nil}}, 1, 0},
		{"a reload", []look{{[]int{1, 2}, nil}, {[]int{3, 4}, nil}}, 0, 1},
		{"a reload with connections", []look{{[]int{1, 2}, nil}, {[]int{3, 4}, []int{1}}, {[]int{3, 4}, nil}}, 0, 1},
		{"a reload of one worker with connections", []look{{[]int{1}, nil}, {[]int{2}, []int{1}}}, 0, 1},
		{"a reload that is seen half way", []look{{[]int{1, 2}, nil}, {[]int{1, 2, 3, 4}, nil}, {[]int{3, 4}, nil}}, 0, 1},
		{"a reload to fewer workers", []look{{[]int{1, 2}, nil}, {[]int{3}, nil}}, 0, 1},
		{"the only one is replaced", []look{{[]int{1}, nil}, {[]int{2}, nil}}, 1, 0},
		{"all are replaced again and again", []look{{[]int{1, 2}, nil}, {[]int{3, 4}, nil}, {[]int{5, 6}, nil}, {[]int{7, 8}, nil}}, 4, 1},
		{"one goes and does not come back", []look{{[]int{1, 2}, nil}, {[]int{1}, nil}}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{}
			now := time.Unix(1e9, 0)
			for _, l := range tt.looks {
				h.see(family{proc.Stat{PID: 9, Start: 9}, workers(l.workers...), workers(l.old...)}, now)
				now = now.Add(time.Second)
			}
			if len(h.respawns) != tt.respawns || h.generation != tt.generation {
				t.Errorf("%d respawns, generation %d, want %d and %d", len(h.respawns), h.generation, tt.respawns, tt.generation)
			}
		})
	}
}

func TestRespawnStorm(t *testing.T) {
	c := &config{respawnWindow: time.Minute, respawnMax: 3}
	h := &history{}
	now := time.Unix(1e9, 0)
	judge := func() sdk.Status { return c.judgeRespawn(h, now, newReport()).Status }
	h.count(3, now)
	if got := judge(); got != sdk.Pass {
		t.Errorf("three of three: %s", got)
	}
	h.count(1, now)
	if got := judge(); got != sdk.Warn {
		t.Errorf("four of three: %s, want a warning", got)
	}
	now = now.Add(time.Minute)
	h.count(4, now)
	if got := judge(); got != sdk.Fail {
		t.Errorf("four of three in two windows: %s, want fail", got)
	}
	now = now.Add(2 * time.Minute)
	if got := judge(); got != sdk.Pass || len(h.respawns) != 0 {
		t.Errorf("long after: %s, %d remembered", got, len(h.respawns))
	}
}

func TestDrain(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := &config{maxOld: 1, maxOldAge: 2 * time.Hour}
	h := &history{}
	f := family{master: proc.Stat{PID: 1, Start: 1}, old: []proc.Stat{{PID: 2}, {PID: 3}}}
	h.see(f, now)
	now = now.Add(time.Hour)
	h.see(f, now)
	r := newReport()
	r.add(part("workers", sdk.Pass, "", "2 workers"))
	r.add(c.judgeDrain(h, now, r))
	if got := r.result(); got.Status != sdk.Warn || got.Code != "OLD_WORKERS" || got.Metrics["old_worker_age_seconds"] != 3600 {
		t.Errorf("%s, %v", text(got), got.Metrics)
	}
	c.maxOld = 2
	if p := c.judgeDrain(h, now, newReport()); p.Status != sdk.Pass {
		t.Errorf("two of two old workers for an hour: %+v", p)
	}
	if p := c.judgeDrain(h, now.Add(2*time.Hour), newReport()); p.Code != "OLD_WORKERS" || !strings.Contains(p.Detail, "for 3h0m0s") {
		t.Errorf("two of two old workers for three hours: %+v", p)
	}
}

// TestAdvisoryPartsNeverDecide holds every such part to what it may do.
func TestAdvisoryPartsNeverDecide(t *testing.T) {
	for name := range advisory {
		for s, want := range map[sdk.Status]sdk.Status{sdk.Fail: sdk.Warn, sdk.Unknown: sdk.Pass, sdk.Warn: sdk.Warn, sdk.Pass: sdk.Pass} {
			r := newReport()
			r.add(part("process", sdk.Pass, "", "master 1"))
			r.add(part(name, s, "X", "x"))
			if got := r.result(); got.Status != want {
				t.Errorf("%s of %s makes %s, want %s", s, name, got.Status, want)
			}
		}
	}
}

// TestSilenceOfOurs tells a frozen nginx from a plugin that was stopped itself.
func TestSilenceOfOurs(t *testing.T) {
	s := start(t)
	w := s.watcher(s.web("/"))
	ctx, cancel := contextWithPast(t)
	defer cancel()
	_, err := w.web.get(ctx)
	if err == nil {
		t.Fatal("an answer after the deadline")
	}
	if got, _, _ := blame(ctx, err, time.Now()); got != sdk.Fail {
		t.Errorf("at the deadline: %s, want fail", got)
	}
	if got, _, _ := blame(ctx, err, time.Now().Add(5*time.Second)); got != sdk.Unknown {
		t.Errorf("long after the deadline: %s, want unknown", got)
	}
}

const stubText = "Active connections: 3 \nserver accepts handled requests\n 15 5 40 \nReading: 0 Writing: 1 Waiting: 2 \n"

func TestLoad(t *testing.T) {
	s, ok := parseStub(stubText)
	if want := (stub{3, 15, 5, 40, 0, 1, 2}); s != want || !ok {
		t.Errorf("parseStub = %v, %v, want %v", s, ok, want)
	}
	c := &config{maxActive: 4, warnRatio: 0.8}
	l := &load{}
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		after time.Duration
		s     stub
		want  string
	}{
		{0, stub{active: 1, accepts: 5, handled: 5}, ""},
		{time.Second, stub{active: 1, accepts: 15, handled: 5}, "DROPPED"},
		{30 * time.Second, stub{active: 1, accepts: 16, handled: 6}, "DROPPED"},
		{time.Minute, stub{active: 1, accepts: 17, handled: 7}, ""},
		{time.Second, stub{active: 4, accepts: 17, handled: 7}, "NEARLY_FULL"},
		{time.Second, stub{active: 1, accepts: 1, handled: 1}, ""}, // started anew
	} {
		now = now.Add(tt.after)
		if p := l.judge(c, tt.s, now, newReport()); p.Code != tt.want {
			t.Errorf("%v: %s, want %q", tt.s, p.Code, tt.want)
		}
	}
}

func FuzzStub(f *testing.F) {
	f.Add(stubText)
	f.Add("")
	f.Add(strings.Replace(stubText, "15", "-1", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := parseStub(text); ok && min(s.active, s.accepts, s.handled, s.requests, s.reading, s.writing, s.waiting) < 0 {
			t.Errorf("parseStub(%q) = %v", text, s)
		}
	})
}

func contextWithPast(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithDeadline(t.Context(), time.Now())
}
