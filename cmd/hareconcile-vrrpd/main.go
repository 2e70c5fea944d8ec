// Command hareconcile-vrrpd runs this host's virtual routers (RFC 9568). The agent tells
// it what they are; it needs nobody to keep them going.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/sys"
	"github.com/hareconcile/hareconcile/internal/vrrpd"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit code: 0 stopped on request, 1 an error, 2 a wrong command line,
// 6 another process is the writer.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("hareconcile-vrrpd", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var o vrrpd.Options
	fs.StringVar(&o.Socket, "socket", "/run/hareconcile/vrrpd.sock", "`path` of the socket for the agent")
	fs.StringVar(&o.State, "state", "/run/hareconcile/vrrpd.state", "`path` of the state that outlives a restart")
	fs.StringVar(&o.Lock, "lock", "/run/hareconcile/vrrpd.lock", "`path` of the lock of the one writer of addresses")
	format := fs.String("log", "text", "`format` of the log on standard error: text or json")
	version := fs.Bool("version", false, "print the version and exit")
	try := fs.Bool("try", false, "read what a predecessor leaves from standard input, say whether this program could go on with it, and exit")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "hareconcile-vrrpd: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	if *try {
		if err := vrrpd.Try(stdin); err != nil {
			fmt.Fprintf(stderr, "hareconcile-vrrpd: %v\n", err)
			return 1
		}
	}
	if *version || *try {
		fmt.Fprintln(stdout, "hareconcile-vrrpd", build.Version)
		return 0
	}
	switch *format {
	case "text":
		o.Log = slog.NewTextHandler(stderr, nil)
	case "json":
		o.Log = slog.NewJSONHandler(stderr, nil)
	default:
		fmt.Fprintf(stderr, "hareconcile-vrrpd: -log is text or json, not %q\n", *format)
		return 2
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE) // a terminal or a log reader that goes takes no address along
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1)
	defer stop()
	upgrade := make(chan os.Signal, 1) // one is as good as many
	signal.Notify(upgrade, syscall.SIGUSR2)
	o.Upgrade = upgrade
	err := sys.NoCore()
	if err == nil {
		err = vrrpd.Run(ctx, o)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		fmt.Fprintf(stderr, "hareconcile-vrrpd: needs root (CAP_NET_ADMIN and CAP_NET_RAW): %v\n", err)
	default:
		fmt.Fprintf(stderr, "hareconcile-vrrpd: %v\n", err)
	}
	if errors.Is(err, vrrpd.ErrLocked) {
		return 6
	}
	return 1
}
