package files

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// keepAttributes gives the new file the extended attributes of the old one: access lists
// among them, without which the mode would mean something else. Those of the security
// modules and of the system may not be settable; access lists have to be.
func (s *Source) keepAttributes(file *os.File) error {
	old, err := s.dir.OpenFile(s.rel, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	from, to := int(old.Fd()), int(file.Fd())
	list := make([]byte, 1<<16) // the most that the kernel gives
	n, err := unix.Flistxattr(from, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("its attributes cannot be read: %w", err)
	}
	value := make([]byte, 1<<16)
	for name := range bytes.SplitSeq(bytes.TrimRight(list[:n], "\x00"), []byte{0}) {
		if len(name) == 0 {
			continue
		}
		k, err := unix.Fgetxattr(from, string(name), value)
		if err == nil {
			err = unix.Fsetxattr(to, string(name), value[:k], 0)
		}
		if err != nil && (bytes.HasPrefix(name, []byte("system.posix_acl_")) || bytes.HasPrefix(name, []byte("user."))) {
			return fmt.Errorf("its attribute %s cannot be kept: %w", name, err)
		}
	}
	return nil
}
