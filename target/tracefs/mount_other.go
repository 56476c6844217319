//go:build !linux

package tracefs

import "errors"

func mount() (*FS, error) { return nil, errors.ErrUnsupported }
