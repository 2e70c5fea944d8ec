package hcl

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxTreeEntries bounds how many files and folders ReadTree looks at.
const maxTreeEntries = 10_000

// ReadTree reads the files of the language below dir: *.hcl, *.hcvars and *.schema.json.
// Hidden folders are left out, symbolic links refused.
func ReadTree(dir string) (Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close()
	t := Tree{}
	entries, total := 0, 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxTreeEntries {
			return fmt.Errorf("%s has more than %d files", dir, maxTreeEntries)
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.Type()&fs.ModeSymlink != 0 || isSource(d.Name()) && !d.IsDir() && !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file; links are refused", filepath.Join(dir, name))
		}
		if d.IsDir() || !isSource(d.Name()) {
			return nil
		}
		b, err := readBounded(root, name)
		if err != nil {
			return err
		}
		t[name] = b
		if total += len(b); total > maxTotalBytes || len(t) > maxFiles {
			return fmt.Errorf("%s holds more than %d files or %d bytes of configuration", dir, maxFiles, maxTotalBytes)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return t, nil
}

func isSource(name string) bool {
	for _, suffix := range []string{".hcl", valuesSuffix, ".schema.json"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// readBounded reads one byte more than is allowed at most, which Compile then refuses.
func readBounded(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}
