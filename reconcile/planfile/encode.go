package planfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// noChanges is how a File without changes has its list. JSON has no line breaks in its
// strings, so nothing else in a File looks like it.
const noChanges = "\n  \"resource_changes\": []"

// Encode writes f as indented JSON. The same plan gives the same bytes. Changes are written
// one by one: all of a big table's would be tens of megabytes.
func (f File) Encode(w io.Writer) error {
	frame := f
	frame.Changes = []Change{}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(frame); err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	head, tail, _ := bytes.Cut(b.Bytes(), []byte(noChanges))
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(head) // a bufio.Writer keeps its first error for Flush
	if len(f.Changes) == 0 {
		out.WriteString(noChanges)
	} else if err := writeChanges(out, f.Changes); err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	out.Write(tail)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	return nil
}

// writeChanges writes the list of a File that has changes.
func writeChanges(w *bufio.Writer, cs []Change) error {
	w.WriteString(noChanges[:len(noChanges)-1])
	var one bytes.Buffer
	e := json.NewEncoder(&one)
	e.SetIndent("    ", "  ")
	e.SetEscapeHTML(false)
	for i, c := range cs {
		if i > 0 {
			w.WriteByte(',')
		}
		one.Reset()
		if err := e.Encode(c); err != nil {
			return err
		}
		w.WriteString("\n    ")
		w.Write(bytes.TrimSuffix(one.Bytes(), []byte("\n")))
	}
	_, err := w.WriteString("\n  ]")
	return err
}

// Fingerprint returns a digest of what carrying out the plan would do and on what grounds:
// node, boot, compiled cluster, and every change with its value before. A plan is stale
// when the plan made now has another one.
func (f File) Fingerprint() string {
	sum := sha256.New()
	e := json.NewEncoder(sum) // one document a line
	add := func(v any) {
		if err := e.Encode(v); err != nil {
			panic("planfile: resources always marshal: " + err.Error())
		}
	}
	add([]string{f.Node, f.BootID, f.Digest})
	type step struct {
		Address, Action string
		Before, After   any
	}
	for _, c := range f.Changes {
		add(step{c.Address, c.Action, c.Before, c.After})
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}
