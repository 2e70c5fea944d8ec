package gitsource

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The bounds of a cluster's folder.
const (
	maxFile    = 4 << 20 // bytes of one file, as package hcl reads them
	maxTotal   = 8 << 20 // bytes of all files
	maxFiles   = 256
	maxEntries = 10_000 // files and folders of any kind
	maxDepth   = 8      // folders in folders
)

// Counts reports whether a file of that name is part of a cluster's definition.
func Counts(name string) bool {
	for _, end := range []string{".hcl", ".hcvars", ".schema.json"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// readFolder returns the files that count below folder, by path relative to it. Links and
// submodules are refused wherever they are: what they point at is not part of the commit.
func readFolder(repo *git.Repository, c *object.Commit, folder string) (map[string][]byte, error) {
	tree, err := c.Tree()
	if err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", c.Hash, err)
	}
	folder = strings.Trim(path.Clean("/"+folder), "/")
	if folder != "" {
		tree, err = tree.Tree(folder)
		if errors.Is(err, object.ErrDirectoryNotFound) || errors.Is(err, object.ErrEntryNotFound) {
			return nil, reject("verify", "the commit has no folder %q", folder)
		}
		if err != nil {
			return nil, fmt.Errorf("read folder %q of %s: %w", folder, c.Hash, err)
		}
	}
	r := reader{repo: repo, files: map[string][]byte{}}
	if err := r.walk(tree, "", 0); err != nil {
		return nil, err
	}
	return r.files, nil
}

type reader struct {
	repo    *git.Repository
	files   map[string][]byte
	entries int
	total   int
}

func (r *reader) walk(tree *object.Tree, prefix string, depth int) error {
	if depth > maxDepth {
		return reject("verify", "%q: folders nested deeper than %d", prefix, maxDepth)
	}
	for _, e := range tree.Entries {
		name := path.Join(prefix, e.Name)
		if r.entries++; r.entries > maxEntries {
			return reject("verify", "more than %d files and folders", maxEntries)
		}
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\\\x00") || !utf8.ValidString(e.Name) {
			return reject("verify", "%q: a name that no repository should have", name)
		}
		if Counts(e.Name) && strings.ContainsFunc(e.Name, unprintable) {
			return reject("verify", "%q: a name that cannot be printed", name) // diagnostics name files
		}
		if e.Mode == filemode.Dir && strings.HasPrefix(e.Name, ".") {
			continue // such as .github; never part of a cluster
		}
		var err error
		switch e.Mode {
		case filemode.Dir:
			var sub *object.Tree
			if sub, err = object.GetTree(r.repo.Storer, e.Hash); err != nil {
				return fmt.Errorf("read folder %q: %w", name, err)
			}
			err = r.walk(sub, name, depth+1)
		case filemode.Regular, filemode.Executable, filemode.Deprecated:
			if Counts(e.Name) {
				err = r.blob(name, e)
			}
		case filemode.Symlink:
			err = reject("verify", "%q is a symbolic link", name)
		case filemode.Submodule:
			err = reject("verify", "%q is a submodule", name)
		default:
			err = reject("verify", "%q has mode %v", name, e.Mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func (r *reader) blob(name string, e object.TreeEntry) error {
	if len(r.files) == maxFiles {
		return reject("verify", "more than %d files", maxFiles)
	}
	size, err := r.repo.Storer.EncodedObjectSize(e.Hash) // before go-git takes it into memory
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	if size > maxFile {
		return reject("verify", "%q has %d bytes; at most %d are read", name, size, maxFile)
	}
	if r.total += int(size); r.total > maxTotal {
		return reject("verify", "%q: the files together have more than %d bytes", name, maxTotal)
	}
	blob, err := r.repo.BlobObject(e.Hash)
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	in, err := blob.Reader()
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	r.files[name] = b
	return nil
}
