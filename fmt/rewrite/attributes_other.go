//go:build !linux

package rewrite

import "os"

// keepAttributes has nothing to do where attributes are not read.
func (s *source) keepAttributes(*os.File) error { return nil }
