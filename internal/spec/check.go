package spec

import (
	"cmp"
	"net/netip"
	"time"
)

// A Check is how every server of a pool is probed. Of the structs, the one of the check's
// type is set, and TLS where the connection is wrapped.
type Check struct {
	Origin Origin `json:"origin"`
	// Type is tcp, http, https, dns, smtp, ping, udp, grpc, redis, mysql, postgresql, exec,
	// plugin, file or bfd.
	Type     string        `json:"type"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	// Retry is the time between two samples while the verdict is about to change; 0 is Interval.
	Retry  time.Duration `json:"retry,omitempty"`
	Jitter int           `json:"jitter,omitempty"` // percent of Interval by which beats wander
	Rise   int           `json:"rise"`
	Fall   int           `json:"fall"`
	// Address and Port are what is asked instead of the server itself.
	Address netip.Addr `json:"address,omitzero"`
	Port    uint16     `json:"port,omitempty"`
	// Source, Device and Mark are of the probe's own packets.
	Source netip.Addr `json:"source,omitzero"`
	Device string     `json:"dev,omitempty"`
	Mark   uint32     `json:"mark,omitempty"`
	// DegradedAfter calls a passing server degraded whose answer took longer; 0 is never.
	DegradedAfter time.Duration `json:"degraded_after,omitempty"`
	// Dynamic takes the server's weight from the check: an exec's exit status less 2, as
	// keepalived's misc_dynamic, a file's number, or an http header.
	Dynamic bool         `json:"dynamic,omitempty"`
	TLS     *TLS         `json:"tls,omitempty"`
	TCP     *TCPCheck    `json:"tcp,omitempty"`
	HTTP    *HTTPCheck   `json:"http,omitempty"`
	DNS     *DNSCheck    `json:"dns,omitempty"`
	UDP     *UDPCheck    `json:"udp,omitempty"`
	SMTP    *SMTPCheck   `json:"smtp,omitempty"`
	GRPC    *GRPCCheck   `json:"grpc,omitempty"`
	SQL     *SQLCheck    `json:"sql,omitempty"`   // mysql, postgresql
	Redis   *RedisCheck  `json:"redis,omitempty"` // redis
	Exec    *ExecCheck   `json:"exec,omitempty"`
	Plugin  *PluginCheck `json:"plugin,omitempty"`
	File    *FileCheck   `json:"file,omitempty"`
}

// Asked returns whom c asks about a server: itself, unless c says otherwise.
func (c Check) Asked(server netip.AddrPort) netip.AddrPort {
	addr := server.Addr()
	if c.Address.IsValid() {
		addr = c.Address
	}
	return netip.AddrPortFrom(addr, cmp.Or(c.Port, server.Port()))
}

// TLS is how a probe speaks TLS. Certificates are verified unless that is switched off.
type TLS struct {
	Insecure bool   `json:"insecure,omitempty"` // verify = false
	Name     string `json:"name,omitempty"`     // SNI, and the name that the certificate has to have
	CA       string `json:"ca,omitempty"`       // path on the host; empty is the host's own set
	// Cert and Key are paths on the host of what the probe shows of itself.
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
}

// TCPCheck is a conversation after connecting.
type TCPCheck struct {
	Send   []byte `json:"send,omitempty"`
	Expect string `json:"expect,omitempty"` // a text that the answer contains
	Regex  string `json:"regex,omitempty"`  // or a pattern (RE2) that it matches
}

// HTTPCheck is a request and what passes of its answers.
type HTTPCheck struct {
	Version string            `json:"version,omitempty"` // "1.0", "1.1" (or empty) or "2"
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Host    string            `json:"host,omitempty"` // the server's address if empty
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// Status are the codes that pass; Degraded those that pass as degraded.
	Status   []StatusRange `json:"status,omitempty"`
	Degraded []StatusRange `json:"degraded,omitempty"`
	// Contains, Regex and Digest are of the body: a text in it, a pattern (RE2) that matches it,
	// and its MD5 in hex as keepalived's genhash prints it. NotContains must not be in it.
	Contains    string `json:"contains,omitempty"`
	NotContains string `json:"not_contains,omitempty"`
	Regex       string `json:"regex,omitempty"`
	Digest      string `json:"digest,omitempty"`
	// Redirects is how many are followed, on the same server; 0 takes them as answers.
	Redirects int `json:"redirects,omitempty"`
	// WeightHeader names the header that has the weight, where the check is dynamic.
	WeightHeader string `json:"weight_header,omitempty"`
}

// A StatusRange is the status codes from Low to High.
type StatusRange struct {
	Low  int `json:"low"`
	High int `json:"high"`
}

// DNSCheck is a question. Any answer with a code of Rcodes passes, and with at least one
// record where Answer is set.
type DNSCheck struct {
	Transport string   `json:"transport,omitempty"` // "udp" (or empty), "tcp" or "tls"
	Name      string   `json:"name"`
	Query     string   `json:"query"`            // A, AAAA, SOA, any type's name
	Rcodes    []string `json:"rcodes,omitempty"` // NOERROR if empty
	Answer    bool     `json:"answer,omitempty"`
	Contains  string   `json:"contains,omitempty"` // a text that a record of the answer contains
}

// UDPCheck is a datagram. Without Reply, silence passes and a refusal (ICMP) fails.
type UDPCheck struct {
	Payload []byte `json:"payload,omitempty"`
	// Reply is hex digits in which x is any digit, as keepalived's require_reply; empty with
	// RequireReply is any answer.
	Reply        string `json:"reply,omitempty"`
	RequireReply bool   `json:"require_reply,omitempty"`
	MinReply     int    `json:"min_reply,omitempty"` // bytes
	MaxReply     int    `json:"max_reply,omitempty"` // bytes; 0 is no bound
}

// SMTPCheck greets. STARTTLS is used where the check has TLS and STARTTLS is set.
type SMTPCheck struct {
	Helo     string `json:"helo"`
	STARTTLS bool   `json:"starttls,omitempty"`
}

// GRPCCheck asks grpc.health.v1.Health.
type GRPCCheck struct {
	Service   string `json:"service,omitempty"`
	Authority string `json:"authority,omitempty"`
}

// SQLCheck is a handshake, and a log-in where there is a user.
type SQLCheck struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"` // name of a secret
	Database string `json:"database,omitempty"`
}

// RedisCheck is PING, after AUTH where there is a password.
type RedisCheck struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"` // name of a secret
	Role     string `json:"role,omitempty"`     // "master" or "slave" (INFO replication); empty is any
}

// ExecCheck is a program of the host: exit status 0 passes.
type ExecCheck struct {
	Command []string `json:"command"` // {address}, {port}, {server} and {pool} stand for the server's
}

// PluginCheck asks a track plugin. Its config gets the server's address and port.
type PluginCheck struct {
	Plugin string `json:"plugin"`
	Config []byte `json:"config,omitempty"` // JSON object, checked against the plugin's schema
}

// FileCheck reads a file of the host: "up" and numbers above 0 pass.
type FileCheck struct {
	Path string `json:"path"` // {server} and {pool} stand for the server's
}
