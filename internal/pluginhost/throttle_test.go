package pluginhost

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestSinkLimitsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSink(slog.New(slog.NewTextHandler(&log, nil)))
		flood := func() { // 1000 lines a second
			for range 10_000 {
				s.Accept("x", hclog.Error, "spam\nand more", "key", strings.Repeat("v", 1000))
				<-time.After(time.Millisecond)
			}
		}
		flood()
		got := strings.Count(log.String(), "plugin says")
		if most := lineBurst + 10*lineRate + 2; got > most || got < lineBurst {
			t.Errorf("%d lines in 10 s, want between %d and %d", got, lineBurst, most)
		}
		if !strings.Contains(log.String(), "dropped") {
			t.Error("the log does not say that lines were dropped")
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > 1000 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}

func TestSinkKeepsLevels(t *testing.T) {
	var log bytes.Buffer
	s := newSink(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.logger().Named("hareconcile-plugin-x").Warn("careful", "err", "none", "timestamp", "now")
	s.logger().Error("plugin process exited")
	got := log.String()
	for _, want := range []string{
		`level=WARN msg="plugin says" text=careful plugin.err=none` + "\n",
		`level=DEBUG msg="plugin says" text="plugin process exited"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("log = %s, want %s", got, want)
		}
	}
}

func TestThrottledReadsAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, err := os.Open("/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := newThrottled(file, nil)
		begin, read := time.Now(), 0
		for buf := make([]byte, 64<<10); time.Since(begin) < 10*time.Second; {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			read += n
		}
		if want := outputBurst + 10*outputRate; read > want+128<<10 || read < want-128<<10 {
			t.Errorf("%d bytes in 10 s, want about %d", read, want)
		}
	})
}

func FuzzOutput(f *testing.F) {
	m := protowire.AppendTag(nil, 1, protowire.VarintType)
	m = protowire.AppendVarint(m, 2)
	m = protowire.AppendTag(m, 2, protowire.BytesType)
	m = protowire.AppendBytes(m, []byte("hello\n"))
	if got := output(m); got != "hello\n" {
		f.Errorf("output() = %q, want hello", got)
	}
	f.Add(m)
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, m []byte) {
		if got := output(m); len(got) > len(m) {
			t.Errorf("output(%x) is longer than its message", m)
		}
	})
}
