//go:build linux

// Package guesttest gives tests the guests that they run in.
package guesttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"stapkit/internal/guest"
)

// Kernel finds a kernel by find, which is guest.Find or guest.FindChosen. The test is
// skipped where there is none, or no emulator.
func Kernel(t *testing.T, find func(string) (*guest.Kernel, error), name string) *guest.Kernel {
	t.Helper()
	k, err := find(name)
	if err == nil {
		_, err = k.Emulator()
	}
	var absent *guest.MissingError
	if errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Boot gives a running guest, which ends with the test.
func Boot(t *testing.T, k *guest.Kernel, o guest.Options) *guest.Guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	g, err := guest.Boot(ctx, k, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}
