package qemu

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are where the dynamic linker of Debian and of its like looks (ld.so(8)).
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// closure returns the shared libraries that a program needs, and theirs, and the linker.
func closure(program string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		interpreter, needs, err := imports(queue[0])
		if err != nil {
			return nil, err
		}
		if interpreter != "" && !seen[interpreter] {
			seen[interpreter] = true
			out = append(out, interpreter)
		}
		for _, name := range needs {
			if seen[name] {
				continue
			}
			seen[name] = true
			file, err := library(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", queue[0], err)
			}
			out, queue = append(out, file), append(queue, file)
		}
	}
	return out, nil
}

// imports returns what an ELF file names; nothing if it is of another sort, such as a script.
func imports(file string) (interpreter string, libraries []string, err error) {
	f, err := elf.Open(file)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			if err != nil {
				return "", nil, err
			}
			interpreter = strings.TrimRight(string(b), "\x00")
		}
	}
	libraries, err = f.ImportedLibraries()
	return interpreter, libraries, err
}

func library(name string) (string, error) {
	for _, dir := range libraryDirs {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("no library %s in %v", name, libraryDirs)
}
