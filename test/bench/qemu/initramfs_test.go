package qemu

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"testing"
)

// TestArchive reads back what the kernel would read, by the fields of a newc header.
func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := &archive{w: &b, made: map[string]bool{"/": true}}
	a.link("/bin", "usr/bin")
	a.file("/bin/sh", fs.FileMode(0o755), []byte("five5"))
	a.end()
	if a.err != nil {
		t.Fatal(a.err)
	}
	var got []string
	for raw := b.Bytes(); len(raw) > 0; {
		field := func(n int) int {
			v, err := strconv.ParseUint(string(raw[6+8*n:14+8*n]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		mode, size, length := field(1), field(6), field(11)
		name := string(raw[110 : 110+length-1])
		at := (110 + length + 3) &^ 3
		got = append(got, fmt.Sprintf("%s %o %s", name, mode, raw[at:at+size]))
		raw = raw[(at+size+3)&^3:]
	}
	want := []string{"bin 120777 usr/bin", "usr 40755 ", "usr/bin 40755 ", "usr/bin/sh 100755 five5", "TRAILER!!! 0 "}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("archive = %q, want %q", got, want)
	}
}
