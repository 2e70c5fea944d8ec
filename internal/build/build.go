// Package build says which release this binary is.
package build

// Version is the release; the Makefile sets it with -ldflags "-X".
var Version = "0.1.0-dev"
