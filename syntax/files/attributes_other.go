//go:build !linux

package files

import "os"

// keepAttributes has nothing to do where attributes are not read.
func (s *Source) keepAttributes(*os.File) error { return nil }
