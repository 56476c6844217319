//go:build linux

package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kernel is a kernel of the distribution, unpacked but not installed.
type Kernel struct {
	Name    string // "6.1", "6.1-arm64"
	Arch    string // as Go has it
	Release string // as uname -r gives it
	Image   string // file
	Modules string // folder
	Busybox string // file: a static busybox
}

// A Suite is a kernel that guests can be booted with, and the suite of the distribution
// that it is from.
type Suite struct{ Kernel, Suite string }

// Suites are the kernels that most tests run on.
var Suites = []Suite{
	{"6.1", "bookworm"},
	{"6.12", "bookworm-backports"},
}

// Foreign are kernels of other machines: the architecture, as Debian and Go name it, is
// behind the version.
var Foreign = []Suite{
	{"6.1-arm64", "bookworm"},
	{"6.12-arm64", "bookworm-backports"},
}

// archOf is the architecture of a kernel by its name.
func archOf(name string) string {
	if _, arch, ok := strings.Cut(name, "-"); ok {
		return arch
	}
	return "amd64"
}

// MissingError says that something that guests need is not on this machine.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return e.What }

func missing(format string, args ...any) error {
	return &MissingError{What: fmt.Sprintf(format, args...)}
}

// Find gives a kernel that Fetch has unpacked. The error is a *MissingError when
// it has not.
func Find(name string) (*Kernel, error) {
	dir, err := cache(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing("kernel %s is not there (go run ./internal/guest/fetch gets it)", name)
	}
	if err != nil {
		return nil, err
	}
	k := &Kernel{}
	if err := json.Unmarshal(data, k); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "kernel.json"), err)
	}
	k.Arch = archOf(name)
	for _, p := range []*string{&k.Image, &k.Modules, &k.Busybox} {
		*p = filepath.Join(dir, *p)
		if _, err := os.Stat(*p); err != nil {
			return nil, missing("kernel %s is not whole: %v", name, err)
		}
	}
	return k, nil
}

// cache is the folder of a kernel.
func cache(name string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", missing("no folder for kernels: %v", err)
	}
	return filepath.Join(dir, "stapkit", "guest", name), nil
}

// Debug is the debugging information of a kernel and its modules, from the
// distribution's debug package, unpacked but not installed.
type Debug struct {
	Release string
	// Root is a folder that stands for "/": -r ROOT and --sysroot find what is in it.
	Root    string
	Vmlinux string // file
	Modules string // folder with a file NAME.ko for each module, in folders below
}

// FindDebug gives the debugging information of a kernel that FetchDebug has
// unpacked. The error is a *MissingError when it has not.
func FindDebug(name string) (*Debug, error) {
	dir, err := cache(name + "-debug")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "debug.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing("the debugging information of kernel %s is not there (go run ./internal/guest/fetch -debug %s gets it)", name, name)
	}
	if err != nil {
		return nil, err
	}
	d := &Debug{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "debug.json"), err)
	}
	for _, p := range []*string{&d.Root, &d.Vmlinux, &d.Modules} {
		*p = filepath.Join(dir, *p)
		if _, err := os.Stat(*p); err != nil {
			return nil, missing("the debugging information of kernel %s is not whole: %v", name, err)
		}
	}
	return d, nil
}

// FetchDebug downloads and unpacks the debug package of the kernel that Fetch
// gives for a name, unless that was done before. It is some 300 MB to download and
// 1.5 GB unpacked.
func FetchDebug(ctx context.Context, name string) (*Debug, error) {
	k, err := Fetch(ctx, name)
	if err != nil {
		return nil, err
	}
	err = once(name+"-debug", func() error {
		d, err := FindDebug(name)
		if err == nil && d.Release != k.Release {
			return missing("it is of another kernel, %s", d.Release)
		}
		return err
	}, func(dir string) error {
		suite, err := suiteOf(name)
		if err != nil {
			return err
		}
		pkg := "linux-image-" + k.Release + "-dbg"
		if err := unpack(ctx, dir, suite, archOf(name), func(*apt) ([]string, error) { return []string{pkg}, nil }); err != nil {
			return err
		}
		return describe(filepath.Join(dir, "debug.json"), &Debug{
			Release: k.Release, Root: "root",
			Vmlinux: filepath.Join("root", "usr", "lib", "debug", "boot", "vmlinux-"+k.Release),
			Modules: filepath.Join("root", "usr", "lib", "debug", "lib", "modules", k.Release),
		})
	})
	if err != nil {
		return nil, err
	}
	return FindDebug(name)
}

// once runs make on an empty folder of the cache unless find finds what it makes;
// find fails with a *MissingError where it does not. Another process that wants
// the same waits.
func once(name string, find func() error, make func(dir string) error) error {
	dir, err := cache(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	var absent *MissingError
	if err := find(); !errors.As(err, &absent) {
		return err
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return missing("%s is not there: kernels are those of Debian", tool)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return make(dir)
}

// suiteOf is the suite of the distribution that a kernel is from.
func suiteOf(name string) (string, error) {
	for _, s := range slices.Concat(Suites, Foreign) {
		if s.Kernel == name {
			return s.Suite, nil
		}
	}
	return "", fmt.Errorf("no kernel %s", name)
}

// unpack downloads packages and unpacks them below dir/root.
func unpack(ctx context.Context, dir, suite, arch string, choose func(*apt) ([]string, error)) error {
	work := filepath.Join(dir, "apt")
	a, err := newApt(work, suite, arch)
	if err != nil {
		return err
	}
	if _, err := a.run(ctx, "apt-get", "-qq", "update"); err != nil {
		return err
	}
	packages, err := choose(a)
	if err != nil {
		return err
	}
	if _, err := a.run(ctx, "apt-get", append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, packages...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := a.run(ctx, "dpkg", "-x", deb, filepath.Join(dir, "root")); err != nil {
			return err
		}
	}
	return os.RemoveAll(work)
}

// describe writes what a folder of the cache holds, last: with it the folder is
// whole.
func describe(path string, what any) error {
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Fetch downloads and unpacks a kernel of the distribution, unless that was done
// before. Nothing is installed: apt runs on lists and a cache of its own.
func Fetch(ctx context.Context, name string) (*Kernel, error) {
	err := once(name, func() error { _, err := Find(name); return err }, func(dir string) error {
		return fetchKernel(ctx, name, dir)
	})
	if err != nil {
		return nil, err
	}
	return Find(name)
}

func fetchKernel(ctx context.Context, name, dir string) error {
	suite, err := suiteOf(name)
	if err != nil {
		return err
	}
	image := ""
	cloud := "linux-image-cloud-" + archOf(name)
	err = unpack(ctx, dir, suite, archOf(name), func(a *apt) ([]string, error) {
		deps, err := a.run(ctx, "apt-cache", "depends", cloud)
		if err != nil {
			return nil, err
		}
		for _, l := range strings.Split(deps, "\n") {
			if _, p, ok := strings.Cut(l, "Depends: "); ok && strings.HasPrefix(p, "linux-image-") {
				image = strings.TrimSpace(p)
			}
		}
		if image == "" {
			return nil, fmt.Errorf("%s of %s names no kernel:\n%s", cloud, suite, deps)
		}
		return []string{image, "busybox-static"}, nil
	})
	if err != nil {
		return err
	}
	release := strings.TrimPrefix(image, "linux-image-")
	k := &Kernel{
		Name: name, Arch: archOf(name), Release: release,
		Image:   filepath.Join("root", "boot", "vmlinuz-"+release),
		Modules: filepath.Join("root", "lib", "modules", release),
		Busybox: filepath.Join("root", "bin", "busybox"),
	}
	if _, err := os.Stat(filepath.Join(dir, k.Busybox)); err != nil {
		k.Busybox = filepath.Join("root", "usr", "bin", "busybox")
	}
	return describe(filepath.Join(dir, "kernel.json"), k)
}

// apt is a package manager with state of its own.
type apt struct{ dir string }

// newApt prepares the state in a folder, for one suite of the mirror that the
// machine uses, and packages of one architecture.
func newApt(dir, suite, arch string) (*apt, error) {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	// A mirror that the machine uses is one that it can reach. Busybox is not
	// rebuilt for backports.
	source := ""
	for _, s := range []string{"bookworm", suite} {
		source += fmt.Sprintf("deb [arch=%s signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", arch, mirror(), s)
		if suite == s {
			break
		}
	}
	conf := fmt.Sprintf("Dir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferences %q;\nDir::State::lists %q;\nDir::Cache %q;\nAcquire::Languages \"none\";\nAPT::Architecture %q;\nAPT::Architectures { %q; };\n",
		filepath.Join(dir, "sources.list"), filepath.Join(dir, "preferences"), filepath.Join(dir, "lists"), filepath.Join(dir, "cache"), arch, arch)
	preferences := fmt.Sprintf("Package: *\nPin: release n=%s\nPin-Priority: 900\n", suite)
	for name, text := range map[string]string{"sources.list": source, "apt.conf": conf, "preferences": preferences} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return &apt{dir: dir}, nil
}

// mirror is where the machine has its packages from.
func mirror() string {
	const usual = "http://deb.debian.org/debian"
	files, err := filepath.Glob("/etc/apt/sources.list.d/debian*.sources")
	if err != nil {
		return usual
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, l := range strings.Split(string(data), "\n") {
			if rest, ok := strings.CutPrefix(l, "URIs:"); ok {
				if uris := strings.Fields(rest); len(uris) > 0 {
					return uris[0]
				}
			}
		}
	}
	return usual
}

func (a *apt) run(ctx context.Context, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// FindChosen is Find for test runs that take minutes and, on a busy machine, may end in
// an emulator's own failures (its processors see code that another one patches half
// done): the kernel must be named in STAPKIT_KERNELS, a version or "all".
func FindChosen(version string) (*Kernel, error) {
	if want := os.Getenv("STAPKIT_KERNELS"); want != "all" && want != version {
		return nil, missing("takes minutes: STAPKIT_KERNELS=%s (or all) in the environment runs it", version)
	}
	return Find(version)
}
