//go:build linux

package guest

import (
	"os"
	"os/exec"
	"runtime"
)

// A machine is a kind of computer that guests are.
type machine struct {
	emulator string   // program
	deb      string   // the package it is from
	computer []string // the emulator's options for it
	console  string   // the kernel's console: the first serial line
	line     []string // options that make another serial line of chardev "line",
	device   string   // and its file in the guest
}

// machines are those of each architecture, as Go names them.
var machines = map[string]*machine{
	"amd64": {
		emulator: "qemu-system-x86_64", deb: "qemu-system-x86",
		// cmpxchg16b is hidden because QEMU 7.2 gets its flags wrong, which Linux 6.12
		// does not survive.
		computer: []string{"-cpu", "max,-cx16", "-M", "q35"},
		console:  "ttyS0", line: []string{"-serial", "chardev:line"}, device: "/dev/ttyS1",
	},
	"arm64": {
		emulator: "qemu-system-aarch64", deb: "qemu-system-arm",
		// Pointers are signed by a cheap hash: the architecture's own cipher takes half
		// of all time when it is emulated.
		computer: []string{"-cpu", "max,pauth-impdef=on", "-M", "virt"},
		console:  "ttyAMA0", line: []string{"-device", "pci-serial,chardev=line"}, device: "/dev/ttyS0",
	},
}

// find gives the path of the emulator.
func (m *machine) find() (string, error) {
	name := m.emulator
	if m == machines["amd64"] {
		if runtime.GOARCH != "amd64" {
			return "", missing("guests are for amd64")
		}
		if other := os.Getenv(EmulatorEnv); other != "" {
			name = other
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", missing("%s is not there (Debian: %s)", m.emulator, m.deb)
	}
	return path, nil
}
