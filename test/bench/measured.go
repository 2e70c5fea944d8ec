package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/vrrpd"
)

// The files beside the state in which a measured vrrpd answers.
const (
	mallocsFile = "mallocs"
	heapFile    = "heap"
)

// measured is this program as vrrpd, with the same Run as the real one.
func measured() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "vrrpd"}
}

// runMeasured runs vrrpd. At SIGUSR1 it writes how often it has allocated, without
// allocating; at SIGUSR2 it writes a heap profile.
func runMeasured(args []string) error {
	fs := flag.NewFlagSet("vrrpd", flag.ContinueOnError)
	o := vrrpd.Options{Log: slog.NewTextHandler(os.Stderr, nil)}
	fs.StringVar(&o.Socket, "socket", "", "")
	fs.StringVar(&o.State, "state", "", "")
	fs.StringVar(&o.Lock, "lock", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mallocs, err := os.Create(o.State + "." + mallocsFile)
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 2) // one of each
	signal.Notify(asked, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() { // ends with the process
		var m runtime.MemStats
		text := make([]byte, 0, 32)
		for s := range asked {
			if s == syscall.SIGUSR2 {
				writeHeap(o.State + "." + heapFile)
				continue
			}
			runtime.ReadMemStats(&m)
			text = append(strconv.AppendUint(text[:0], m.Mallocs, 10), '\n')
			_, _ = mallocs.WriteAt(text, 0) // the bench waits, and says so
		}
	}()
	return vrrpd.Run(ctx, o)
}

func writeHeap(path string) {
	f, err := os.Create(path + ".new")
	if err != nil {
		return // the bench waits, and says so
	}
	defer f.Close()
	if pprof.Lookup("heap").WriteTo(f, 0) == nil {
		_ = os.Rename(f.Name(), path)
	}
}
