//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// open lets everybody look into the directories of a test's file.
func open(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
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
	open(t, file)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	open(t, exe)
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
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	open(t, exe)
	open(t, name)
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

// TestHidepid: where /proc hides others' processes (hidepid), their addresses have names if the
// capability is there, and otherwise the run goes on with numbers and names what is missing.
func TestHidepid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give capabilities away")
	}
	host.NeedBPF(t)
	if _, err := os.Stat("/usr/bin/setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	try := exec.Command("/bin/sh", "-c", "mount -t proc -o hidepid=2 proc /proc")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("/proc cannot be mounted here: %v: %s", err, out)
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	file := save(t, signed(t, bundleOf(t, `probe syscall.getpgid { if (pid() == target()) { println("at ", usymname(uaddr())) exit() } }`), ann))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	open(t, file)
	open(t, exe)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				// It is called to be seen.
				_, _ = unix.Getpgid(0)
			}
		}
	}()
	files := map[string]string{signersFile: annLine, policyFile: "[[allow]]\nusers = [\"*\"]", "/proc": "hidepid=2"}
	self := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ caps, out, errOut string }{
		{"+bpf,+perfmon", `^at 0x[0-9a-f]+\n$`, `^WARNING: addresses of process ` + self + ` have no names: /proc hides process ` + self + ` \(hidepid\): permission denied; this process lacks CAP_SYS_PTRACE, .*\n$`},
		{"+bpf,+perfmon,+sys_ptrace,+dac_read_search", `^at [a-zA-Z/]*[sS]yscall\S*\n$`, `^$`},
	} {
		t.Setenv(capsVar, tt.caps)
		r := commandWith(t, files, "-x", self, "-T", "60", file)
		if r.status != 0 || !regexp.MustCompile(tt.out).MatchString(r.out) || !regexp.MustCompile(tt.errOut).MatchString(r.errOut) {
			t.Errorf("with %s: %+v", tt.caps, r)
		}
	}
}

// TestFullDisk: an output that takes no more ends the run, says so in one line, and fails.
func TestFullDisk(t *testing.T) {
	file := save(t, hello(t))
	for _, args := range [][]string{{"-o", "/dev/full"}, {"-o", "/dev/full", "--format", "json"}} {
		r := command(t, "", append(append([]string{"--allow-unsigned"}, args...), file)...)
		if want := "ERROR: output: write /dev/full: no space left on device\n"; r.status != 1 || r.out != "" || r.errOut != want {
			t.Errorf("%q: %+v", args, r)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := plain(t, nil, file)
	cmd.Stdout = full
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 || !strings.HasSuffix(said.String(), ": no space left on device\n") {
		t.Errorf("%v: %s", err, said.String())
	}
}
