// Package desc describes one host: what its kernel is and what can be probed
// there.
//
// A Source answers raw questions about a host. The running host is one (Live);
// a host description is another: one file, written on any Linux host by
// "staprun --describe", from which scripts are compiled on a machine that has
// nothing of that host's kernel.
package desc

import (
	"errors"

	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// ErrUnknown says that a source does not know what it was asked for. It comes
// wrapped in an error that tells why.
var ErrUnknown = errors.New("not known")

// Kernel is the object name of the kernel proper, as opposed to a module.
const Kernel = "vmlinux"

// Info identifies a host and its kernel.
type Info struct {
	Release string // uname -r, such as "6.1.0-56-cloud-amd64"; "" when not known
	Version string // uname -v
	Machine string // uname -m, such as "x86_64"
	BuildID string // of the kernel, in hexadecimal
}

// Source answers questions about a host. Methods may be slow on first use;
// callers keep the answers. What cannot be told is an error that wraps
// ErrUnknown or the reason (such as fs.ErrPermission).
type Source interface {
	Info() (Info, error)
	// Config is the text of the kernel's configuration (".config").
	Config() ([]byte, error)
	// Objects lists the objects that have BTF: Kernel first, then modules,
	// sorted.
	Objects() ([]string, error)
	// BTF is the raw BTF of an object.
	BTF(object string) ([]byte, error)
	// Modules lists the modules that are loaded, sorted by name.
	Modules() ([]sym.Module, error)
	Symbols() (*sym.Table, error)
	// Events lists the trace events, sorted.
	Events() ([]tracefs.Name, error)
	Format(tracefs.Name) (*tracefs.Event, error)
	// FormatText is the text of an event's format file.
	FormatText(tracefs.Name) ([]byte, error)
	// Deny lists the functions that the kernel refuses to probe, sorted.
	Deny() ([]string, error)
	// Traceable lists the functions that ftrace can hook, sorted; a module's
	// as "name [module]".
	Traceable() ([]string, error)
	// Features tells what the kernel's BPF can do, by the names that the
	// loader's prober uses.
	Features() (map[string]bool, error)
	// Close releases what the source holds. Answers stay valid.
	Close() error
}
