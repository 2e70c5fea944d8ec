package webhook

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// server returns a Server with a secret, without one if that is empty, and the file that holds it.
func server(t testing.TB, secret string) (*Server, string) {
	t.Helper()
	name := ""
	if secret != "" {
		name = filepath.Join(t.TempDir(), "secret")
		write(t, name, secret+"\n")
	}
	return New(spec.Webhook{Listen: netip.MustParseAddrPort("127.0.0.1:0"), SecretFile: name}, func() {}, slog.New(slog.DiscardHandler)), name
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// send has s answer a request and returns the answer's code and whether it asked for a fetch.
func send(s *Server, method string, h http.Header, body string) (code int, asked bool) {
	r := httptest.NewRequest(method, "/hook", strings.NewReader(body))
	r.Header = h
	w := httptest.NewRecorder()
	s.hook(w, r)
	select {
	case <-s.asked:
		return w.Code, true
	default:
		return w.Code, false
	}
}

// headers makes a header of names and values in turn.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for k := 0; k < len(pairs); k += 2 {
		h.Set(pairs[k], pairs[k+1])
	}
	return h
}

func sign(secret, body string) string {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(m, body)
	return hex.EncodeToString(m.Sum(nil))
}

func TestSignatures(t *testing.T) {
	const (
		// docs.github.com, "Validating webhook deliveries", section "Testing the webhook payload validation".
		github, hello = "It's a Secret to Everybody", "Hello, World!"
		sum           = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
		// The reference libraries of Standard Webhooks test with these.
		standard, test = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`
		standardSum    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	std := func(sig string) http.Header {
		return headers("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp", "1614265330", "Webhook-Signature", sig)
	}
	for name, c := range map[string]struct {
		secret, body string
		h            http.Header
		good         bool
	}{
		"GitHub":                              {github, hello, headers("X-Hub-Signature-256", "sha256="+sum), true},
		"Gitea":                               {github, hello, headers("X-Gitea-Signature", sum), true},
		"Forgejo":                             {github, hello, headers("X-Forgejo-Signature", sum), true},
		"any other":                           {github, hello, headers("X-Signature-256", sum), true},
		"any other, with a prefix":            {github, hello, headers("X-Signature-256", "sha256="+sum), true},
		"GitLab's secret token":               {github, hello, headers("X-Gitlab-Token", github), true},
		"GitLab's signing token":              {standard, test, std(standardSum), true},
		"one of two signatures":               {standard, test, std("v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= " + standardSum), true},
		"one right header beside a wrong one": {github, hello, headers("X-Gitea-Signature", strings.Repeat("0", 64), "X-Hub-Signature-256", "sha256="+sum), true},

		"no signature":             {github, hello, nil, false},
		"another body":             {github, hello + " ", headers("X-Hub-Signature-256", "sha256="+sum), false},
		"another secret":           {github + "!", hello, headers("X-Hub-Signature-256", "sha256="+sum), false},
		"half a signature":         {github, hello, headers("X-Hub-Signature-256", "sha256="+sum[:32]), false},
		"an empty signature":       {github, hello, headers("X-Hub-Signature-256", "sha256="), false},
		"SHA-1":                    {github, hello, headers("X-Hub-Signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"), false},
		"an empty token":           {github, hello, headers("X-Gitlab-Token", ""), false},
		"another token":            {github, hello, headers("X-Gitlab-Token", "It's a Secret to everybody"), false},
		"another id":               {standard, test, headers("Webhook-Id", "msg", "Webhook-Timestamp", "1614265330", "Webhook-Signature", standardSum), false},
		"a key that is no key":     {"whsec_!", test, std(standardSum), false},
		"the fifth signature":      {standard, test, std(strings.Repeat("v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ", 4) + standardSum), false},
		"an unknown version":       {standard, test, std("v2" + standardSum[2:]), false},
		"a token where an HMAC is": {sum, hello, headers("X-Hub-Signature-256", "sha256="+sum), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := server(t, c.secret)
			want := http.StatusForbidden
			if c.good {
				want = http.StatusAccepted
			}
			if code, asked := send(s, http.MethodPost, c.h, c.body); code != want || asked != c.good {
				t.Errorf("answer %d, asked = %t; want %d, %t", code, asked, want, c.good)
			}
			if st := s.Stats(); st.Accepted+st.Refused != 1 || (st.Accepted == 1) != c.good || st.LastAccepted.IsZero() == c.good {
				t.Errorf("Stats() = %+v, want one request that is accepted = %t", st, c.good)
			}
		})
	}
}

func TestWithoutASecretAnyPostCounts(t *testing.T) {
	s, _ := server(t, "")
	for _, body := range []string{"", "{", strings.Repeat("x", maxBody)} {
		if code, asked := send(s, http.MethodPost, nil, body); code != http.StatusAccepted || !asked {
			t.Errorf("answer %d, asked = %t to %d bytes; want %d, true", code, asked, len(body), http.StatusAccepted)
		}
	}
	for _, c := range []struct {
		method, body string
		want         int
	}{
		{http.MethodGet, "", http.StatusMethodNotAllowed}, {http.MethodHead, "", http.StatusMethodNotAllowed}, {http.MethodPut, "x", http.StatusMethodNotAllowed},
		{http.MethodPost, strings.Repeat("x", maxBody+1), http.StatusRequestEntityTooLarge},
	} {
		if code, asked := send(s, c.method, nil, c.body); code != c.want || asked {
			t.Errorf("answer %d, asked = %t to %s of %d bytes; want %d, false", code, asked, c.method, len(c.body), c.want)
		}
	}
}

func TestTheSecretMayChange(t *testing.T) {
	s, name := server(t, "old")
	try := func(secret string) int {
		code, _ := send(s, http.MethodPost, headers("X-Gitea-Signature", sign(secret, "x")), "x")
		return code
	}
	write(t, name, "new\n")
	if o, n := try("old"), try("new"); o != http.StatusForbidden || n != http.StatusAccepted {
		t.Errorf("answers %d to the old secret and %d to the new one, want 403 and 202", o, n)
	}
	for _, broken := range []func() error{
		func() error { return os.Chmod(name, 0o604) },
		func() error { return os.Truncate(name, 0) },
		func() error { return os.Remove(name) },
	} {
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		if code := try("new"); code != http.StatusServiceUnavailable || !strings.Contains(s.Stats().Error, name) {
			t.Errorf("answer %d and error %q, want 503 and what is wrong with %s", code, s.Stats().Error, name)
		}
	}
	write(t, name, "newer")
	if code := try("newer"); code != http.StatusAccepted || s.Stats().Error != "" {
		t.Errorf("answer %d and error %q once the secret is back, want 202 and none", code, s.Stats().Error)
	}
}

// TestAStormIsAFewFetches counts the fetches for a thousand requests in ten seconds, and looks
// that one comes after the last request.
func TestAStormIsAFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched []time.Time
		s := New(spec.Webhook{}, func() { fetched = append(fetched, time.Now()) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { defer close(done); s.forward(ctx) }()
		s.ask()
		synctest.Wait()
		if len(fetched) != 1 {
			t.Fatalf("%d fetches at once after one request, want 1", len(fetched))
		}
		for range 1000 {
			<-time.After(refill / 1000)
			s.ask()
		}
		last := time.Now()
		<-time.After(time.Hour)
		cancel()
		<-done
		if n := len(fetched); n > burst+3 || fetched[n-1].Before(last) {
			t.Errorf("%d fetches, the last %v after the last request; want at most %d, and one after it", n, fetched[n-1].Sub(last), burst+3)
		}
	})
}

// conns is a listener of connections that are there already.
type conns chan net.Conn

func (c conns) Accept() (net.Conn, error) {
	if conn, ok := <-c; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (c conns) Close() error   { return nil }
func (c conns) Addr() net.Addr { return &net.TCPAddr{} }

// TestNobodyHoldsAConnection has senders that stop in the header and in the body.
func TestNobodyHoldsAConnection(t *testing.T) {
	for said, within := range map[string]time.Duration{
		"":                         headerWait,
		"POST /hook HTTP/1.1\r\nX": headerWait,
		"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345": requestWait,
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := server(t, "")
			ours, theirs := net.Pipe()
			c := make(conns, 1)
			c <- theirs
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.serve(ctx, c) }()
			start := time.Now()
			if _, err := io.WriteString(ours, said); err != nil {
				t.Fatal(err)
			}
			_, err := io.Copy(io.Discard, ours)
			if took := time.Since(start); err != nil || took > within+time.Second {
				t.Errorf("%q held a connection for %v (%v), want %v", said, took, err, within)
			}
			if len(s.asked) > 0 {
				t.Errorf("%q asked for a fetch", said)
			}
			cancel()
			close(c)
			<-done
		})
	}
}

// pair writes a certificate for 127.0.0.1 and its key, and returns what trusts it.
func pair(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, cert, string(text))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// TestOverTLS sends webhooks over loopback, and once more after the certificate was replaced.
func TestOverTLS(t *testing.T) {
	s, _ := server(t, "hunter2")
	dir := t.TempDir()
	s.cfg.CertFile, s.cfg.KeyFile = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx, l) }()
	ask := func(trust *x509.CertPool) (*http.Response, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.Addr().String()+"/any", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = headers("X-Gitea-Signature", sign("hunter2", "x"))
		res, err := c.Do(r)
		if err == nil {
			res.Body.Close()
		}
		return res, err
	}
	for range 2 {
		res, err := ask(pair(t, s.cfg.CertFile, s.cfg.KeyFile))
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusAccepted || res.ProtoMajor != 1 {
			t.Errorf("answer %s over %s, want 202 over HTTP/1.1", res.Status, res.Proto)
		}
	}
	if err := os.Chmod(s.cfg.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(nil); err == nil || s.Stats().Refused != 1 || !strings.Contains(s.Stats().Error, s.cfg.KeyFile+" is open to everybody") {
		t.Errorf("with a key that everybody may read: %v and %+v, want an error that names it", err, s.Stats())
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve = %v after the end, want nil", err)
	}
}

// TestRunSurvivesWhatIsMissing: nothing about a webhook ends the agent.
func TestRunSurvivesWhatIsMissing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]spec.Webhook{
		"the port is taken":       {Listen: netip.MustParseAddrPort(taken.Addr().String())},
		"there is no secret":      {Listen: netip.MustParseAddrPort("127.0.0.1:0"), SecretFile: "/nonexistent/secret"},
		"there is no certificate": {Listen: netip.MustParseAddrPort("127.0.0.1:0"), CertFile: "/nonexistent/cert", KeyFile: "/nonexistent/key"},
	} {
		r, w := io.Pipe()
		s := New(c, func() {}, slog.New(slog.NewTextHandler(w, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil || !strings.Contains(line, "polled all the same") {
			t.Errorf("%s: logged %q, %v, want that nothing else changes", name, line, err)
		}
		cancel()
		r.Close()
		if err := <-done; err != nil || s.Stats().Error == "" {
			t.Errorf("%s: Run = %v with error %q, want nil and what is wrong", name, err, s.Stats().Error)
		}
	}
}

// FuzzHook: whatever is sent, nobody is believed who does not know the secret.
func FuzzHook(f *testing.F) {
	const secret = "hunter2"
	f.Add("X-Hub-Signature-256", "sha256="+sign(secret, "x"), "x")
	f.Add("X-Gitlab-Token", secret, "")
	f.Add("Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,", "{}")
	f.Add("X-Signature-256", "sha256=", strings.Repeat("x", 100))
	f.Add("Content-Length", "-1", "")
	s, _ := server(f, secret)
	f.Fuzz(func(t *testing.T, name, value, body string) {
		code, asked := send(s, http.MethodPost, http.Header{http.CanonicalHeaderKey(name): {value}}, body)
		knows := value == secret || strings.TrimPrefix(strings.ToLower(value), "sha256=") == sign(secret, body)
		if asked != (code == http.StatusAccepted) || asked && !knows {
			t.Errorf("answer %d, asked = %t to %q: %q with %q", code, asked, name, value, body)
		}
	})
}
