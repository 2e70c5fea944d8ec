// Fuzz runs every fuzz target of the module for a while, one after the other: 30 seconds
// each, or as long as its argument says.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	each := 30 * time.Second
	if len(args) > 0 {
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		each = d
	}
	list, err := exec.Command("go", "list", "./...").Output()
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	for _, pkg := range strings.Fields(string(list)) {
		names, err := exec.Command("go", "test", "-list", "^Fuzz", pkg).Output()
		if err != nil {
			return fmt.Errorf("list targets of %s: %w", pkg, err)
		}
		for _, line := range strings.Split(string(names), "\n") {
			if !strings.HasPrefix(line, "Fuzz") {
				continue
			}
			fmt.Printf("== %s %s\n", pkg, line)
			// A short minimisation: by default one interesting input may take a minute.
			cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+line+"$", "-fuzztime", each.String(), "-fuzzminimizetime", "20x", pkg)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s %s: %w", pkg, line, err)
			}
		}
	}
	return nil
}
