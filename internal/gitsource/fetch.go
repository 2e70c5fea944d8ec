// Package gitsource follows one branch of a git repository without ever checking it out: it
// fetches into a bare repository, judges whether a tip may follow what was trusted before,
// and reads a folder's files from the object store.
//
// Everything here is meant to run in the children of package jail: Fetch with network and
// credentials, Select without either.
package gitsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// A Config says what to fetch, from where and with what.
type Config struct {
	Dir        string        `json:"dir"` // the bare repository; created if missing
	URL        string        `json:"url"` // file, ssh or https; an absolute path is a file
	Branch     string        `json:"branch"`
	Timeout    time.Duration `json:"timeout"` // for the whole fetch
	Identity   string        `json:"identity_file,omitempty"`
	KnownHosts string        `json:"known_hosts_file,omitempty"`
	TokenFile  string        `json:"token_file,omitempty"`
	CAFile     string        `json:"ca_file,omitempty"`
	// Keep is a commit whose history must stay in Dir although the branch may lose it.
	Keep string `json:"keep,omitempty"`
	// Fresh makes a new copy and replaces Dir with it once it is complete.
	Fresh bool `json:"fresh,omitempty"`
}

const (
	localRef = "refs/heads/"
	keepRef  = plumbing.ReferenceName("refs/hareconcile/keep")
	grace    = 500 * time.Millisecond
	maxPacks = 50 // each fetch adds a pack; whenever it adds so many, they are made one
)

// Fetch brings Dir up to date with the branch, wherever that moved, and returns the hash of
// its tip. A Dir that is damaged is replaced by a new copy. Fetch changes go-git's global
// transports and may leave a goroutine behind when its time is up: call it in a process of its own.
func Fetch(ctx context.Context, c Config, progress func(string)) (string, error) {
	r, err := parseRemote(c.URL)
	if err != nil {
		return "", err
	}
	if err := plumbing.NewBranchReferenceName(c.Branch).Validate(); err != nil {
		return "", fmt.Errorf("branch %q is no branch name", c.Branch)
	}
	auth, err := prepare(r, c)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	f := fetcher{config: c, pack: (*git.Repository).RepackObjects, options: git.FetchOptions{
		RemoteURL: r.url,
		RefSpecs:  []config.RefSpec{config.RefSpec("+" + localRef + c.Branch + ":" + localRef + c.Branch)},
		Auth:      auth,
		Tags:      git.NoTags,
		Force:     true,
	}}
	progress("asking " + c.URL)
	return f.run(ctx)
}

// run fetches until ctx ends, and repacks if then there is time left.
func (f *fetcher) run(ctx context.Context) (string, error) {
	type result struct {
		tip string
		err error
	}
	done := make(chan result, 1) // so that a fetch that ends late is not stuck
	go func() {
		tip, err := f.fetch(ctx)
		done <- result{tip, err}
	}()
	select {
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(grace): // an ssh handshake does not look at ctx
		}
		return "", fmt.Errorf("no answer within %v", f.config.Timeout)
	case res := <-done:
		if ctx.Err() != nil && res.err != nil {
			return "", fmt.Errorf("no answer within %v", f.config.Timeout)
		}
		if res.err == nil && f.news {
			f.repack(ctx)
		}
		return res.tip, res.err
	}
}

type fetcher struct {
	config  Config
	options git.FetchOptions
	pack    func(*git.Repository, *git.RepackConfig) error
	news    bool // the branch was elsewhere before
}

// fetch updates the repository in place, or makes it anew where that is asked for or needed.
func (f *fetcher) fetch(ctx context.Context) (string, error) {
	dir := f.config.Dir
	if _, err := os.Stat(dir); err == nil && !f.config.Fresh {
		if err := removeLeftovers(dir); err != nil {
			return "", err
		}
		tip, err := f.update(ctx, dir)
		if err == nil {
			return tip, nil
		}
		// What came before the disk was full would keep it full until the next fetch.
		err = errors.Join(err, removeLeftovers(dir))
		if ctx.Err() != nil || intact(dir, f.config.Branch) {
			return "", err
		}
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	tip, err := f.update(ctx, fresh)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	if err := replace(dir, fresh); err != nil {
		return "", err
	}
	return tip, nil
}

// update fetches into the repository at dir, which it creates if missing.
func (f *fetcher) update(ctx context.Context, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // the folder above it is closed to others
		return "", err
	}
	repo, err := open(dir)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.Init(store(dir), nil)
	}
	if err != nil {
		return "", fmt.Errorf("open %s: %w", dir, err)
	}
	options := f.options
	from := git.NewRemote(repo.Storer, &config.RemoteConfig{Name: "origin", URLs: []string{options.RemoteURL}})
	err = from.FetchContext(ctx, &options)
	var missing git.NoMatchingRefSpecError
	switch {
	case errors.As(err, &missing):
		return "", fmt.Errorf("there is no branch %q", f.config.Branch)
	case err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate):
		return "", explain(err, f.config)
	}
	f.news = err == nil
	ref, err := repo.Reference(plumbing.ReferenceName(localRef+f.config.Branch), false)
	if err != nil {
		return "", fmt.Errorf("read the fetched branch: %w", err)
	}
	if keep := plumbing.NewHash(f.config.Keep); repo.Storer.HasEncodedObject(keep) == nil {
		if err := repo.Storer.SetReference(plumbing.NewHashReference(keepRef, keep)); err != nil {
			return "", fmt.Errorf("keep %.12s: %w", f.config.Keep, err)
		}
	}
	return ref.Hash().String(), nil
}

// repack makes one pack of many, if there is time for it. It is a courtesy to the disk: with
// large files it takes longer than any fetch, and must not stand in the way of one.
func (f *fetcher) repack(ctx context.Context) {
	packs, err := filepath.Glob(filepath.Join(f.config.Dir, "objects/pack/*.pack"))
	if err != nil || len(packs) == 0 || len(packs)%maxPacks != 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if repo, err := open(f.config.Dir); err == nil {
			_ = f.pack(repo, &git.RepackConfig{}) // the old packs are deleted last
		}
	}()
	select {
	case <-done:
	case <-ctx.Done(): // what is half made goes with the next fetch
	}
}

func store(dir string) *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRU(32*cache.MiByte))
}

func open(dir string) (*git.Repository, error) { return git.Open(store(dir), nil) }

// intact reports whether what the repository says of the branch can be read: if so, a fetch
// that failed did so for the remote's sake.
func intact(dir, branch string) bool {
	repo, err := open(dir)
	if err != nil {
		return false
	}
	refs, err := repo.References()
	if err == nil {
		err = refs.ForEach(func(*plumbing.Reference) error { return nil })
	}
	if err != nil {
		return false // one is torn, and every fetch reads them all
	}
	ref, err := repo.Reference(plumbing.ReferenceName(localRef+branch), false)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return true // nothing was fetched yet
	}
	if err != nil {
		return false
	}
	commit, err := repo.CommitObject(ref.Hash())
	if err != nil {
		return false
	}
	_, err = commit.Tree()
	return err == nil
}

// removeLeftovers deletes what a fetch that was killed had not finished.
func removeLeftovers(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "objects/pack/tmp_*"))
	if err != nil {
		return err
	}
	for _, n := range append(names, older(dir)) {
		if err := os.RemoveAll(n); err != nil {
			return err
		}
	}
	return nil
}

// older returns where replace keeps what it replaces until that is done.
func older(dir string) string { return strings.TrimSuffix(dir, "/") + ".old" }

// replace puts the repository at fresh in the place of dir.
func replace(dir, fresh string) error {
	old := older(dir)
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return os.RemoveAll(old)
}
