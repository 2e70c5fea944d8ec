package main

import (
	"context"
	"errors"
	"time"
)

// errDone ends a watch that has seen enough.
var errDone = errors.New("seen enough")

// watchTicking calls show with everything that watch tells, and with the last of it again
// every second, because ages grow. It ends as watch does, or with show's error.
func watchTicking[T any](ctx context.Context, watch func(context.Context, func(T) error) error, show func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan T)
	done := make(chan error, 1) // the watcher ends once, also when nobody waits any more
	go func() {
		done <- watch(ctx, func(v T) error {
			select {
			case news <- v:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last T
	heard := false
	for {
		select {
		case err := <-done:
			cancel()
			return err
		case last = <-news:
			heard = true
		case <-tick.C:
		}
		if !heard {
			continue
		}
		if err := show(last); err != nil {
			cancel()
			<-done
			return err
		}
	}
}
