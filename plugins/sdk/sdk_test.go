package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// A scripted tracker does what its configuration says.
type scripted struct{}

func (scripted) Schema() Schema {
	return Schema{
		"do":    {Type: String, Required: true, Description: "what to do"},
		"count": {Type: Number, Description: "a number"},
		"names": {Type: ListString, Description: "names"},
		"yes":   {Type: Bool, Description: "a flag"},
	}
}

func (scripted) New(_ context.Context, v Value) (Instance, error) {
	switch do := v.String("do"); do {
	case "refuse":
		return nil, errors.Join(AttributeErrorf("do", "is not allowed"), errors.New("and more"))
	case "explode":
		panic("in New")
	case "nothing":
		return nil, nil
	default:
		return script(do), nil
	}
}

type script string

func (s script) Check(ctx context.Context) (Result, error) {
	switch s {
	case "up":
		return Result{Status: Pass, Detail: "fine"}, nil
	case "down":
		return Result{Status: Fail, Detail: "two\nlines"}, nil
	case "fail":
		return Result{Status: Pass, Detail: "no"}, errors.New("cannot look")
	case "panic":
		panic("in Check")
	case "obey":
		<-ctx.Done()
		return Result{Status: Fail, Detail: "silent"}, nil
	case "hang":
		<-time.After(time.Hour)
	}
	return Result{}, nil
}

func TestCommandLine(t *testing.T) {
	config := &Config{Name: "test", Version: "1.0", Track: scripted{}}
	for _, tt := range []struct {
		name        string
		config      *Config
		args        []string
		code        int
		out, stderr string // parts
	}{
		{"by hand it says what it is", config, nil, 1, "", "hareconcile-plugin-test is a plugin of hareconcile"},
		{"-describe prints the schema", config, []string{"-describe"}, 0, `"do": {
      "type": "string",
      "required": true,
      "description": "what to do"
    }`, ""},
		{"-check of something up", config, []string{"-check", `{"do":"up"}`}, 0, "pass: fine\n", ""},
		{"-check of something down", config, []string{"-check", `{"do":"down"}`}, 1, "fail: two lines\n", ""},
		{"-check of something that cannot be measured", config, []string{"-check", `{"do":"fail"}`}, 2, "unknown: cannot look\n", ""},
		{"-check with a panic", config, []string{"-check", `{"do":"panic"}`}, 2, "unknown: panic: in Check\n", ""},
		{"-check without a verdict", config, []string{"-check", `{"do":"?"}`}, 2, "unknown: \n", ""},
		{"-check that hangs", config, []string{"-timeout", "50ms", "-check", `{"do":"hang"}`}, 2, "unknown: no result within 45ms\n", ""},
		{"-check with mistakes", config, []string{"-check", `{"count":"x","nmae":[]}`}, 2, "", "count: want a number\nnmae: there is no such attribute; the plugin has [\"count\" \"do\" \"names\" \"yes\"]\ndo: is required\n"},
		{"-check of what New refuses", config, []string{"-check", `{"do":"refuse"}`}, 2, "", "do: is not allowed\nand more\n"},
		{"-check of what New explodes on", config, []string{"-check", `{"do":"explode"}`}, 2, "", "panic: in New"},
		{"-check of no instance", config, []string{"-check", `{"do":"nothing"}`}, 2, "", "the plugin made no instance"},
		{"an unknown flag", config, []string{"-nope"}, 2, "", "-nope"},
		{"a bad name", &Config{Name: "A b", Track: scripted{}}, nil, 1, "", "built wrongly"},
		{"no tracker", &Config{Name: "a"}, nil, 1, "", "built wrongly"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the time that is left is named in the output
				var out, stderr bytes.Buffer
				code := run(tt.config, tt.args, "", &out, &stderr)
				if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(stderr.String(), tt.stderr) {
					t.Errorf("exit code %d, output %q, errors %q; want %d, %q, %q",
						code, out.String(), stderr.String(), tt.code, tt.out, tt.stderr)
				}
				<-time.After(2 * time.Hour) // a stuck check ends
			})
		})
	}
}

func TestCheckKeepsToItsShareOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			do   script
			want Result
			took time.Duration
		}{
			{"up", Result{Status: Pass, Detail: "fine"}, 0},
			{"obey", Result{Status: Fail, Detail: "silent"}, 800 * time.Millisecond},
			{"hang", Result{Status: Unknown, Code: CodeDeadline, Detail: "no result within 900ms"}, 900 * time.Millisecond},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			i := &instance{i: tt.do}
			begin := time.Now()
			got := i.check(ctx)
			if took := time.Since(begin); !cmp.Equal(got, tt.want) || took != tt.took {
				t.Errorf("check of %q = %v after %v, want %v after %v", tt.do, got, took, tt.want, tt.took)
			}
			if tt.do == "hang" {
				if got := i.check(ctx); got.Status != Unknown || !strings.Contains(got.Detail, "previous") {
					t.Errorf("check of a stuck instance = %v, want unknown", got)
				}
			}
			cancel()
		}
		<-time.After(2 * time.Hour) // the stuck check ends
	})
}

func TestValue(t *testing.T) {
	v, err := ParseValue(scripted{}.Schema(), []byte(`{"do":"x","count":2.5,"names":["a","b"],"yes":true}`))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.String("do"), v.Number("count"), v.Strings("names"), v.Bool("yes"), v.Has("yes"), v.Has("no"), v.String("count"), v.Number("no")}
	want := []any{"x", 2.5, []string{"a", "b"}, true, true, false, "", 0.0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{`{"do":"x"}`, `{"do":null}`, `{"count":1e999}`, `[`, `{"names":[1]}`, "", `{"do":"a"} x`} {
		f.Add([]byte(s))
	}
	s := scripted{}.Schema()
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseValue(s, b)
		if err == nil && !v.Has("do") {
			t.Errorf("ParseValue(%q) accepted a configuration without what is required", b)
		}
	})
}

func TestLogLinesAreHclogs(t *testing.T) {
	var b bytes.Buffer
	slog.New(newLogHandler(&b)).With("id", 7).Debug("looked", "err", "none")
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	stamp, _ := line["@timestamp"].(string)
	if _, err := time.Parse(hclog.TimeFormatJSON, stamp); err != nil {
		t.Error(err)
	}
	delete(line, "@timestamp")
	want := map[string]any{"@level": "debug", "@message": "looked", "id": 7.0, "err": "none"}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}
