package qemu

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// folders are those that every guest has; the guest mounts over some of them.
var folders = []string{"/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin", "/var", "/var/lib"}

// merged are the links of a file system in which /usr has everything.
var merged = []string{"bin", "sbin", "lib", "lib64"}

// pack writes the guest's root file system.
func pack(to string, k Kernel, c Config) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	out := bufio.NewWriterSize(f, 1<<20)
	a := &archive{w: out, made: map[string]bool{"/": true}}
	for _, dir := range folders {
		a.folder(dir)
	}
	for _, name := range merged {
		a.link("/"+name, "usr/"+name)
	}
	conf, err := c.encode()
	if err != nil {
		return err
	}
	a.file(bootFile, 0o600, conf)
	a.file("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	a.file("/etc/group", 0o644, []byte("root:x:0:\n"))
	a.copy("/init", c.Self)
	for _, name := range c.Programs {
		a.program(name)
	}
	for guest, host := range c.Files {
		a.copy(guest, host)
	}
	a.modules(k.Modules, c.Modules)
	a.end()
	if a.err != nil {
		return a.err
	}
	return out.Flush()
}

// An archive is a cpio archive of the kernel's sort, "newc" (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst). It keeps its first error.
type archive struct {
	w    io.Writer
	made map[string]bool // paths that are in it
	ino  int
	size int64
	err  error
}

func (a *archive) folder(name string) {
	if name == "/" || a.made[name] {
		return
	}
	a.folder(path.Dir(name))
	a.entry(name, fs.ModeDir|0o755, nil)
}

func (a *archive) link(name, target string) { a.entry(name, fs.ModeSymlink|0o777, []byte(target)) }

func (a *archive) file(name string, mode fs.FileMode, content []byte) {
	name = usr(name)
	if a.made[name] {
		return
	}
	a.folder(path.Dir(name))
	a.entry(name, mode, content)
}

// copy takes a file of the host along.
func (a *archive) copy(name, host string) {
	if a.err != nil || a.made[usr(name)] {
		return
	}
	st, err := os.Stat(host)
	if err == nil {
		var b []byte
		if b, err = os.ReadFile(host); err == nil {
			a.file(name, st.Mode().Perm(), b)
		}
	}
	if err != nil {
		a.err = err
	}
}

// usr is where a path is in the guest, whose /bin, /sbin and /lib are links.
func usr(name string) string {
	for _, m := range merged {
		if strings.HasPrefix(name, "/"+m+"/") {
			return "/usr" + name
		}
	}
	return name
}

// program takes a program along, with its libraries.
func (a *archive) program(name string) {
	if a.err != nil {
		return
	}
	file, err := exec.LookPath(name)
	if err != nil {
		a.err = err
		return
	}
	a.copy(file, file)
	libraries, err := closure(file)
	if err != nil {
		a.err = err
	}
	for _, l := range libraries {
		a.copy(l, l)
	}
}

// modules takes along what the kernel's modules need, and the indexes that modprobe reads.
func (a *archive) modules(dir string, names []string) {
	if a.err != nil {
		return
	}
	release := path.Join("/lib/modules", filepath.Base(dir))
	indexes, err := filepath.Glob(filepath.Join(dir, "modules.*"))
	if err != nil {
		a.err = err
		return
	}
	for _, index := range indexes {
		a.copy(path.Join(release, filepath.Base(index)), index)
	}
	files, err := moduleFiles(dir, names)
	if err != nil {
		a.err = err
	}
	for _, file := range files {
		a.copy(path.Join(release, file), filepath.Join(dir, file))
	}
}

// moduleFiles returns the files of modules and of all that they need, relative to dir.
func moduleFiles(dir string, names []string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	var files []string
	found := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, _, _ := strings.Cut(path.Base(file), ".")
		name = strings.ReplaceAll(name, "-", "_")
		if slices.Contains(names, name) {
			found[name] = true
			files = append(append(files, file), strings.Fields(needs)...)
		}
	}
	for _, name := range names {
		if !found[name] {
			return nil, fmt.Errorf("the guest's kernel has no module %s", name)
		}
	}
	return files, nil
}

// The types of a file in a cpio header (cpio(5)).
const (
	cpioFolder = 0o040000
	cpioFile   = 0o100000
	cpioLink   = 0o120000
)

func (a *archive) entry(name string, mode fs.FileMode, content []byte) {
	m := uint32(mode.Perm())
	switch {
	case mode.IsDir():
		m |= cpioFolder
	case mode&fs.ModeSymlink != 0:
		m |= cpioLink
	default:
		m |= cpioFile
	}
	a.made[name] = true
	a.record(strings.TrimPrefix(name, "/"), m, content)
}

func (a *archive) end() { a.record("TRAILER!!!", 0, nil) }

// record writes a header, a name and a content, each padded to four bytes.
func (a *archive) record(name string, mode uint32, content []byte) {
	a.ino++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name))
	a.write(content)
}

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	_, a.err = a.w.Write(b)
	a.size += int64(len(b))
	if pad := -a.size & 3; pad > 0 && a.err == nil {
		_, a.err = a.w.Write(make([]byte, pad))
		a.size += pad
	}
}
