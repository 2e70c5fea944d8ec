package gitsource

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A Request asks whether a tip may be taken.
type Request struct {
	Tip string `json:"tip"`
	// Base is the last verified commit; empty on first contact.
	Base string `json:"base,omitempty"`
	// TrustedFrom is the first commit that the host's owner trusts, at least 7 digits.
	TrustedFrom string `json:"trusted_from,omitempty"`
	Path        string `json:"path"` // folder of cluster.hcl; "" is the root
	// Verify says who has to have signed every new commit; nil asks for no signature.
	Verify *Verification `json:"verify,omitempty"`
	// Reread asks for the files even if nothing changed since Base.
	Reread bool `json:"reread,omitempty"`
}

// A Selection is a tip that may be taken, and its files.
type Selection struct {
	Commit    string    `json:"commit"`
	Subject   string    `json:"subject"`
	Author    string    `json:"author"`
	Committed time.Time `json:"committed"`
	// SignedBy is who signed it, if that was asked; empty of a commit that is trusted by its hash.
	SignedBy string `json:"signed_by,omitempty"`
	// Unchanged says that no file below Path that counts differs from Base; Files is nil then.
	Unchanged bool              `json:"unchanged,omitempty"`
	Files     map[string][]byte `json:"files,omitempty"`
	// Rejected says at which stage (select or verify) and why the tip may not be taken.
	Rejected *Rejection `json:"rejected,omitempty"`
}

// A Rejection is why a tip may not be taken. Any other error of Select means that the
// repository could not be read.
type Rejection struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
}

// Error implements error.
func (r *Rejection) Error() string { return r.Reason }

func reject(stage, format string, args ...any) error {
	return &Rejection{Stage: stage, Reason: fmt.Sprintf(format, args...)}
}

// Select judges a tip in the bare repository at dir and reads its files.
func Select(dir string, q Request) (*Selection, error) {
	repo, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	tip, err := repo.CommitObject(plumbing.NewHash(q.Tip))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", q.Tip, err)
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(tip.Message), "\n")
	s := &Selection{
		Commit:    q.Tip,
		Subject:   clean(subject, 200),
		Author:    clean(tip.Author.Name+" <"+tip.Author.Email+">", 200),
		Committed: tip.Committer.When.UTC(),
	}
	if y := s.Committed.Year(); y < 1970 || y > 9999 {
		s.Committed = time.Time{} // the author may write anything; JSON may not
	}
	from, err := follows(repo, tip, q)
	if err == nil && q.Verify != nil {
		s.SignedBy, err = signed(repo, tip, from, q.Verify)
	}
	if err == nil {
		err = s.read(repo, tip, q)
	}
	if errors.As(err, &s.Rejected) {
		return s, nil
	}
	return s, err
}

// follows checks that the tip descends from what was trusted before, and returns that as a
// whole hash: an abbreviation fits one commit of the tip's history, but perhaps others elsewhere.
func follows(repo *git.Repository, tip *object.Commit, q Request) (from string, err error) {
	if q.Base == "" {
		return firstContact(tip, q)
	}
	base, err := repo.CommitObject(plumbing.NewHash(q.Base))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return "", reject("select", "the last verified commit %.12s is not in this repository, so %.12s cannot be "+
			"shown to descend from it; to start over from trusted_from, stop the agent and remove good.json",
			q.Base, q.Tip)
	}
	if err != nil {
		return "", fmt.Errorf("read commit %s: %w", q.Base, err)
	}
	from, err = ancestor(tip, q.Base)
	if from != "" || err != nil {
		return from, err
	}
	back, err := ancestor(base, q.Tip)
	if err != nil {
		return "", err
	}
	if back != "" {
		return "", reject("select", "the branch was rewound to %.12s, which is older than %.12s, the last verified "+
			"commit; to go back, push a commit that reverts", q.Tip, q.Base)
	}
	// A trusted_from outside the base's history was set by the host's owner after the branch
	// was rewritten. Nobody else can set it, so the rewritten branch is taken as on first contact.
	if q.TrustedFrom != "" {
		known, err := ancestor(base, q.TrustedFrom)
		if err != nil {
			return "", err
		}
		if known == "" {
			return firstContact(tip, q)
		}
	}
	return "", reject("select", "the branch was rewritten: %.12s does not descend from %.12s, the last verified "+
		"commit; if that was meant, set trusted_from = %q in agent.hcl", q.Tip, q.Base, q.Tip)
}

// firstContact returns the commit that trusted_from means.
func firstContact(tip *object.Commit, q Request) (from string, err error) {
	if q.TrustedFrom == "" {
		return "", reject("select", "first contact with this branch and no trusted_from: if you trust %.12s, "+
			"set trusted_from = %q in agent.hcl", q.Tip, q.Tip)
	}
	if len(q.TrustedFrom) < 7 || strings.Trim(q.TrustedFrom, "0123456789abcdef") != "" {
		return "", reject("select", "trusted_from = %q is no commit hash of 7 to 40 lower-case hex digits", q.TrustedFrom)
	}
	if q.Verify != nil && len(q.TrustedFrom) < 40 {
		// What it names is trusted without a signature, and who may push can make a commit of
		// any 7 digits in minutes.
		return "", reject("select", "trusted_from = %q is short enough for a stranger's commit to begin with it; with keys "+
			"in verify, write the whole hash, as git rev-parse %s says in a clone that you trust", q.TrustedFrom, q.TrustedFrom)
	}
	from, err = ancestor(tip, q.TrustedFrom)
	if from != "" || err != nil {
		return from, err
	}
	return "", reject("select", "%.12s does not descend from trusted_from = %q; if you trust it, "+
		"set trusted_from = %q in agent.hcl", q.Tip, q.TrustedFrom, q.Tip)
}

var errAmbiguous = errors.New("ambiguous")

// ancestor returns the hash that starts with digits, of c or of an ancestor of it; empty if there
// is none. An abbreviation is looked up in the whole history, and refused if it fits two commits.
func ancestor(c *object.Commit, digits string) (string, error) {
	found := ""
	err := object.NewCommitIterCTime(c, nil, nil).ForEach(func(x *object.Commit) error {
		hash := x.Hash.String()
		switch {
		case !strings.HasPrefix(hash, digits):
			return nil
		case found != "":
			return errAmbiguous
		}
		found = hash
		if hash == digits {
			return io.EOF
		}
		return nil
	})
	if errors.Is(err, errAmbiguous) {
		return "", reject("select", "%q fits more than one commit; write more digits", digits)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("walk the history of %s: %w", c.Hash, err)
	}
	return found, nil
}

// read fills in the files, unless they are those of the base.
func (s *Selection) read(repo *git.Repository, tip *object.Commit, q Request) error {
	files, err := readFolder(repo, tip, q.Path)
	if err != nil {
		return err
	}
	if q.Base != "" && !q.Reread {
		if base, err := repo.CommitObject(plumbing.NewHash(q.Base)); err == nil {
			old, err := readFolder(repo, base, q.Path)
			s.Unchanged = err == nil && maps.EqualFunc(files, old, slices.Equal)
		}
	}
	if !s.Unchanged {
		s.Files = files
	}
	return nil
}

// clean makes foreign text fit for a terminal and a log line.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
