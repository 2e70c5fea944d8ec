package lab

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMain lets the test binary be the programs that a lab runs: the lab's own process, an
// agent and a vrrpd that wait for the end.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "internal" {
		os.Exit(Main(context.Background(), os.Args[2], os.Args[3]))
	}
	if filepath.Base(os.Args[0]) == "hareconcile-vrrpd" || len(os.Args) > 1 && os.Args[1] == "agent" {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("started", os.Args[1:])
		for s := range signals {
			if s == syscall.SIGTERM {
				os.Exit(0)
			}
			fmt.Println("told of a push")
		}
	}
	os.Exit(m.Run())
}
