package hcl

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestEveryCheckIsRead has one row per type with all that it has, and one with nothing.
func TestEveryCheckIsRead(t *testing.T) {
	sampled := func(c spec.Check) spec.Check {
		c.Interval, c.Timeout, c.Rise, c.Fall = 2*time.Second, time.Second, 2, 2
		return c
	}
	ok := []spec.StatusRange{{Low: 200, High: 200}}
	for _, c := range []struct {
		src  string
		want spec.Check
	}{
		{`check "tcp" {}`, sampled(spec.Check{Type: "tcp", TCP: &spec.TCPCheck{}})},
		{`check "tcp" {
  interval       = "10s"
  timeout        = "3s"
  retry          = "4s"
  jitter         = "10%"
  rise           = 3
  fall           = 1
  degraded_after = "1s"
  address        = "192.0.2.200"
  port           = 25
  source         = "192.0.2.10"
  dev            = "eth1"
  mark           = "0x7"
  send           = "QUIT\r\n"
  expect         = { contains = "220 " }
  tls            = { name = "mail.example.org", ca_file = "/etc/ssl/ca.pem", cert_file = "/etc/ssl/c.pem", key_file = "/etc/ssl/k.pem" }
}`, spec.Check{
			Type: "tcp", Interval: 10 * time.Second, Timeout: 3 * time.Second, Retry: 4 * time.Second, Jitter: 10, Rise: 3, Fall: 1,
			DegradedAfter: time.Second, Address: netip.MustParseAddr("192.0.2.200"), Port: 25, Source: netip.MustParseAddr("192.0.2.10"), Device: "eth1", Mark: 7,
			TCP: &spec.TCPCheck{Send: []byte("QUIT\r\n"), Expect: "220 "},
			TLS: &spec.TLS{Name: "mail.example.org", CA: "/etc/ssl/ca.pem", Cert: "/etc/ssl/c.pem", Key: "/etc/ssl/k.pem"},
		}},
		{`check "tcp" {
  send_hex = "00ff"
  expect   = { regex = "^220 .*ready" }
}`, sampled(spec.Check{Type: "tcp", TCP: &spec.TCPCheck{Send: []byte{0, 255}, Regex: "^220 .*ready"}})},
		{`check "http" {}`, sampled(spec.Check{Type: "http", HTTP: &spec.HTTPCheck{Method: "GET", Path: "/", Status: ok}})},
		{`check "https" {
  path          = "/health"
  method        = "POST"
  host          = "www.example.org"
  headers       = { X-Probe = "yes" }
  body          = "ping"
  version       = "2"
  redirects     = 3
  dynamic       = true
  weight_header = "X-Weight"
  tls           = { verify = false }
  expect = {
    status       = ["300-399", 200]
    degraded     = [429]
    contains     = "ok"
    not_contains = "maintenance"
    regex        = "o+k"
    digest       = "D41D8CD98F00B204E9800998ECF8427E"
  }
}`, sampled(spec.Check{Type: "https", Dynamic: true, TLS: &spec.TLS{Insecure: true}, HTTP: &spec.HTTPCheck{
			Version: "2", Method: "POST", Path: "/health", Host: "www.example.org", Headers: map[string]string{"X-Probe": "yes"}, Body: "ping",
			Status: []spec.StatusRange{{Low: 200, High: 200}, {Low: 300, High: 399}}, Degraded: []spec.StatusRange{{Low: 429, High: 429}},
			Contains: "ok", NotContains: "maintenance", Regex: "o+k", Digest: "d41d8cd98f00b204e9800998ecf8427e", Redirects: 3, WeightHeader: "X-Weight",
		}})},
		{`check "https" {}`, sampled(spec.Check{Type: "https", TLS: &spec.TLS{}, HTTP: &spec.HTTPCheck{Method: "GET", Path: "/", Status: ok}})},
		{`check "dns" {}`, sampled(spec.Check{Type: "dns", DNS: &spec.DNSCheck{Name: ".", Query: "SOA"}})},
		{`check "dns" {
  name      = "www.example.org"
  query     = "HTTPS"
  transport = "tls"
  expect    = { rcodes = ["NOERROR", "NXDOMAIN"], answer = true, contains = "192.0.2.1" }
}`, sampled(spec.Check{Type: "dns", TLS: &spec.TLS{}, DNS: &spec.DNSCheck{
			Transport: "tls", Name: "www.example.org", Query: "HTTPS", Rcodes: []string{"NOERROR", "NXDOMAIN"}, Answer: true, Contains: "192.0.2.1",
		}})},
		{`check "smtp" {}`, sampled(spec.Check{Type: "smtp", SMTP: &spec.SMTPCheck{Helo: "localhost"}})},
		{`check "smtp" {
  helo     = "probe.example.org"
  starttls = true
}`, sampled(spec.Check{Type: "smtp", TLS: &spec.TLS{}, SMTP: &spec.SMTPCheck{Helo: "probe.example.org", STARTTLS: true}})},
		{`check "ping" { source = "192.0.2.10" }`, sampled(spec.Check{Type: "ping", Source: netip.MustParseAddr("192.0.2.10")})},
		{`check "udp" {}`, sampled(spec.Check{Type: "udp", UDP: &spec.UDPCheck{}})},
		{`check "udp" {
  send_hex = "0001"
  expect   = { reply = "00Xx01", min_bytes = 4, max_bytes = 512 }
}`, sampled(spec.Check{Type: "udp", UDP: &spec.UDPCheck{Payload: []byte{0, 1}, Reply: "00xx01", RequireReply: true, MinReply: 4, MaxReply: 512}})},
		{`check "grpc" {
  service   = "shop.Cart"
  authority = "cart.example.org"
  tls       = {}
}`, sampled(spec.Check{Type: "grpc", TLS: &spec.TLS{}, GRPC: &spec.GRPCCheck{Service: "shop.Cart", Authority: "cart.example.org"}})},
		{`check "redis" {
  user     = "probe"
  password = secret("redis")
  expect   = { role = "master" }
}`, sampled(spec.Check{Type: "redis", Redis: &spec.RedisCheck{User: "probe", Password: "redis", Role: "master"}})},
		{`check "mysql" {}`, sampled(spec.Check{Type: "mysql", SQL: &spec.SQLCheck{}})},
		{`check "postgresql" {
  user     = "probe"
  password = secret("db")
  database = "shop"
}`, sampled(spec.Check{Type: "postgresql", SQL: &spec.SQLCheck{User: "probe", Password: "db", Database: "shop"}})},
		{`check "exec" {
  command = ["/usr/local/bin/probe", "-p", "{port}", "{address}", "{pool}/{server}"]
  dynamic = true
}`, sampled(spec.Check{Type: "exec", Dynamic: true, Exec: &spec.ExecCheck{Command: []string{"/usr/local/bin/probe", "-p", "{port}", "{address}", "{pool}/{server}"}}})},
		{`check "plugin" {
  plugin = "haproxy"
  config = { key = secret("k") }
}`, sampled(spec.Check{Type: "plugin", Plugin: &spec.PluginCheck{Plugin: "haproxy", Config: []byte(`{"key":{"$secret":"k"}}`)}})},
		{`check "file" {
  file    = "/run/weights/{server}"
  dynamic = true
}`, sampled(spec.Check{Type: "file", Dynamic: true, File: &spec.FileCheck{Path: "/run/weights/{server}"}})},
		{`check "bfd" {
  multiplier = 5
  dev        = "eth1"
}`, spec.Check{Type: "bfd", Device: "eth1", Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 1, Fall: 5}},
	} {
		got := compile(t, Tree{"cluster.hcl": []byte(small + "pool \"web\" {\nport = 80\nserver \"rs1\" { address = \"rs1\" }\n" + c.src + "\n}\n")}, Options{})
		if d := cmp.Diff(c.want, got.Pools[0].Checks[0], compareSpec); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.src, d)
		}
	}
}
