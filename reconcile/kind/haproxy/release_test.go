package haproxy_test

import (
	"testing"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// What releases of haproxy do differently is tested with each.

func TestReloads(t *testing.T) { haproxytest.Each(t, testReloads) }

func TestAFailedReload(t *testing.T) { haproxytest.Each(t, testAFailedReload) }

func TestADrainByHandStays(t *testing.T) { haproxytest.Each(t, testADrainByHandStays) }

func TestAMapThatSomebodyChanged(t *testing.T) { haproxytest.Each(t, testAMapThatSomebodyChanged) }

func TestACertificateThatWasRenewed(t *testing.T) {
	haproxytest.Each(t, testACertificateThatWasRenewed)
}
