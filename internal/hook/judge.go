package hook

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/gitsource"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// maxTips is how many commits of one push are judged; each takes about as long as it takes
// a node.
const maxTips = 50

// A Verdict is what is said of one cluster in one ref of a push.
type Verdict struct {
	Update
	Folder string // of the cluster in the repository; "" is its root
	// Cluster is nil if the push is refused.
	Cluster     *spec.Cluster
	Diagnostics hcl.Diagnostics
	// Err says in a sentence why the push is refused, where Diagnostics do not.
	Err error
}

// Refuses reports whether the push may not be taken.
func (v Verdict) Refuses() bool { return v.Err != nil || v.Cluster == nil }

// A Judge judges pushes to the repository in Dir, the hook's working directory.
type Judge struct {
	Dir string
	// Folders are those of the clusters in the repository. A branch without cluster.hcl in one
	// of them is no definition of that cluster, and free to be anything.
	Folders []string
	// Signers says who has to have signed what is new; nil asks for no signature.
	Signers *gitsource.Verification
}

// Judge returns a verdict on each cluster that the push defines; an error means that it could
// not be judged.
func (j Judge) Judge(ctx context.Context, updates []Update) ([]Verdict, error) {
	r := repo{j.Dir}
	var out []Verdict
	var objects []string // that those verdicts need which are still open
	tips := 0
	for _, u := range updates {
		vs, err := j.first(ctx, r, u)
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			if v.Err != nil {
				continue
			}
			if tips++; tips > maxTips {
				return nil, fmt.Errorf("the push has more than %d clusters in its branches and tags; push fewer at once", maxTips)
			}
			more, err := r.needed(ctx, v.New, v.Folder)
			if err == nil && j.Signers != nil {
				more, err = r.history(ctx, v.New, more)
			}
			if err != nil {
				return nil, err
			}
			objects = append(objects, more...)
		}
		out = append(out, vs...)
	}
	if tips == 0 {
		return out, nil
	}
	dir, remove, err := r.copyOf(ctx, objects)
	if err != nil {
		return nil, err
	}
	defer remove()
	for k := range out {
		if v := &out[k]; v.Err == nil {
			// Whether a node has verified an older one is for the node; the rest is the same.
			q := gitsource.Request{Tip: v.New, TrustedFrom: v.New, Path: v.Folder, Reread: true, Verify: j.Signers}
			if j.Signers != nil {
				if q.TrustedFrom, err = r.known(ctx, v.Update); err != nil {
					return nil, err
				}
			}
			v.Cluster, v.Diagnostics, v.Err = compile.Push(ctx, dir, q)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("judge the push: %w", err)
		}
	}
	return out, nil
}

// first refuses what can be refused without looking into files, and returns the rest as
// verdicts that are open; none for what is nobody's definition.
func (j Judge) first(ctx context.Context, r repo, u Update) ([]Verdict, error) {
	branch := strings.HasPrefix(u.Ref, "refs/heads/")
	if u.New == "" || !branch && !strings.HasPrefix(u.Ref, "refs/tags/") {
		return nil, nil
	}
	tip, err := r.commit(ctx, u.New)
	if tip == "" || err != nil {
		return nil, err
	}
	old := ""
	if branch {
		old = u.Old
	}
	u.New = tip
	var out []Verdict
	for _, folder := range j.Folders {
		v := Verdict{Update: u, Folder: strings.Trim(path.Clean("/"+folder), "/")}
		is, err := r.holds(ctx, tip, v.Folder)
		if err != nil {
			return nil, err
		}
		was := false
		if old != "" {
			if was, err = r.holds(ctx, old, v.Folder); err != nil {
				return nil, err
			}
		}
		if !is && !was {
			continue
		}
		if was {
			if v.Err, err = rewrites(ctx, r, u); err != nil {
				return nil, err
			}
		}
		if v.Err == nil && !is {
			v.Err = fmt.Errorf("%s is gone, and with it the whole cluster, which no node would take; to end a branch, delete it", path.Join(v.Folder, clusterFile))
		}
		out = append(out, v)
	}
	return out, nil
}

// rewrites says why a branch that nodes follow may not go where a push puts it.
func rewrites(ctx context.Context, r repo, u Update) (why, err error) {
	ok, err := r.descends(ctx, u.New, u.Old)
	if ok || err != nil {
		return nil, err
	}
	return fmt.Errorf("%.7s does not descend from %.7s, where the branch is, and nodes take no rewritten history; "+
		"pull first, or to undo a commit push one that reverts it (git revert)", u.New, u.Old), nil
}
