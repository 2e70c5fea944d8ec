package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// patient is a timeout for servers on a machine that is busy.
const patient = 20 * time.Second

const aCertificate = ", certificate until 2099-01-02"

func TestNginx(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("good", expires)
	a.client("client")
	d := newDaemon(t, "nginx")
	secure, strict := freePort(t), freePort(t)
	conf := d.write("nginx.conf", strings.NewReplacer("SECURE", secure.String(), "STRICT", strict.String(), "CA", a.dir).Replace(`
daemon off; master_process off; pid DIR/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
	server { listen ADDR;
		location /ok { return 200 "content"; }
		location /agent { return 200 "$server_protocol $http_host $http_x_a $request_method"; }
		location /gone { return 503; }
		location /busy { return 429; }
		location /weight { add_header X-Weight 5; return 200; }
		location /here { return 302 /ok; }
		location /there { return 301 http://192.0.2.1/ok; } }
	server { listen SECURE ssl http2; ssl_certificate CA/good.pem; ssl_certificate_key CA/good.key;
		location / { return 200 "$server_protocol $ssl_server_name"; } }
	server { listen STRICT ssl; ssl_certificate CA/good.pem; ssl_certificate_key CA/good.key;
		ssl_client_certificate CA/authority.pem; ssl_verify_client on;
		location / { return 200 "$ssl_client_s_dn"; } }
}`))
	d.start("nginx", "-c", conf, "-e", "stderr", "-p", d.dir)
	http := func(c spec.HTTPCheck) spec.Check { return spec.Check{Type: "http", Timeout: patient, HTTP: &c} }
	https := func(c spec.HTTPCheck, t spec.TLS) spec.Check {
		return spec.Check{Type: "https", Timeout: patient, HTTP: &c, TLS: &t}
	}
	trust := spec.TLS{CA: a.file}
	for _, tt := range []struct {
		name         string
		check        spec.Check
		addr         netip.AddrPort
		message, err string
	}{
		{"a page", http(spec.HTTPCheck{Path: "/ok", Digest: "9a0364b9e99bb480dd25e1f0284c8555"}), d.addr, "status 200", ""},
		{"HTTP/1.0", http(spec.HTTPCheck{Version: "1.0", Path: "/agent", Host: "www.example.com", Contains: "HTTP/1.0 www.example.com"}), d.addr, "status 200", ""},
		{"a POST", http(spec.HTTPCheck{Method: "POST", Path: "/agent", Headers: map[string]string{"X-A": "b"}, Regex: " b POST$"}), d.addr, "status 200", ""},
		{"a bad status", http(spec.HTTPCheck{Path: "/gone"}), d.addr, "", "status 503, want 2xx"},
		{"a degraded status", http(spec.HTTPCheck{Path: "/busy", Degraded: []spec.StatusRange{{Low: 429, High: 429}}}), d.addr, "status 429", ""},
		{"a redirect", http(spec.HTTPCheck{Path: "/here", Redirects: 1, Contains: "content"}), d.addr, "status 200", ""},
		{"a redirect elsewhere", http(spec.HTTPCheck{Path: "/there", Redirects: 1}), d.addr, "", `redirect to another server: "http://192.0.2.1"`},
		{"no redirect", http(spec.HTTPCheck{Path: "/there", Status: statuses(301)}), d.addr, "status 301", ""},
		{"TLS", https(spec.HTTPCheck{Path: "/", Host: "www.example.com", Contains: "HTTP/1.1 www.example.com"}, trust), secure, "status 200" + aCertificate, ""},
		{"HTTP/2", https(spec.HTTPCheck{Version: "2", Path: "/", Contains: "HTTP/2.0"}, trust), secure, "status 200" + aCertificate, ""},
		{"TLS that is not trusted", https(spec.HTTPCheck{}, spec.TLS{}), secure, "", "certificate signed by unknown authority"},
		{"HTTP on a port of TLS", http(spec.HTTPCheck{}), secure, "", "status 400, want 2xx"},
		{"TLS on a port of HTTP", https(spec.HTTPCheck{}, trust), d.addr, "", "tls: first record does not look like a TLS handshake"},
		{"no certificate", https(spec.HTTPCheck{}, trust), strict, "", "status 400, want 2xx"},
		{"a certificate", https(spec.HTTPCheck{Contains: "CN=client"}, spec.TLS{CA: a.file, Cert: a.path("client.pem"), Key: a.path("client.key")}), strict, "status 200" + aCertificate, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, see(t, tt.check, tt.addr), tt.message, tt.err) })
	}
	weighed := http(spec.HTTPCheck{Path: "/weight", WeightHeader: "x-weight"})
	weighed.Dynamic = true
	if out := see(t, weighed, d.addr); out.Weight != 5 || !out.HasWeight {
		t.Errorf("probe = %+v, want weight 5", out)
	}
}

func TestHaproxy(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "haproxy")
	conf := d.write("haproxy.cfg", `
defaults
	mode http
	retries 0
	timeout connect 1s
	timeout client 5s
	timeout server 5s
frontend web
	bind ADDR
	http-request return status 200 content-type text/plain string fine if { path /ok }
	default_backend none
backend none
	server gone 127.0.0.1:1
`)
	d.start("haproxy", "-db", "-f", conf)
	for _, version := range []string{"1.0", "1.1", "2"} {
		c := spec.Check{Type: "http", Timeout: patient, HTTP: &spec.HTTPCheck{Version: version, Path: "/ok", Contains: "fine"}}
		compare(t, see(t, c, d.addr), "status 200", "")
		c.HTTP.Path = "/"
		compare(t, see(t, c, d.addr), "", "status 503, want 2xx")
	}
}

func TestRealRedis(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("good", expires)
	d := newDaemon(t, "redis-server")
	secure := freePort(t)
	// nobody reads the key: it is of this test alone
	if err := os.Chmod(a.path("good.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.start("redis-server", "--bind", "HOST", "--port", "PORT", "--save", "", "--dir", "DIR", "--requirepass", "secret",
		"--tls-port", secure.String()[strings.LastIndex(secure.String(), ":")+1:], "--tls-auth-clients", "no",
		"--tls-cert-file", a.path("good.pem"), "--tls-key-file", a.path("good.key"), "--tls-ca-cert-file", a.file)
	c := spec.Check{Type: "redis", Timeout: patient, Redis: &spec.RedisCheck{Password: "db", Role: "master"}}
	compare(t, seeWith(t, c, d.addr, secrets), "PONG, master", "")
	c.Redis = &spec.RedisCheck{User: "default", Password: "db", Role: "slave"}
	compare(t, seeWith(t, c, d.addr, secrets), "", `its role is "master", want "slave"`)
	c.Redis = nil
	compare(t, see(t, c, d.addr), "", `answered "NOAUTH Authentication required."`)
	c.Redis = &spec.RedisCheck{Password: "db"}
	c.TLS = &spec.TLS{CA: a.file}
	compare(t, seeWith(t, c, secure, secrets), "PONG"+aCertificate, "")
	wrong := Options{Secret: func(string) ([]byte, error) { return []byte("wrong"), nil }}
	compare(t, seeWith(t, c, secure, wrong), "", `answered "WRONGPASS `)
}

func TestUnbound(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("good", expires)
	d := newDaemon(t, "unbound")
	secure := freePort(t)
	conf := d.write("unbound.conf", strings.NewReplacer("SECURE", strings.Replace(secure.String(), ":", "@", 1), "TLSPORT", secure.String()[strings.LastIndex(secure.String(), ":")+1:], "CA", a.dir).Replace(`
server:
	interface: HOST@PORT
	interface: SECURE
	tls-port: TLSPORT
	tls-service-key: "CA/good.key"
	tls-service-pem: "CA/good.pem"
	access-control: 127.0.0.0/8 allow
	access-control: 127.0.0.2/32 refuse
	directory: "DIR"
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	num-threads: 1
	module-config: "iterator"
	local-zone: "example.com." static
	local-data: "example.com. IN SOA ns.example.com. root.example.com. 1 2 3 4 5"
	local-data: "www.example.com. IN A 192.0.2.80"
	local-data: "www.example.com. IN AAAA 2001:db8::80"
	local-data: 'text.example.com. IN TXT "hello"'
`))
	d.start("unbound", "-d", "-c", conf)
	for _, tt := range []struct {
		name         string
		check        spec.DNSCheck
		message, err string
	}{
		{"A", spec.DNSCheck{Name: "www.example.com", Query: "A", Answer: true, Contains: "192.0.2.80"}, "NOERROR, 1 record", ""},
		{"AAAA", spec.DNSCheck{Name: "www.example.com.", Query: "AAAA", Contains: "2001:db8::80"}, "NOERROR, 1 record", ""},
		{"SOA", spec.DNSCheck{Name: "example.com", Query: "SOA", Answer: true}, "NOERROR, 1 record", ""},
		{"TXT", spec.DNSCheck{Name: "text.example.com", Query: "TXT", Contains: "hello"}, "NOERROR, 1 record", ""},
		{"a type that is not there", spec.DNSCheck{Name: "www.example.com", Query: "MX", Answer: true}, "", "NOERROR without an answer"},
		{"a name that is not there", spec.DNSCheck{Name: "no.example.com", Query: "A"}, "", "NXDOMAIN, want NOERROR"},
		{"a name that must not be there", spec.DNSCheck{Name: "no.example.com", Query: "A", Rcodes: []string{"NXDOMAIN"}}, "NXDOMAIN, 0 records", ""},
	} {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			t.Run(tt.name+"/"+transport, func(t *testing.T) {
				c := spec.Check{Type: "dns", Timeout: patient, DNS: &tt.check}
				addr, message := d.addr, tt.message
				if tt.check.Transport = transport; transport == "tls" {
					c.TLS, addr = &spec.TLS{CA: a.file}, secure
					if message != "" {
						message += aCertificate
					}
				}
				compare(t, see(t, c, addr), message, tt.err)
			})
		}
	}
	refused := spec.Check{Type: "dns", Timeout: patient, Source: netip.MustParseAddr("127.0.0.2"), DNS: &spec.DNSCheck{Name: "www.example.com", Query: "A"}}
	compare(t, see(t, refused, d.addr), "", "REFUSED, want NOERROR")
}

// TestAiosmtpd asks a library's server: Debian's mail servers want the host's configuration.
func TestAiosmtpd(t *testing.T) {
	t.Parallel()
	nstest.Need(t, "/usr/bin/python3")
	a := newAuthority(t)
	a.server("good", expires)
	d := newDaemon(t)
	program := d.write("server.py", `
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP
from aiosmtpd.handlers import Sink
async def main():
    context = None
    if sys.argv[2] == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[3] + "/good.pem", sys.argv[3] + "/good.key")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), tls_context=context, hostname="mx.example.com"), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
`)
	d.start("/usr/bin/python3", program, "PORT", "tls", a.dir)
	c := spec.Check{Type: "smtp", Timeout: patient, SMTP: &spec.SMTPCheck{Helo: "checker.example.com"}}
	out := see(t, c, d.addr)
	if out.Err != nil || !strings.HasPrefix(out.Message, `greeted "mx.example.com `) {
		t.Errorf("probe = %+v", out)
	}
	c.SMTP.STARTTLS, c.TLS = true, &spec.TLS{CA: a.file}
	if out := see(t, c, d.addr); out.Err != nil || !strings.HasSuffix(out.Message, aCertificate) {
		t.Errorf("probe with STARTTLS = %+v", out)
	}
	c.TLS = nil
	compare(t, see(t, c, d.addr), "", "certificate signed by unknown authority")

	plain := newDaemon(t)
	plain.start("/usr/bin/python3", program, "PORT", "plain")
	compare(t, see(t, c, plain.addr), "", "STARTTLS: answered ")
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("good", expires)
	d := newDaemon(t, "mariadbd")
	small := []string{"--no-defaults", "--datadir=DIR/data", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"}
	d.mkdir("data")
	tables, err := os.ReadFile("/usr/share/mysql/mysql_system_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	// What mariadb-install-db does, without what it brings along.
	d.run(strings.NewReader("create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n"+string(tables)),
		"mariadbd", append(small, "--bootstrap", "--innodb-flush-method=nosync")...)
	d.write("init.sql", "create database app;\ncreate user checker@'127.0.0.1' identified by 'secret';\ngrant select on app.* to checker@'127.0.0.1';\n")
	d.start("mariadbd", append(small, "--socket=DIR/socket", "--bind-address=HOST", "--port=PORT", "--skip-name-resolve",
		"--init-file=DIR/init.sql", "--ssl-cert="+a.path("good.pem"), "--ssl-key="+a.path("good.key"))...)
	c := spec.Check{Type: "mysql", Timeout: patient}
	if out := see(t, c, d.addr); out.Err != nil || !strings.Contains(out.Message, "MariaDB") {
		t.Errorf("probe = %+v, want its greeting", out)
	}
	login := func(user, password, database string, tls *spec.TLS) Outcome {
		c.SQL, c.TLS = &spec.SQLCheck{User: user, Password: "db", Database: database}, tls
		return seeWith(t, c, d.addr, Options{Secret: func(string) ([]byte, error) { return []byte(password), nil }})
	}
	compare(t, login("checker", "secret", "", nil), "logged in as checker", "")
	compare(t, login("checker", "secret", "app", &spec.TLS{CA: a.file}), "logged in as checker", "")
	compare(t, login("checker", "secret", "app", &spec.TLS{}), "", "certificate signed by unknown authority")
	compare(t, login("checker", "wrong", "", nil), "", "error 1045: Access denied for user 'checker'@'127.0.0.1'")
	compare(t, login("checker", "secret", "none", nil), "", "error 1044: Access denied for user 'checker'@'127.0.0.1' to database 'none'")
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		nstest.Need(t, "postgres")
		return
	}
	bin := filepath.Dir(found[len(found)-1])
	a := newAuthority(t)
	a.server("good", expires)
	d := newDaemon(t)
	d.write("password", "secret\n")
	d.run(nil, filepath.Join(bin, "initdb"), "-D", "DIR/data", "-U", "checker", "--no-sync", "--no-locale", "-E", "UTF8",
		"--auth=scram-sha-256", "--pwfile=DIR/password")
	for _, name := range []string{"good.pem", "good.key"} {
		d.mine(a.path(name), name)
	}
	d.start(filepath.Join(bin, "postgres"), "-D", "DIR/data", "-k", "DIR", "-h", "HOST", "-p", "PORT", "-F",
		"-c", "ssl=on", "-c", "ssl_cert_file=DIR/good.pem", "-c", "ssl_key_file=DIR/good.key")
	c := spec.Check{Type: "postgresql", Timeout: patient}
	// It listens before it takes anybody in, and says so.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for out := see(t, c, d.addr); out.Err != nil; out = see(t, c, d.addr) {
		compare(t, out, "", "the database system is starting up (57P03)")
		<-tick.C
	}
	compare(t, see(t, c, d.addr), "answered", "")
	c.TLS = &spec.TLS{CA: a.file}
	compare(t, see(t, c, d.addr), "answered"+aCertificate, "")
	login := func(user, password, database string, tls *spec.TLS) Outcome {
		c.SQL, c.TLS = &spec.SQLCheck{User: user, Password: "db", Database: database}, tls
		return seeWith(t, c, d.addr, Options{Secret: func(string) ([]byte, error) { return []byte(password), nil }})
	}
	compare(t, login("checker", "secret", "postgres", nil), "logged in as checker", "")
	compare(t, login("checker", "secret", "postgres", &spec.TLS{CA: a.file}), "logged in as checker", "")
	compare(t, login("checker", "secret", "postgres", &spec.TLS{}), "", "certificate signed by unknown authority")
	compare(t, login("checker", "wrong", "postgres", nil), "", `password authentication failed for user "checker" (28P01)`)
	compare(t, login("checker", "secret", "none", nil), "", `database "none" does not exist (3D000)`)
}

// mkdir makes a folder of the server's own.
func (d *daemon) mkdir(name string) {
	d.t.Helper()
	err := os.Mkdir(d.path(name), 0o700)
	if err == nil && os.Getuid() == 0 {
		err = os.Chown(d.path(name), 65534, 65534)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// mine copies a file that only the server may read.
func (d *daemon) mine(from, name string) {
	d.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(d.path(name), b, 0o600)
	}
	if err == nil && os.Getuid() == 0 {
		err = os.Chown(d.path(name), 65534, 65534)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}
