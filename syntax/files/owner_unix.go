//go:build unix

package files

import (
	"fmt"
	"os"
	"syscall"
)

const nonBlock = syscall.O_NONBLOCK

// keepOwner gives the new file the owner and group of the old one.
func (s *Source) keepOwner(file *os.File) error {
	st, err := file.Stat()
	if err != nil {
		return err
	}
	old, ok1 := s.info.Sys().(*syscall.Stat_t)
	now, ok2 := st.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || old.Uid == now.Uid && old.Gid == now.Gid {
		return nil
	}
	if err := file.Chown(int(old.Uid), int(old.Gid)); err != nil {
		return fmt.Errorf("its owner cannot be kept: %w", err)
	}
	return nil
}
