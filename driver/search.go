package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"stapkit/sema"
	"stapkit/target"
	"stapkit/target/debuginfod"
	"stapkit/target/elf"
)

// binaries are the programs, libraries and debug files that scripts are held
// against: those below a root directory, "" for "/"; debug files also where
// $SYSTEMTAP_DEBUGINFO_PATH says and, where $DEBUGINFOD_URLS names servers and download
// is set, from these. log gets a line for each download.
func binaries(root string, download bool, log io.Writer) (*sema.Binaries, error) {
	if root != "" {
		st, err := os.Stat(root)
		if err != nil {
			return nil, fmt.Errorf("--sysroot: %w", err)
		}
		if !st.IsDir() {
			return nil, fmt.Errorf("--sysroot: %s is no directory", root)
		}
		if root, err = filepath.Abs(root); err != nil {
			return nil, fmt.Errorf("--sysroot: %w", err)
		}
		if root == "/" {
			root = ""
		}
	}
	b := &sema.Binaries{Search: elf.Search{Root: root}}
	for _, p := range strings.Split(os.Getenv("SYSTEMTAP_DEBUGINFO_PATH"), ":") {
		// "+" and "-" say whether CRCs are checked, which they always are here;
		// relative directories are those of the program, which are looked in anyway.
		if p = strings.TrimLeft(p, "+-"); filepath.IsAbs(p) {
			b.Search.Debug = append(b.Search.Debug, p)
		}
	}
	if c := debuginfod.FromEnvironment(); download && c != nil {
		c.Told = func(message string) { fmt.Fprintf(log, "stap: %s\n", message) }
		b.Search.Fetch = c.Fetch
	}
	return b, nil
}

// openTargets opens what -r names: with a root directory, releases of kernels that
// are installed there. Without any it is the running kernel; why tells where there is
// none whose types can be read.
func openTargets(specs []string, root string) (out []*target.Target, why error, err error) {
	if len(specs) == 0 && root == "" {
		t, err := target.Running()
		if err != nil {
			// The language tools go on without a target; what needs one says so.
			return nil, err, nil
		}
		if _, why = t.BTF(); why != nil {
			return []*target.Target{t}, why, nil
		}
		return []*target.Target{t}, nil, nil
	}
	if len(specs) == 0 {
		rel, err := onlyRelease(root)
		if err != nil {
			return nil, nil, err
		}
		specs = []string{rel}
	}
	for _, s := range specs {
		if root != "" && !strings.Contains(s, "/") && s != "running" {
			t, err := target.FromRelease(root, s)
			if err != nil {
				return nil, nil, errors.Join(err, closeAll(out))
			}
			out = append(out, t)
			continue
		}
		ts, err := target.OpenAll([]string{s})
		if err != nil {
			return nil, nil, errors.Join(err, closeAll(out))
		}
		out = append(out, ts...)
	}
	return out, nil, nil
}

func closeAll(ts []*target.Target) error {
	var errs []error
	for _, t := range ts {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// onlyRelease is the release of the kernel that is installed below a root directory.
func onlyRelease(root string) (string, error) {
	var names []string
	seen := map[string]bool{}
	for _, dir := range []string{"lib/modules", "usr/lib/modules", "usr/lib/debug/lib/modules"} {
		es, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			continue
		}
		for _, e := range es {
			if e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				names = append(names, e.Name())
			}
		}
	}
	switch len(names) {
	case 0:
		return "", fmt.Errorf("--sysroot: no kernel is installed below %s; name one with -r", root)
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("--sysroot: several kernels are installed below %s; choose one with -r: %s", root, strings.Join(names, ", "))
}
