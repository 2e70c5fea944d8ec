package main

import (
	"testing"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// TestOtherReleases repeats what depends on replies of haproxy that releases word differently.
func TestOtherReleases(t *testing.T) {
	haproxytest.Others(t, map[string]func(*testing.T){
		"RunningHaproxy":  TestRunningHaproxy,
		"WorkerKilled":    TestWorkerKilled,
		"AfterReload":     TestAfterReload,
		"OldWorkers":      TestOldWorkers,
		"OldWorkersByAge": TestOldWorkersByAge,
		"Structure":       TestStructure,
		"Certificates":    TestCertificates,
	})
}
