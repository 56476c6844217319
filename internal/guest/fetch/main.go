//go:build linux

// Command fetch downloads the kernels that guests are booted with.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"stapkit/internal/guest"
)

func main() {
	code := 0
	for _, s := range guest.Suites {
		k, err := guest.Fetch(context.Background(), s.Kernel)
		var absent *guest.MissingError
		switch {
		case errors.As(err, &absent):
			fmt.Printf("guest %s: tests in it are skipped: %v\n", s.Kernel, err)
		case err != nil:
			fmt.Fprintf(os.Stderr, "guest %s: %v\n", s.Kernel, err)
			code = 1
		default:
			fmt.Printf("guest %s: %s\n", s.Kernel, k.Release)
		}
	}
	os.Exit(code)
}
