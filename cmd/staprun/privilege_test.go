//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/driver"
	"stapkit/internal/host"
)

// bundleOf compiles a script for the running kernel as stapc does.
func bundleOf(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.o")
	var out strings.Builder
	if st := driver.Stapc(append(args, "-o", name, "-e", script), strings.NewReader(""), &out, &out); st != 0 {
		t.Fatalf("stapc: status %d: %s", st, out.String())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCapabilities runs a bundle as a user that is not root, with the capabilities that
// its probes need and with one less, which the message names.
func TestCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give capabilities away")
	}
	host.NeedBPF(t)
	if _, err := os.Stat("/usr/bin/setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	file := save(t, signed(t, bundleOf(t, `global n
		probe kernel.trace("sys_enter") { n++ }
		probe syscall.* { n++ }
		probe timer.ms(300) { printf("%d\n", n > 0) exit() }`), ann))
	for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(exe); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{signersFile: annLine, policyFile: "[[allow]]\nusers = [\"*\"]"}
	for _, tt := range []struct {
		caps   string
		status int
		want   string
	}{
		{"+bpf,+perfmon", 0, "1\n"},
		{"+bpf", 1, "lacks CAP_PERFMON"},
		{"+perfmon", 1, "lacks CAP_BPF"},
		{"-all", 1, "lacks CAP_BPF"},
	} {
		t.Setenv(capsVar, tt.caps)
		r := commandWith(t, files, file)
		if r.status != tt.status || !strings.Contains(r.out+r.errOut, tt.want) {
			t.Errorf("with %s: %+v", tt.caps, r)
		}
	}
}

// TestNeeds: --check names the capabilities that a script takes, for which probes, and what
// this process lacks of them.
func TestNeeds(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("needs a kernel with BTF, to compile for")
	}
	if _, err := os.Stat("/usr/bin/setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	data := bundleOf(t, `global n, s
		probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET") { n++ }
		probe process("/bin/sh").begin { s[ubacktrace()] = symname(n) }
		probe procfs("f").read { $value = "x" }`)
	name := save(t, signed(t, data, ann))
	open := func(path string) {
		for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	open(exe)
	open(name)
	t.Setenv(capsVar, "+bpf,+perfmon")
	files := map[string]string{signersFile: annLine, policyFile: "[[allow]]\nusers = [\"*\"]"}
	r := commandWith(t, files, "--check", name)
	for _, want := range []string{
		"needs    CAP_BPF to load programs into the kernel\n",
		"needs    CAP_NET_ADMIN to hook into the network: netfilter.hook(", "CAP_SYS_ADMIN to mount the files of procfs probes: procfs",
		"may need CAP_SYSLOG to see the addresses of kernel symbols", "may need CAP_SYS_PTRACE to read the memory maps of other users' processes (this process lacks it)\n",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s%s", want, r.out, r.errOut)
		}
	}
	if !strings.Contains(r.out, "this process lacks CAP_NET_ADMIN, to hook into the network\n") || r.status != 25 {
		t.Errorf("status %d:\n%s", r.status, r.out)
	}
}

// TestUnit has systemd check the unit that runs installed bundles.
func TestUnit(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	unit, err := os.ReadFile("../../packaging/systemd/staprun@.service")
	if err != nil {
		t.Fatal(err)
	}
	// Only what is installed can be checked: another program stands in.
	text := strings.Replace(string(unit), "/usr/bin/staprun", "/bin/true", 1)
	text = strings.Replace(text, "man:staprun(8)", "man:true(1)", 1)
	name := filepath.Join(t.TempDir(), "staprun@.service")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", name).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// Pages are not installed everywhere, and other units are not ours.
		if strings.Contains(line, "staprun@") && !strings.Contains(line, "man ") {
			t.Errorf("%v: %s", err, line)
		}
	}
}
