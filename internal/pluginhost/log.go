package pluginhost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// How many lines of a plugin reach the host's log.
const (
	lineRate  = 10 // a second
	lineBurst = 100
	maxPairs  = 16 // attributes of a line
)

// A sink passes a plugin's log lines on to the host's log, a bounded number of them.
type sink struct {
	log     *slog.Logger
	secrets redactor

	mu      sync.Mutex
	lines   bucket
	dropped int
}

var _ hclog.SinkAdapter = (*sink)(nil)

func newSink(log *slog.Logger) *sink {
	return &sink{log: log, lines: newBucket(lineRate, lineBurst)}
}

// logger returns the logger that go-plugin writes to.
func (s *sink) logger() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug})
	l.RegisterSink(s)
	return l
}

// Accept implements hclog.SinkAdapter. Lines without a name are go-plugin's own remarks.
func (s *sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	levels := map[hclog.Level]slog.Level{
		hclog.Debug: slog.LevelDebug, hclog.Info: slog.LevelInfo, hclog.Warn: slog.LevelWarn, hclog.Error: slog.LevelError,
	}
	l, ok := levels[level]
	if !ok || name == "" {
		l = slog.LevelDebug
	}
	s.line(l, msg, args...)
}

// line logs one line, or counts it as dropped.
func (s *sink) line(level slog.Level, text string, args ...any) {
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines.level < 0 && s.lines.take(0) > 0 {
		s.dropped++
		return
	}
	s.lines.take(1)
	if s.dropped > 0 {
		s.log.Warn("plugin log lines dropped", "count", s.dropped)
		s.dropped = 0
	}
	attrs := []any{"text", clip(s.secrets.clean(text))}
	for i := 0; i+1 < min(len(args), 2*maxPairs); i += 2 {
		key := clip(s.secrets.clean(fmt.Sprint(args[i])))
		if key == "timestamp" {
			continue // the line has one
		}
		attrs = append(attrs, "plugin."+key, clip(s.secrets.clean(fmt.Sprint(args[i+1]))))
	}
	s.log.Log(context.Background(), level, "plugin says", attrs...)
}

// drainOutput reads what a plugin prints to os.Stdout and os.Stderr after its start, which
// go-plugin's server sends through a stream and which would block it if nobody read. The
// stream's messages are plugin.StdioData, a type that go-plugin keeps to itself: bytes in
// field 2.
func drainOutput(conn *grpc.ClientConn, s *sink) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // the stream itself ends with the connection
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
	if err != nil {
		return
	}
	if stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return
	}
	bytes := newBucket(outputRate, outputBurst)
	for {
		var m emptypb.Empty
		if err := stream.RecvMsg(&m); err != nil {
			return
		}
		data := output(m.ProtoReflect().GetUnknown())
		for line := range strings.Lines(data) {
			s.line(slog.LevelDebug, line)
		}
		throttle(stream.Context(), &bytes, len(data))
	}
}

// output returns field 2 of a message, or "".
func output(m []byte) string {
	for len(m) > 0 {
		num, typ, n := protowire.ConsumeTag(m)
		if n < 0 {
			return ""
		}
		m = m[n:]
		if num == 2 && typ == protowire.BytesType {
			b, _ := protowire.ConsumeBytes(m)
			return string(b)
		}
		if n = protowire.ConsumeFieldValue(num, typ, m); n < 0 {
			return ""
		}
		m = m[n:]
	}
	return ""
}
