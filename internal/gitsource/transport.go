package gitsource

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

const (
	dialTimeout   = 15 * time.Second
	maxCredential = 64 << 10 // bytes of a key, a token or a CA file
)

// prepare installs the one transport that r needs, in this process, and returns its
// credentials. go-git's own defaults (agents, ~/.ssh, ssh_config, `git` executables,
// redirects) do not take part.
func prepare(r remote, c Config) (transport.AuthMethod, error) {
	for _, p := range []string{"git", "http"} {
		client.InstallProtocol(p, nil)
	}
	switch r.protocol {
	case "ssh":
		gitssh.DefaultSSHConfig = nil
		client.InstallProtocol("ssh", gitssh.NewClient(nil))
		return sshAuth(r, c)
	case "https":
		h, err := httpsClient(c)
		if err != nil {
			return nil, err
		}
		client.InstallProtocol("https", githttp.NewClient(h))
		return httpsAuth(r, c)
	}
	client.InstallProtocol("file", server.NewClient(loader{}))
	return nil, nil
}

// sshAuth demands both a key and known hosts: nobody is asked and nothing is trusted on first use.
func sshAuth(r remote, c Config) (transport.AuthMethod, error) {
	if c.Identity == "" {
		return nil, errors.New("an ssh url needs identity_file")
	}
	if c.KnownHosts == "" {
		return nil, errors.New("an ssh url needs known_hosts_file")
	}
	key, err := readCredential("identity_file", c.Identity)
	if err != nil {
		return nil, err
	}
	auth, err := gitssh.NewPublicKeys(r.user, key, "")
	if err != nil {
		return nil, fmt.Errorf("identity_file %s: %w", c.Identity, err)
	}
	if _, err := readCredential("known_hosts_file", c.KnownHosts); err != nil {
		return nil, err
	}
	db, err := gitssh.NewKnownHostsDb(c.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("known_hosts_file %s: %w", c.KnownHosts, err)
	}
	check := db.HostKeyCallback()
	auth.HostKeyCallback = func(host string, addr net.Addr, key ssh.PublicKey) error {
		err := check(host, addr, key)
		var unknown *knownhosts.KeyError
		if !errors.As(err, &unknown) {
			return err
		}
		if len(unknown.Want) == 0 {
			return fmt.Errorf("host %s is not in %s (it shows %s)", host, c.KnownHosts, ssh.FingerprintSHA256(key))
		}
		return fmt.Errorf("host %s shows %s, which is not its key in %s", host, ssh.FingerprintSHA256(key), c.KnownHosts)
	}
	auth.HostKeyAlgorithms = db.HostKeyAlgorithms(r.host)
	return auth, nil
}

func httpsAuth(r remote, c Config) (transport.AuthMethod, error) {
	if c.TokenFile == "" {
		return nil, nil
	}
	b, err := readCredential("token_file", c.TokenFile)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return nil, fmt.Errorf("token_file %s must hold one line", c.TokenFile)
	}
	return &githttp.BasicAuth{Username: r.user, Password: token}, nil
}

// httpsClient trusts ca_file alone if there is one, and follows no redirect to another host.
func httpsClient(c Config) (*http.Client, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: c.Timeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
	}
	if c.CAFile != "" {
		pem, err := readCredential("ca_file", c.CAFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate", c.CAFile)
		}
	}
	return &http.Client{Transport: t, CheckRedirect: sameOrigin}, nil
}

func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Scheme != "https" || req.URL.Host != first.Host {
		return fmt.Errorf("the server redirects to %s://%s: refused", req.URL.Scheme, req.URL.Host)
	}
	if len(via) > 3 {
		return errors.New("the server redirects more than 3 times: refused")
	}
	return nil
}

func readCredential(what, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(b) > maxCredential {
		return nil, fmt.Errorf("%s %s is longer than %d bytes", what, name, maxCredential)
	}
	return b, nil
}

// loader serves repositories of this host within the process, so that file:// runs no program.
type loader struct{}

// Load implements server.Loader.
func (loader) Load(ep *transport.Endpoint) (storer.Storer, error) {
	dir := ep.Path
	if i, err := os.Stat(dir + "/.git"); err == nil && i.IsDir() {
		dir += "/.git"
	}
	for _, part := range []string{"HEAD", "objects"} {
		if _, err := os.Stat(dir + "/" + part); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, transport.ErrRepositoryNotFound
			}
			return nil, err
		}
	}
	return filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault()), nil
}
