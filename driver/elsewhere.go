package driver

import "errors"

// elsewhere is pass 5 on systems other than Linux.
func (s *stap) elsewhere() int {
	return s.fail(errors.New("pass 5 runs on Linux only; use -p4 and run the bundle with staprun on a Linux host"))
}
