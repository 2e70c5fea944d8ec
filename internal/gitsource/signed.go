package gitsource

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/hareconcile/hareconcile/internal/signature"
)

// A Verification says by whom every new commit has to be signed.
type Verification struct {
	Allowed []byte    `json:"allowed,omitempty"` // a file of allowed signers
	Keys    [][]byte  `json:"keys,omitempty"`    // armored OpenPGP keys
	Now     time.Time `json:"now"`
}

// maxRange bounds the commits that are new at one time: each signature takes a millisecond.
const maxRange = 10_000

// signed checks that every commit that is new since from, on whatever side of a merge, is
// signed by somebody who may, and returns who signed the tip. It is not enough that the tip is:
// whoever signs it has not looked at all that came with it.
func signed(repo *git.Repository, tip *object.Commit, from string, v *Verification) (by string, err error) {
	trust, err := signature.New(v.Allowed, v.Keys...)
	if err != nil {
		return "", reject("verify", "no commit can be verified: %v (verify in agent.hcl)", err)
	}
	old, err := ancestors(repo, from)
	if err != nil {
		return "", err
	}
	count := 0
	stack, seen := []*object.Commit{tip}, map[plumbing.Hash]bool{tip.Hash: true}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if old[c.Hash] {
			continue
		}
		if count++; count > maxRange {
			return "", reject("verify", "more than %d commits are new since %.12s; set trusted_from in agent.hcl to a later one that you trust", maxRange, from)
		}
		who, err := signer(c, trust, v.Now)
		if err != nil {
			return "", reject("verify", "commit %.12s %q counts for nothing: %s", c.Hash, clean(firstLine(c.Message), 80), clean(err.Error(), 300))
		}
		if c.Hash == tip.Hash {
			by = clean(who, 200)
		}
		err = c.Parents().ForEach(func(p *object.Commit) error {
			if !seen[p.Hash] {
				seen[p.Hash] = true
				stack = append(stack, p)
			}
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("read the parents of %s: %w", c.Hash, err)
		}
	}
	return by, nil
}

// signer returns who signed a commit, if that counts.
func signer(c *object.Commit, trust *signature.Trust, now time.Time) (string, error) {
	o := &plumbing.MemoryObject{}
	if err := c.EncodeWithoutSignature(o); err != nil {
		return "", err
	}
	r, err := o.Reader()
	if err != nil {
		return "", err
	}
	payload, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	return trust.Verify(payload, c.PGPSignature, now)
}

// ancestors returns the commit of that hash, and all that it descends from.
func ancestors(repo *git.Repository, hash string) (map[plumbing.Hash]bool, error) {
	c, err := repo.CommitObject(plumbing.NewHash(hash))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", hash, err)
	}
	out := map[plumbing.Hash]bool{}
	err = object.NewCommitIterCTime(c, nil, nil).ForEach(func(x *object.Commit) error {
		out[x.Hash] = true
		return nil
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out, err
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' {
			return s[:i]
		}
	}
	return s
}
