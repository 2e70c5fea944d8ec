package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	gitmemory "github.com/go-git/go-git/v5/storage/memory"

	"github.com/hareconcile/hareconcile/internal/pace"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/internal/webhook"
)

// hookPort is where each simulated agent receives webhooks, on an address of its own.
const hookPort = 9273

// A follower is an agent as far as its git server can tell: it fetches one branch as
// internal/gitsource does, in the agent's rhythm, and when a webhook asks it to.
type follower struct {
	url    string
	listen netip.AddrPort
	rhythm pace.Pace
	hooks  *webhook.Server
	asked  chan struct{} // has room for one token
	store  *gitmemory.Storage
	// seen gets the tip after each fetch that brought another one, and how long the fetch took.
	seen chan<- haul
}

// A haul is a commit that a follower has.
type haul struct {
	commit string
	at     time.Time
	took   time.Duration
	err    error
}

func newFollower(n int, url, secret string, interval time.Duration, seen chan<- haul) *follower {
	f := &follower{
		url: url, listen: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), hookPort),
		rhythm: pace.Pace{Interval: interval, JitterPercent: 10, Node: fmt.Sprintf("node%04d.example.com", n)},
		asked:  make(chan struct{}, 1), store: gitmemory.NewStorage(), seen: seen,
	}
	f.hooks = webhook.New(spec.Webhook{Listen: f.listen, SecretFile: secret}, func() {
		select {
		case f.asked <- struct{}{}:
		default:
		}
	}, slog.New(slog.DiscardHandler))
	return f
}

// run follows the branch until ctx ends.
func (f *follower) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := ""
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.asked:
			asked = true
		}
		start := time.Now()
		tip, err := f.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(f.rhythm.Next(err == nil, asked, rand.Float64()))
		if err == nil && tip == last {
			continue
		}
		last = tip
		select {
		case f.seen <- haul{tip, time.Now(), time.Since(start), err}:
		case <-ctx.Done():
		}
	}
}

// fetch does what gitsource.Fetch does, which is for a process of its own each: it installs
// transports for the whole process.
func (f *follower) fetch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	const ref = "refs/heads/main"
	from := git.NewRemote(f.store, &config.RemoteConfig{Name: "origin", URLs: []string{f.url}})
	err := from.FetchContext(ctx, &git.FetchOptions{RefSpecs: []config.RefSpec{"+" + ref + ":" + ref}, Tags: git.NoTags, Force: true})
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return "", err
	}
	tip, err := f.store.Reference(plumbing.ReferenceName(ref))
	if err != nil {
		return "", err
	}
	return tip.Hash().String(), nil
}

// ring sends a follower the webhook of a push, as a git host does.
func (f *follower) ring(ctx context.Context, secret, commit string) error {
	body := fmt.Sprintf(`{"ref":"refs/heads/main","after":%q}`, commit)
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(m, body) // a hash takes everything
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(f.listen.Addr().String(), fmt.Sprint(hookPort))+"/hook", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("webhook to %s: %s", f.listen, res.Status)
	}
	return nil
}
