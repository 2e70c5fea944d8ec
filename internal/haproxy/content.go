package haproxy

import (
	"crypto/sha1" // haproxy's choice of a name for a certificate, no proof of anything
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// MapText writes a map as haproxy reads it (configuration.txt, map).
func MapText(m spec.HAProxyMap) string {
	var b strings.Builder
	for _, e := range m.Entries {
		b.WriteString(e.Key + " " + e.Value + "\n")
	}
	return b.String()
}

// ParseMaps reads the reply to `show map`: the files of the maps that are loaded.
func ParseMaps(reply string) (map[string]bool, error) {
	if !strings.HasPrefix(reply, "# id (file)") {
		return nil, fmt.Errorf("show map: %w: %.80q", ErrReply, reply)
	}
	out := map[string]bool{}
	for line := range strings.Lines(reply) {
		_, rest, ok := strings.Cut(line, " (")
		if path, _, closed := strings.Cut(rest, ") "); ok && closed && !strings.HasPrefix(line, "#") {
			out[path] = true
		}
	}
	return out, nil
}

// ParseMap reads the reply to `show map FILE`: the lines of the file, sorted.
func ParseMap(reply string) (string, error) {
	var lines []string
	for line := range strings.Lines(reply) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		pointer, entry, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(pointer, "0x") {
			return "", fmt.Errorf("show map: %w: %.80q", ErrReply, line)
		}
		lines = append(lines, entry+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), nil
}

// ParseMapVersion reads the reply to `prepare map`.
func ParseMapVersion(reply string) (string, error) {
	_, version, ok := strings.Cut(strings.TrimSpace(reply), "New version created: ")
	if !ok || version == "" || strings.Trim(version, "0123456789") != "" {
		return "", fmt.Errorf("prepare map: %w: %.80q", ErrReply, reply)
	}
	return version, nil
}

// ParseCertificate reads the reply to `show ssl cert FILE`: the SHA-1 fingerprint of the leaf
// in lower case, or "" if haproxy has no such certificate.
func ParseCertificate(reply string) (string, error) {
	for line := range strings.Lines(reply) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && name == "SHA1 FingerPrint" {
			return strings.ToLower(strings.TrimSpace(value)), nil
		}
	}
	if strings.Contains(reply, "Not found") {
		return "", nil
	}
	return "", fmt.Errorf("show ssl cert: %w: %.80q", ErrReply, reply)
}

// Leaf returns the SHA-1 fingerprint of the first certificate in a PEM file as haproxy tells
// it, in lower case.
func Leaf(file []byte) (string, error) {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			sum := sha1.Sum(block.Bytes)
			return hex.EncodeToString(sum[:]), nil
		}
	}
	return "", errors.New("there is no certificate in it")
}
