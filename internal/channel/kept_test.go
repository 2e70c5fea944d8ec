package channel

import (
	"context"
	"net"
	"os"
	"testing"
)

func TestKeptConnectsAgain(t *testing.T) {
	path, stop := serve(t, &fake{})
	k := NewKept(path)
	defer k.Close()
	query := func() error {
		_, err := k.Do(t.Context(), Request{Query: &Query{}})
		return err
	}
	if err := query(); err != nil {
		t.Fatalf("first request: %v", err)
	}
	stop()
	if err := query(); err == nil {
		t.Error("request without a server: no error")
	}
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = Serve(t.Context(), l, &fake{}) }()
	if err := query(); err != nil {
		t.Errorf("request to the new server: %v", err)
	}
}

func TestKeptDoesNotMindAnUpgrade(t *testing.T) {
	path, stop := serve(t, &fake{})
	k := NewKept(path)
	defer k.Close()
	for range 3 { // programs, one after the other
		if _, err := k.Do(t.Context(), Request{Query: &Query{}}); err != nil {
			t.Errorf("request: %v", err)
		}
		stop()
		_ = os.Remove(path)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			_ = Serve(ctx, l, &fake{})
			close(served)
		}()
		stop = func() {
			cancel()
			<-served
		}
	}
	stop()
}
