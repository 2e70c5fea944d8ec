package sysctl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxValue is how many bytes of a value are read or written.
const maxValue = 1024

// open opens a value. os.Root keeps even a symbolic link from leading out of the tree.
func (h *handler) open(key string, flag int) (*os.File, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(h.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(key, flag, 0)
}

// read returns a value with single spaces between its words, as they are written.
func (h *handler) read(key string) (string, error) {
	f, err := h.open(key, os.O_RDONLY|syscall.O_NONBLOCK)
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	if len(b) > maxValue {
		return "", fmt.Errorf("read sysctl %s: longer than %d bytes", key, maxValue)
	}
	return strings.Join(strings.Fields(string(b)), " "), nil
}

func (h *handler) write(key, value string) error {
	f, err := h.open(key, os.O_WRONLY|os.O_TRUNC|syscall.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("write sysctl %s: %w", key, err)
	}
	_, err = f.WriteString(value + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write sysctl %s: %w", key, err)
	}
	return nil
}
