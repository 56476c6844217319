package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inode tells files of the same size and time apart.
func inode(st fs.FileInfo) string {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d %d.%d", s.Dev, s.Ino, s.Ctim.Sec, s.Ctim.Nsec)
	}
	return ""
}

// onlyOurs says whether a file or directory belongs to whom the program runs as, and
// nobody else can write it.
func onlyOurs(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&fs.ModeSymlink != 0 || int(s.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not used: somebody else could write it", path)
	}
	return nil
}

// hostState is what a compilation for this host depends on that can change: which
// kernel runs, what is loaded into it, and what this user may see of it.
func hostState() ([]string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	out := []string{
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:]),
		string(boot), fmt.Sprint(os.Geteuid()),
	}
	modules, err := os.ReadFile("/proc/modules")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(modules)) {
		name, _, _ := strings.Cut(line, " ")
		out = append(out, name)
	}
	for _, name := range []string{"/proc/sys/kernel/kptr_restrict", "/proc/sys/kernel/perf_event_paranoid"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		out = append(out, string(b))
	}
	for _, root := range []string{"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"} {
		for _, dir := range []string{"", "kprobes", "uprobes", "synthetic"} {
			es, err := os.ReadDir(filepath.Join(root, dir))
			out = append(out, fmt.Sprint(root, dir, err))
			for _, e := range es {
				out = append(out, e.Name())
			}
		}
	}
	return out, nil
}
