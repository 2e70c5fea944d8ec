package gitsource

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// A remote is a validated address of a repository.
type remote struct {
	protocol string // "file", "ssh" or "https"
	url      string // in the form that go-git takes
	host     string // host:port for ssh
	user     string
}

// scpLike is git's short form of an ssh address, user@host:path.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+)@([A-Za-z0-9.-]+):([^/:].*|/.*)$`)

// parseRemote accepts file, ssh and https addresses and absolute paths, and nothing else:
// go-git and git know transports that run programs or send in the clear.
func parseRemote(address string) (remote, error) {
	if filepath.IsAbs(address) {
		return remote{protocol: "file", url: "file://" + filepath.Clean(address)}, nil
	}
	if !strings.Contains(address, "://") {
		m := scpLike.FindStringSubmatch(address)
		if m == nil {
			return remote{}, fmt.Errorf("url %q is no file, ssh or https address and no absolute path", address)
		}
		return remote{protocol: "ssh", url: address, host: m[2] + ":22", user: m[1]}, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return remote{}, errors.New("url cannot be parsed") // url.Error repeats it, perhaps with a password
	}
	if _, ok := u.User.Password(); ok {
		return remote{}, errors.New("url holds a password: put it into token_file instead")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return remote{}, fmt.Errorf("url %q: file:// needs an absolute path and no host", address)
		}
		return remote{protocol: "file", url: "file://" + filepath.Clean(u.Path)}, nil
	case "ssh", "https":
		if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
			return remote{}, fmt.Errorf("url %q needs a host and takes no query and no fragment", address)
		}
		r := remote{protocol: u.Scheme, url: address, user: u.User.Username(), host: u.Host}
		if r.user == "" {
			r.user = "git"
		}
		if u.Port() == "" {
			r.host = u.Host + ":22"
		}
		return r, nil
	}
	return remote{}, fmt.Errorf("url %q: scheme %q is not supported; use file, ssh or https", address, u.Scheme)
}

// explain adds what to do to the errors that people meet first.
func explain(err error, c Config) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		if c.TokenFile == "" {
			return fmt.Errorf("%w: set token_file", err)
		}
		return fmt.Errorf("%w: the token in %s is not accepted", err, c.TokenFile)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return errors.New("repository not found")
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return errors.New("the repository has no commit yet")
	}
	return err
}
