package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

const (
	maxBody = 64 << 10
	maxHead = 16 << 10
	maxCA   = 1 << 20
	// late is how long after a deadline nginx's silence can still be told from ours.
	late = 500 * time.Millisecond
)

// A target is a URL, how to ask for it, and what is a good answer.
type target struct {
	url, host, sni string
	status         [][2]int // from, to
	body           string
	timeout        time.Duration
	ca             string
	insecure       bool
}

// An answer is what came back from a URL.
type answer struct {
	status int
	server string // nginx's name and version, if it tells
	body   []byte
	took   time.Duration
}

// get asks once, without redirects, proxies, or a connection from before.
func (t target) get(ctx context.Context) (answer, error) {
	begin := time.Now()
	conf, err := t.tls()
	if err != nil {
		return answer{}, err
	}
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf, MaxResponseHeaderBytes: maxHead}
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return answer{}, err
	}
	if t.host != "" {
		req.Host = t.host
	}
	req.Header.Set("User-Agent", "hareconcile-plugin-nginx")
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return answer{resp.StatusCode, resp.Header.Get("Server"), body, time.Since(begin)}, err
}

// errCA is what the error is where the authorities cannot be read.
var errCA = errors.New("no authorities to trust")

func (t target) tls() (*tls.Config, error) {
	u, err := url.Parse(t.url)
	if err != nil {
		return nil, err
	}
	name := t.sni
	if name == "" {
		name = u.Hostname()
		if t.host != "" {
			name = (&url.URL{Host: t.host}).Hostname()
		}
	}
	conf := &tls.Config{ServerName: name, InsecureSkipVerify: t.insecure, MinVersion: tls.VersionTLS12}
	if t.ca == "" {
		return conf, nil
	}
	f, err := os.Open(t.ca)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCA, err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCA))
	conf.RootCAs = x509.NewCertPool()
	if err != nil || !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w in %s", errCA, t.ca)
	}
	return conf, nil
}

// address returns host and port of a URL.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// judge makes the part of the answer to a GET.
func (t target) judge(ctx context.Context, a answer, err error) sdk.Part {
	const name = "http"
	if err != nil {
		s, code, text := blame(ctx, err, time.Now())
		return part(name, s, code, "GET %s: %s", t.url, text)
	}
	good := false
	for _, s := range t.status {
		good = good || s[0] <= a.status && a.status <= s[1]
	}
	switch {
	case !good:
		return part(name, sdk.Fail, "HTTP_STATUS", "GET %s: status %d, want %s", t.url, a.status, t.wanted())
	case t.body != "" && !strings.Contains(string(a.body), t.body):
		return part(name, sdk.Fail, "HTTP_BODY", "GET %s: %.60q is not in the answer", t.url, t.body)
	}
	return part(name, sdk.Pass, "", "GET %s: status %d", t.url, a.status)
}

func (t target) wanted() string {
	var out []string
	for _, s := range t.status {
		if s[0] == s[1] {
			out = append(out, fmt.Sprint(s[0]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", s[0], s[1]))
		}
	}
	return strings.Join(out, ", ")
}

// ours are the errors of a connection that say nothing about nginx.
var ours = []error{
	errCA, context.Canceled, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
	syscall.EACCES, syscall.EPERM, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH, syscall.ENETDOWN,
}

// blame says whether nginx or this plugin is to blame for no answer, and in what words.
func blame(ctx context.Context, err error, now time.Time) (sdk.Status, string, string) {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	for _, e := range ours {
		if errors.Is(err, e) {
			return sdk.Unknown, "HTTP_UNKNOWN", err.Error()
		}
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return sdk.Unknown, "HTTP_UNKNOWN", err.Error()
	}
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return sdk.Fail, "HTTP_TLS", err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		// Long after the deadline this process was not running itself, after SIGSTOP for
		// instance, and the answer may well have come.
		if d, ok := ctx.Deadline(); ok && now.Sub(d) > late {
			return sdk.Unknown, "HTTP_UNKNOWN", fmt.Sprintf("this host was busy or stopped for %v", now.Sub(d).Round(time.Millisecond))
		}
		return sdk.Fail, "HTTP_TIMEOUT", "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return sdk.Fail, "HTTP_REFUSED", "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return sdk.Fail, "HTTP_RESET", "closed without an answer, as when worker_connections is used up"
	}
	return sdk.Fail, "HTTP_ERROR", err.Error()
}
