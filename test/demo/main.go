// Command demo shows the product's main job on a lab: a push converges all hosts, which serve
// through the death of every part. Each step is a check; the demo ends with 0 only if all of
// them held. "demo haproxy" shows the haproxy pair, and demo alone the reference lab.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	bin := flag.String("bin", "bin", "`folder` of the program's binaries, as make leaves them")
	broken := flag.String("break", "", "break what the `step` of that name checks: the demo must then fail at this step")
	flag.Parse()
	p, err := playOf(flag.Args())
	if err == nil {
		err = run(ctx, p, *bin, *broken)
	}
	if *broken != "" {
		err = expected(*broken, err)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1)
	}
}

// A stepError says which step did not hold.
type stepError struct {
	step string
	err  error
}

// Error implements error.
func (s *stepError) Error() string { return "at the step " + s.step + ": " + s.err.Error() }

// Unwrap returns what the step said.
func (s *stepError) Unwrap() error { return s.err }

// expected turns the failure of the step that was broken into success.
func expected(broken string, err error) error {
	var s *stepError
	if errors.As(err, &s) && s.step == broken {
		fmt.Printf("\nThe check saw what was broken: %v\n", err)
		return nil
	}
	return fmt.Errorf("step %s was broken on purpose, and what came of it is: %w", broken, err)
}

// run builds the lab, plays all steps and removes the lab.
func run(ctx context.Context, p play, bin, broken string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	d := &demo{play: p, out: os.Stdout}
	if d.dir, err = os.MkdirTemp("", "hareconcile-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if err := d.up(ctx, bin); err != nil {
		return err
	}
	defer func() { // also after Ctrl-C nothing must stay
		if _, downErr := lab.Down(context.WithoutCancel(ctx), d.s.Name()); err == nil {
			err = downErr
		}
	}()
	for _, s := range p.steps {
		d.title(s.title)
		if s.name == broken {
			if err := s.sabotage(ctx, d); err != nil {
				return fmt.Errorf("break step %s: %w", s.name, err)
			}
		}
		if err := s.run(ctx, d); err != nil {
			d.logs()
			return &stepError{s.name, err}
		}
	}
	if err := d.remove(ctx); err != nil {
		return err
	}
	d.finish()
	return nil
}
