package hcl

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// satisfies reports whether a version fits a constraint such as ">= 0.1, < 1.0". A
// pre-release counts as its release: a development version may read the files it will read.
func satisfies(version, constraint string) (bool, error) {
	have, err := parseVersion(strings.SplitN(version, "-", 2)[0])
	if err != nil {
		return false, err
	}
	fits := true
	for part := range strings.SplitSeq(constraint, ",") {
		part = strings.TrimSpace(part)
		op := strings.TrimRight(part[:len(part)-len(strings.TrimLeft(part, "<>=!~"))], " ")
		want, err := parseVersion(strings.TrimSpace(part[len(op):]))
		if err != nil {
			return false, err
		}
		c := compare(have, want)
		switch op {
		case "", "=":
			fits = fits && c == 0
		case "!=":
			fits = fits && c != 0
		case ">":
			fits = fits && c > 0
		case ">=":
			fits = fits && c >= 0
		case "<":
			fits = fits && c < 0
		case "<=":
			fits = fits && c <= 0
		case "~>":
			n := max(1, strings.Count(part, "."))
			fits = fits && c >= 0 && compare(have[:n], want[:n]) == 0
		default:
			return false, fmt.Errorf("%q is not a comparison", op)
		}
	}
	return fits, nil
}

func parseVersion(s string) ([]int, error) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return nil, fmt.Errorf("%q is not a version", s)
	}
	out := make([]int, 3)
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%q is not a version", s)
		}
		out[i] = int(n)
	}
	return out, nil
}

func compare(a, b []int) int {
	for i := range a {
		if c := cmp.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}
