package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/hareconcile/hareconcile/internal/uml"
)

// runGuest is the first process in User-Mode Linux.
func runGuest(ctx context.Context, dir string, log *slog.Logger) error {
	if err := uml.GuestSetup(modules...); err != nil {
		return err
	}
	cfg, err := readConfig(dir)
	if err != nil {
		return err
	}
	line, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("open the serial line: %w", err)
	}
	if _, err := term.MakeRaw(int(line.Fd())); err != nil {
		return fmt.Errorf("set up the serial line: %w", err)
	}
	// Whatever comes before the line is raw would be echoed and altered; so the host waits.
	if _, err := line.WriteString(greeting); err != nil {
		return fmt.Errorf("greet over the serial line: %w", err)
	}
	s, err := yamux.Server(newLine(line), lineConfig())
	if err != nil {
		return fmt.Errorf("use the serial line: %w", err)
	}
	return runDaemon(ctx, cfg, s, log)
}

// greeting is the first thing that a guest sends, once it can listen.
const greeting = "hareconcile-lab\n"

// lineConfig is how both ends speak over a serial line, which loses nothing but is slow.
func lineConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = time.Minute
	c.StreamOpenTimeout = time.Minute
	c.LogOutput = io.Discard
	return c
}

// runRelay boots the guest and joins every connection with a stream to its daemon.
func runRelay(ctx context.Context, cfg config, l net.Listener, log *slog.Logger) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the serial line: %w", err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "guest"), os.NewFile(uintptr(pair[1]), "host")
	line, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return fmt.Errorf("make the serial line: %w", err)
	}
	g, err := uml.Boot(ctx, uml.Config{
		Mem:    guestMemory,
		Init:   []string{filepath.Join(cfg.Bin, "hareconcile"), "internal", StageGuest, cfg.Dir},
		Mounts: []uml.Mount{{Host: cfg.Dir, Guest: cfg.Dir}},
		Stdout: os.Stderr, Serial: theirs,
	})
	_ = theirs.Close()
	if err != nil {
		return err
	}
	go relay(l, line, log) // ends with the process
	if err := g.Wait(); err != nil {
		return fmt.Errorf("the guest ended: %w", err)
	}
	return errors.New("the guest halted")
}

// guestMemory is backed by a sparse file: what the guest does not use costs nothing.
const guestMemory = "2G"

func relay(l net.Listener, line net.Conn, log *slog.Logger) {
	hello := make([]byte, len(greeting))
	if _, err := io.ReadFull(line, hello); err != nil || string(hello) != greeting {
		log.Error("hear from the guest", "got", string(hello), "err", err)
		return
	}
	s, err := yamux.Client(newLine(line), lineConfig())
	if err != nil {
		log.Error("use the serial line", "err", err)
		return
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Error("accept a request", "err", err)
			return
		}
		go func() {
			defer c.Close()
			stream, err := s.OpenStream()
			if err != nil {
				log.Error("reach the guest", "err", err)
				return
			}
			defer stream.Close()
			go func() {
				_, _ = io.Copy(stream, c)
				_ = stream.Close() // the client went away
			}()
			_, _ = io.Copy(c, stream)
		}()
	}
}
