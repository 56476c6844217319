//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	loader "stapkit/runtime"
	"stapkit/target"
)

// checkInfo is the JSON of --check.
type checkInfo struct {
	Verdict verdictInfo         `json:"verdict"`
	Probes  []loader.ProbeState `json:"probes"`
	Uses    usesInfo            `json:"uses"`
	// Needs are the capabilities that it takes, and whether this process has them.
	Needs  []loader.Need `json:"needs,omitempty"`
	Limits limitsInfo    `json:"limits"`
}

type usesInfo struct {
	Carriers     []string `json:"carriers"`
	Helpers      []string `json:"helpers"`
	Kfuncs       []string `json:"kfuncs"`
	Rights       []string `json:"rights"`
	MapBytes     int64    `json:"map_bytes"` // on this host
	Programs     int64    `json:"programs"`
	Instructions int64    `json:"instructions"`
}

type limitsInfo struct {
	MapMemory  int64   `json:"map_memory,omitempty"`
	Runtime    string  `json:"runtime,omitempty"`
	OutputRate int64   `json:"output_rate,omitempty"`
	CPU        float64 `json:"cpu,omitempty"`
}

// check says whether the bundle would run here: its verdict, its probes on this
// kernel, and what it takes. Nothing is attached. The status is that of the verdict,
// or of "not for this kernel".
func check(o *options, v trust.Verdict, img loader.Image, u bundle.Uses, l trust.Limits, stdout, stderr io.Writer) int {
	info := checkInfo{Uses: usesInfo{u.Carriers, u.Helpers, u.Kfuncs, u.Rights, memory(&u), u.Programs, u.Instructions}}
	info.Limits = limitsInfo{MapMemory: l.MapMemory, OutputRate: l.OutputRate, CPU: l.CPU}
	if l.Runtime > 0 {
		info.Limits.Runtime = l.Runtime.String()
	}
	tgt, err := target.Running()
	if err == nil {
		defer tgt.Close()
		info.Probes, err = loader.Check(img, tgt)
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	info.Needs = loader.Needs(img, &u)
	for _, p := range info.Probes {
		if p.State == loader.StateMissing && !p.Optional {
			v = v.ForKernel("required probes are missing")
		}
	}
	info.Verdict = infoOf(v)
	if o.json {
		err = writeJSON(stdout, &info)
	} else {
		err = info.write(stdout, v)
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	return v.Kind.ExitCode()
}

// maxNamed bounds the probes that are named for a capability.
const maxNamed = 4

func (c *checkInfo) write(w io.Writer, v trust.Verdict) error {
	var s strings.Builder
	fmt.Fprintf(&s, "verdict  %s\n", printable(v.String()))
	for _, p := range c.Probes {
		fmt.Fprintf(&s, "%-8s %s", p.State, printable(p.Point))
		if p.Carrier != "" {
			fmt.Fprintf(&s, "  [%s]", printable(p.Carrier))
		}
		if p.Instructions > 0 {
			fmt.Fprintf(&s, "  up to %d instructions", p.Instructions)
		}
		s.WriteByte('\n')
		for _, why := range p.Why {
			fmt.Fprintf(&s, "           %s\n", printable(why))
		}
	}
	fmt.Fprintf(&s, "cost     %d programs of %d instructions in all, about %d KiB of maps\n", c.Uses.Programs, c.Uses.Instructions, c.Uses.MapBytes>>10)
	if len(c.Uses.Rights) > 0 {
		fmt.Fprintf(&s, "rights   %s\n", strings.Join(c.Uses.Rights, " "))
	}
	for _, n := range c.Needs {
		how := "needs"
		if !n.Always {
			how = "may need"
		}
		fmt.Fprintf(&s, "%-8s %s %s", how, n.Capability, n.Why)
		if len(n.Probes) > maxNamed {
			fmt.Fprintf(&s, ": %s and %d more", printable(strings.Join(n.Probes[:maxNamed], ", ")), len(n.Probes)-maxNamed)
		} else if len(n.Probes) > 0 {
			fmt.Fprintf(&s, ": %s", printable(strings.Join(n.Probes, ", ")))
		}
		if !n.Held {
			s.WriteString(" (this process lacks it)")
		}
		s.WriteByte('\n')
	}
	var limits []string
	if c.Limits.CPU > 0 {
		limits = append(limits, fmt.Sprintf("cpu %g%%", c.Limits.CPU))
	}
	if c.Limits.MapMemory > 0 {
		limits = append(limits, fmt.Sprintf("map_memory %d KiB", c.Limits.MapMemory>>10))
	}
	if c.Limits.OutputRate > 0 {
		limits = append(limits, fmt.Sprintf("output_rate %d kB/s", c.Limits.OutputRate/1000))
	}
	if c.Limits.Runtime != "" {
		limits = append(limits, "runtime "+c.Limits.Runtime)
	}
	fmt.Fprintf(&s, "limits   %s\n", strings.Join(limits, ", "))
	_, err := io.WriteString(w, s.String())
	return err
}

// bundleDirs are where packages and administrators install bundles that are started by
// name (staprun@NAME.service).
var bundleDirs = []string{"/etc/stapkit/bundles", "/usr/lib/stapkit/bundles"}

// installed is a bundle in one of bundleDirs.
type installed struct {
	Name    string      `json:"name"`
	File    string      `json:"file"`
	Script  string      `json:"script,omitempty"`
	Verdict verdictInfo `json:"verdict"`
}

// listInfo is the JSON of --list.
type listInfo struct {
	Installed []installed `json:"installed"`
	Running   []record    `json:"running"`
}

// list shows what is installed and what runs.
func list(o *options, stdout, stderr io.Writer) int {
	info := listInfo{Installed: []installed{}, Running: []record{}}
	seen := map[string]bool{}
	for _, dir := range bundleDirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.o"))
		if err != nil {
			files = nil // the pattern is ours
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".o")
			if seen[name] {
				continue
			}
			seen[name] = true
			in := installed{Name: name, File: file}
			if data, err := readInstalled(file); err != nil {
				in.Verdict = verdictInfo{Verdict: "unreadable", Reason: err.Error()}
			} else {
				v := verify(data)
				in.Verdict = infoOf(v)
				if v.Bundle != nil {
					in.Script = v.Bundle.Manifest.Script
				}
			}
			info.Installed = append(info.Installed, in)
		}
	}
	runs, err := running()
	if err == nil {
		info.Running = append(info.Running, runs...)
		if o.json {
			err = writeJSON(stdout, &info)
		} else {
			err = info.write(stdout)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	return 0
}

// readInstalled is readBundle for a file that nobody has named: nothing but a regular file,
// since a pipe could keep the list from being shown.
func readInstalled(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", file))
	}
	return readAll(f)
}

func (l *listInfo) write(w io.Writer) error {
	var s strings.Builder
	s.WriteString("installed\n")
	for _, b := range l.Installed {
		who := b.Verdict.Verdict
		if b.Verdict.Principal != "" {
			who += ", signed by " + b.Verdict.Principal
		}
		fmt.Fprintf(&s, "  %-20s %s  %s\n", printable(b.Name), printable(who), printable(b.File))
	}
	s.WriteString("running\n")
	for i := range l.Running {
		r := &l.Running[i]
		fmt.Fprintf(&s, "  %-8d %-10s %-10s %s", r.PID, printable(r.User), time.Since(r.Begun).Round(time.Second), printable(r.Bundle))
		if r.Signer != "" {
			fmt.Fprintf(&s, "  signed by %s", printable(r.Signer))
		}
		s.WriteByte('\n')
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// export writes what ssh-keygen -Y verify needs.
func export(o *options, v trust.Verdict, stderr io.Writer) int {
	if v.Bundle == nil {
		return tell(stderr, o, v)
	}
	err := os.WriteFile(o.export+".manifest", v.Bundle.Message, 0o644)
	for i, sig := range v.Bundle.Signatures {
		if err != nil {
			break
		}
		name := o.export + ".sig"
		if i > 0 {
			name = fmt.Sprintf("%s.%d.sig", o.export, i+1)
		}
		var armored []byte
		if armored, err = sig.Armor(); err == nil {
			err = os.WriteFile(name, armored, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	if len(v.Bundle.Signatures) == 0 {
		fmt.Fprintf(stderr, "staprun: %s: %s\n", o.bundle, trust.Unsigned)
		return trust.Unsigned.ExitCode()
	}
	return 0
}
