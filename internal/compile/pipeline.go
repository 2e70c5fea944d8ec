package compile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/hareconcile/hareconcile/internal/gitsource"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

const (
	fetchTimeout = time.Minute // where agent.hcl gives none
	// transient is how long a refusal counts whose cause may lie in this host: its load, or
	// rights on its files.
	transient = 5 * time.Minute
)

// A Pipeline makes revisions of one branch's commits. It is not for concurrent use.
type Pipeline struct {
	cfg spec.Agent
	log *slog.Logger
	// checked is set once the revision that the process started with was compiled again, so
	// that a new release, node name or path takes effect without a new commit.
	checked bool
	// verified is the newest commit that passed and changed nothing since the commit from.
	from, verified string
	answer         answer
}

// An answer is what a question led to; it stands while the question stays the same.
type answer struct {
	tip, base string
	digest    string // of the revision in force, which a repeated question may have become
	revision  *revision.Revision
	refused   *revision.Refused
	until     time.Time // zero: for good
}

// New returns a Pipeline for the source and the host that cfg describes.
func New(cfg spec.Agent, log *slog.Logger) *Pipeline {
	cfg.Source.Timeout = cmp.Or(cfg.Source.Timeout, fetchTimeout)
	return &Pipeline{cfg: cfg, log: log}
}

// Next fetches once and returns the branch's newest commit as a revision, or nil if it
// brings nothing new after last, which is nil on first contact. It returns the same
// *revision.Revision or *revision.Refused again without new work while the branch and last
// stay as they are; any other error means that the remote could not be read.
func (p *Pipeline) Next(ctx context.Context, last *revision.Revision) (*revision.Revision, error) {
	base := p.base(last)
	tip, err := p.fetch(ctx, base, false)
	if err != nil {
		return nil, err
	}
	digest := ""
	if last != nil {
		digest = last.Digest
	}
	if a := p.answer; a.tip == tip && a.base == base && a.digest == digest && (a.until.IsZero() || time.Now().Before(a.until)) {
		if a.refused != nil {
			return nil, a.refused
		}
		return a.revision, nil
	}
	if p.checked && tip == base {
		return nil, nil
	}
	rev, err := p.judge(ctx, tip, base, last)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a := answer{tip: tip, base: base, digest: digest, revision: rev}
	switch {
	case errors.As(err, &a.refused):
		if local := (*refusal)(nil); errors.As(err, &local) {
			a.until = time.Now().Add(transient)
		}
		p.answer = a
		return nil, a.refused
	case err != nil:
		return nil, err
	}
	p.checked = true
	if rev == nil {
		p.from, p.verified = last.Commit, tip
		return nil, nil
	}
	p.answer = a
	return rev, nil
}

// base returns the last verified commit; empty on first contact.
func (p *Pipeline) base(last *revision.Revision) string {
	switch {
	case last == nil:
		return ""
	case p.from == last.Commit:
		return p.verified
	}
	return last.Commit
}

// judge takes a tip from verify to a revision. It returns nil if that equals last.
func (p *Pipeline) judge(ctx context.Context, tip, base string, last *revision.Revision) (rev *revision.Revision, err error) {
	q := gitsource.Request{
		Tip: tip, Base: base, TrustedFrom: p.cfg.TrustedFrom, Path: p.cfg.Source.Path, Reread: !p.checked,
	}
	if q.Verify, err = p.trust(); err != nil {
		return nil, &refusal{&revision.Refused{Commit: tip, Stage: "verify", Reason: err.Error()}}
	}
	s, err := p.verify(ctx, q)
	if err != nil {
		return nil, err
	}
	if s.Unchanged {
		p.log.Debug("commit changes nothing in the cluster's folder", "revision", tip)
		return nil, nil
	}
	cluster, err := p.compile(ctx, s)
	if err != nil {
		return nil, err
	}
	rev = &revision.Revision{
		Ref: p.cfg.Source.Branch, Commit: s.Commit, Subject: s.Subject, Author: s.Author, Committed: s.Committed, SignedBy: s.SignedBy,
		Digest: Digest(cluster), Cluster: cluster, Policies: policyFiles(s.Files, p.cfg.RepoPolicyDir),
	}
	if last != nil && last.Digest == rev.Digest && maps.EqualFunc(last.Policies, rev.Policies, bytes.Equal) {
		return nil, nil
	}
	return rev, nil
}

var safeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

// repository returns where the bare copy is.
func (p *Pipeline) repository() string {
	return filepath.Join(p.cfg.DataDir, "git", p.cfg.Source.Name+".git")
}

// fetch returns the branch's tip. With fresh, it makes a new copy of the repository.
func (p *Pipeline) fetch(ctx context.Context, base string, fresh bool) (string, error) {
	src := p.cfg.Source
	if !safeName.MatchString(src.Name) {
		return "", fmt.Errorf("source name %q cannot be a folder's name", src.Name)
	}
	if err := os.MkdirAll(filepath.Dir(p.repository()), 0o700); err != nil {
		return "", err
	}
	var tip string
	err := jail.Run(ctx, "fetch", jail.Limits{
		Network: true, Files: true, Data: 1 << 30, CPU: 2 * time.Minute, Wall: src.Timeout + 5*time.Second, Log: p.log,
	}, gitsource.Config{
		Dir: p.repository(), URL: src.URL, Branch: src.Branch, Timeout: src.Timeout,
		Identity: src.Identity, KnownHosts: src.KnownHosts, TokenFile: src.TokenFile, CAFile: src.CAFile,
		Keep: base, Fresh: fresh,
	}, &tip)
	var death *jail.DeathError
	switch {
	case errors.As(err, &death):
		return "", fmt.Errorf("fetch %s: %s", src.URL, death.Reason)
	case err != nil:
		return "", fmt.Errorf("fetch %s: %w", src.URL, err)
	}
	return tip, nil
}

// verify judges the tip and reads its files; a copy that cannot be read is made anew once.
func (p *Pipeline) verify(ctx context.Context, q gitsource.Request) (*gitsource.Selection, error) {
	s, err := p.read(ctx, q)
	var death *jail.DeathError
	if err != nil && !errors.As(err, &death) && ctx.Err() == nil {
		p.log.Warn("copy of the repository is damaged; fetching a new one", "err", err)
		tip, ferr := p.fetch(ctx, q.Base, true)
		if ferr != nil {
			return nil, ferr
		}
		if tip != q.Tip {
			return nil, errors.New("the branch moved while its copy was renewed")
		}
		s, err = p.read(ctx, q)
	}
	if err != nil {
		return nil, &refusal{&revision.Refused{Commit: q.Tip, Stage: "verify", Reason: reasonOf(err)}}
	}
	if s.Rejected != nil {
		r := &revision.Refused{Commit: q.Tip, Subject: s.Subject, Stage: s.Rejected.Stage, Reason: s.Rejected.Reason}
		if q.Verify != nil {
			return nil, &refusal{r} // a key may be added, or become valid
		}
		return nil, r
	}
	return s, nil
}

func (p *Pipeline) read(ctx context.Context, q gitsource.Request) (*gitsource.Selection, error) {
	var s gitsource.Selection
	err := jail.Run(ctx, "verify", jail.Limits{
		Dir: p.repository(), CPU: 30 * time.Second, Wall: time.Minute, Log: p.log,
	}, q, &s)
	return &s, err
}

// A refusal is a Refused whose cause may pass although the commit stays as it is.
type refusal struct{ *revision.Refused }

// Unwrap lets errors.As find what is refused.
func (r *refusal) Unwrap() error { return r.Refused }

func reasonOf(err error) string {
	var death *jail.DeathError
	if errors.As(err, &death) {
		if death.Last != "" {
			return death.Reason + " at " + death.Last
		}
		return death.Reason
	}
	return err.Error()
}
