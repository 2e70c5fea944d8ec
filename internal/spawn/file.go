package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Guarded returns an error if users other than root and this process's own can write to path.
func Guarded(path string, info os.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, want root", path, owner)
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s can be written by its group or by others (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}

// Program returns where path leads through links, if nobody but root and this process's own
// user can make another program of it: every folder and link on the way and the file itself
// are theirs, and so is what interprets a script. A file that changes its user when it is run
// is refused.
func Program(path string) (string, error) {
	p, err := OpenProgram(path)
	if err != nil {
		return "", err
	}
	return p.Path, p.File.Close()
}

// An OpenedProgram is a program that may be run as far as Program can tell.
type OpenedProgram struct {
	Path string // where it was found through links
	// File is the very file that was judged. It can be run, as /proc/self/fd/N, and neither
	// read nor written (open(2), O_PATH).
	File *os.File
	// Script is set if the kernel runs an interpreter, which has to find it by its path.
	Script bool
}

// OpenProgram opens the program that Program judges.
func OpenProgram(path string) (OpenedProgram, error) { return open(path, 0) }

// maxInterpreters is how many scripts the kernel takes for one another's interpreters
// (bprm_execve in fs/exec.c).
const maxInterpreters = 5

func open(path string, depth int) (OpenedProgram, error) {
	if depth > maxInterpreters {
		return OpenedProgram{}, fmt.Errorf("%s is the interpreter of too many scripts", path)
	}
	if !filepath.IsAbs(path) {
		return OpenedProgram{}, fmt.Errorf("%s is no absolute path", path)
	}
	resolved, _, err := resolve(path)
	if err != nil {
		return OpenedProgram{}, err
	}
	file, err := os.OpenFile(resolved, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return OpenedProgram{}, err
	}
	p := OpenedProgram{Path: resolved, File: file}
	if err := p.judge(path, depth); err != nil {
		_ = file.Close() // nothing was done with it
		return OpenedProgram{}, err
	}
	return p, nil
}

// judge judges the file that was opened, and not what is at its path by now.
func (p *OpenedProgram) judge(path string, depth int) error {
	info, err := p.File.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return fmt.Errorf("%s is setuid or setgid", path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable", path)
	}
	if err := Guarded(p.Path, info); err != nil {
		return err
	}
	by, err := interpreter(p.File)
	if err != nil || by == "" {
		return err
	}
	p.Script = true
	i, err := open(by, depth+1)
	if err != nil {
		return fmt.Errorf("the interpreter of %s: %w", path, err)
	}
	return i.File.Close()
}

// interpreter returns the program that the kernel runs for a script, or nothing (execve(2)).
// Of a program that may be run and not read there is none: it could not read it either.
func interpreter(file *os.File) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, 256)        // BINPRM_BUF_SIZE
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	return parseInterpreter(head[:n]), nil
}

// parseInterpreter reads the first line of a script as load_script in fs/binfmt_script.c does.
func parseInterpreter(head []byte) string {
	rest, script := bytes.CutPrefix(head, []byte("#!"))
	if !script {
		return ""
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	if len(words) == 0 {
		return "#!" // which is no absolute path
	}
	return string(words[0])
}

// maxLinks is how many links the kernel follows in one path (path_resolution(7)).
const maxLinks = 40

// resolve follows path as the kernel does, and looks at each step who may change it.
func resolve(path string) (resolved string, info os.FileInfo, err error) {
	resolved = "/"
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			resolved = filepath.Dir(resolved)
			continue
		}
		next := filepath.Join(resolved, name)
		if info, err = os.Lstat(next); err == nil {
			err = owned(next, info)
		}
		if err != nil {
			return "", nil, err
		}
		if info.Mode().Type() != os.ModeSymlink {
			resolved = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return "", nil, fmt.Errorf("link %s leads nowhere", next)
		}
		if filepath.IsAbs(target) {
			resolved = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	info, err = os.Lstat(resolved)
	return resolved, info, err
}

// owned is Guarded for what may be on the way to a program. Nobody can write to a link, and
// in a folder with the sticky bit nobody can replace what is another's (inode(7)).
func owned(path string, info os.FileInfo) error {
	if info.Mode().Type() != os.ModeSymlink && (!info.IsDir() || info.Mode()&os.ModeSticky == 0) {
		return Guarded(path, info)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, want root", path, owner)
	}
	return nil
}
