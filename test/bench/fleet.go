package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/sync/errgroup"
)

// ringers is how many webhooks the git host has under way at once.
const ringers = 100

// A fleet is many simulated agents that follow one git server.
type fleet struct {
	repo      string
	forge     *servant
	secret    string
	followers []*follower
	seen      chan haul
	lines     []string // of the report
}

// fleets returns the part with many agents on one git server: what the server has to do, and
// when the last agent has a push.
func fleets(agents int, interval time.Duration, rounds int) part {
	return func(ctx context.Context, b *bench) error {
		if b.quick {
			agents, interval, rounds = 50, 3*time.Second, 1
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		f, err := newFleet(ctx, b.dir, agents, interval)
		if err != nil {
			return err
		}
		defer f.forge.close()
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		for _, a := range f.followers {
			running.Go(func() { a.run(ctx) })
			running.Go(func() { _ = a.hooks.Run(ctx) }) // it tells in Stats what is wrong
		}
		if err := f.measure(ctx, interval, rounds); err != nil {
			return err
		}
		fmt.Fprintf(b.out, "\n%d agents on one git server (git http-backend over TLS, %d connections at once), interval %v, jitter 10 %%; agents and server on the same processors\n",
			agents, forgePlaces, interval)
		for _, l := range f.lines {
			fmt.Fprintln(b.out, "  "+l)
		}
		return nil
	}
}

// newFleet makes the repository, its server and the agents, which do not run yet.
func newFleet(ctx context.Context, dir string, agents int, interval time.Duration) (*fleet, error) {
	f := &fleet{repo: filepath.Join(dir, "fleet", "cluster.git"), secret: rand.Text(), seen: make(chan haul, agents)}
	if _, err := gitIn(ctx, nil, "init", "-q", "--bare", "-b", "main", f.repo); err != nil {
		return nil, err
	}
	if _, err := f.push(ctx); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "fleet.secret")
	if err := os.WriteFile(file, []byte(f.secret), 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if f.forge, err = startServant(exec.CommandContext(ctx, self, "forge", filepath.Dir(f.repo))); err != nil {
		return nil, err
	}
	var at forgeLoad
	if err := f.forge.ask("", &at); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(at.Cert)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	// Each fetch of a real agent is a process: no connection outlives it.
	client.InstallProtocol("https", githttp.NewClient(&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}))
	for n := range agents {
		f.followers = append(f.followers, newFollower(n, "https://"+at.Address+"/cluster.git", file, interval, f.seen))
	}
	return f, nil
}

// measure has the agents start at once, go on, and follow pushes with and without webhooks.
func (f *fleet) measure(ctx context.Context, interval time.Duration, rounds int) error {
	start := time.Now()
	took, err := f.arrive(ctx, "", start)
	if err != nil {
		return err
	}
	f.report("all start at once", took, time.Since(start))
	if err := sleep(ctx, interval+interval/10); err != nil { // each has found its place
		return err
	}
	var idle forgeLoad
	if err := f.forge.ask("", &idle); err != nil { // what came before is not counted
		return err
	}
	start = time.Now()
	if err := sleep(ctx, 2*interval); err != nil {
		return err
	}
	f.report("nothing is pushed", nil, time.Since(start))
	for n := range rounds {
		if err := f.follow(ctx, fmt.Sprintf("push %d, polled", n+1), false); err != nil {
			return err
		}
	}
	for n := range rounds {
		if err := f.follow(ctx, fmt.Sprintf("push %d, webhooks", n+1), true); err != nil {
			return err
		}
	}
	return nil
}

// follow pushes and waits until every agent has the commit.
func (f *fleet) follow(ctx context.Context, what string, ring bool) error {
	var before forgeLoad
	if err := f.forge.ask("", &before); err != nil {
		return err
	}
	commit, err := f.push(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	if ring {
		g.SetLimit(ringers)
		for _, a := range f.followers {
			g.Go(func() error { return a.ring(gctx, f.secret, commit) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took, err := f.arrive(ctx, commit, start)
	if err != nil {
		return err
	}
	f.report(what, took, time.Since(start))
	return nil
}

// arrive waits until every agent has a commit, or any if it is empty, and returns how long
// after start each one had it.
func (f *fleet) arrive(ctx context.Context, commit string, start time.Time) ([]time.Duration, error) {
	var took []time.Duration
	for len(took) < len(f.followers) {
		select {
		case s := <-f.seen:
			switch {
			case s.err != nil:
				return nil, fmt.Errorf("fetch: %w", s.err)
			case commit == "" || s.commit == commit:
				took = append(took, s.at.Sub(start))
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	slices.Sort(took)
	return took, nil
}

// report adds a line on what the server did in a time, and when the agents had what they wanted.
func (f *fleet) report(what string, took []time.Duration, in time.Duration) {
	var l forgeLoad
	if err := f.forge.ask("", &l); err != nil {
		f.lines = append(f.lines, fmt.Sprintf("%-20s the server does not tell: %v", what, err))
		return
	}
	line := fmt.Sprintf("%-20s %6d requests in %6.1f s, %6.1f/s, busiest second %4d, CPU of the server %5.1f %% (%.1f ms a request)",
		what, l.Requests, in.Seconds(), float64(l.Requests)/in.Seconds(), l.Busiest, 100*l.CPU.Seconds()/in.Seconds(),
		1000*l.CPU.Seconds()/max(1, float64(l.Requests)))
	if n := len(took); n > 0 {
		line += fmt.Sprintf("; first %.2f s, median %.2f s, last %.2f s", took[0].Seconds(), took[n/2].Seconds(), took[n-1].Seconds())
	}
	f.lines = append(f.lines, line)
	fmt.Fprintln(os.Stderr, line)
}

// push commits another definition of the size of examples/lvs-dr.
func (f *fleet) push(ctx context.Context) (string, error) {
	text := fmt.Sprintf("# %s\n%s", rand.Text(), strings.Repeat("# a line of a cluster's definition\n", 100))
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit refs/heads/main\ncommitter bench <bench@localhost> %d +0000\ndata 4\npush\n", time.Now().Unix())
	if _, err := os.Stat(filepath.Join(f.repo, "refs/heads/main")); err == nil {
		b.WriteString("from refs/heads/main^0\n")
	}
	fmt.Fprintf(&b, "M 100644 inline cluster.hcl\ndata %d\n%s\ndone\n", len(text), text)
	if _, err := gitIn(ctx, &b, "--git-dir", f.repo, "fast-import", "--quiet", "--done"); err != nil {
		return "", err
	}
	return gitIn(ctx, nil, "--git-dir", f.repo, "rev-parse", "refs/heads/main")
}

// gitIn runs git with an input and returns what it prints.
func gitIn(ctx context.Context, in *bytes.Buffer, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	if in != nil {
		cmd.Stdin = in
	}
	var msg bytes.Buffer
	cmd.Stderr = &msg
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("git %v: %w", args, err), errors.New(msg.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
