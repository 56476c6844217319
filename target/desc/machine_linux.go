package desc

import "golang.org/x/sys/unix"

// machine is uname -m, "" when the kernel does not say.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Machine[:])
}
