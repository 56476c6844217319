package tracefs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mount makes a mount of tracefs that is attached to no directory and is
// reached by its file descriptor only.
func mount() (*FS, error) {
	ctx, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ctx)
	if err := unix.FsconfigCreate(ctx); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, err
	}
	return &FS{root: fmt.Sprintf("/proc/self/fd/%d", fd), close: func() error { return unix.Close(fd) }}, nil
}
