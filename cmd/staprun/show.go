//go:build linux

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"stapkit/bundle/trust"
	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/target"
	"stapkit/target/desc"
)

// verdictInfo is the JSON of --verify, and a part of --inspect's.
type verdictInfo struct {
	Verdict   string `json:"verdict"`
	Reason    string `json:"reason,omitempty"`
	Code      string `json:"code,omitempty"`
	Principal string `json:"principal,omitempty"`
	Key       string `json:"key,omitempty"`
	Source    string `json:"source,omitempty"`
	Exit      int    `json:"exit"`
}

func infoOf(v trust.Verdict) verdictInfo {
	return verdictInfo{v.Kind.String(), v.Reason, string(v.Kind.Code()), v.Principal, v.Key, v.Source, v.Kind.ExitCode()}
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = w.Write(append(printableJSON(b), '\n'))
	}
	return err
}

// tell says in one line what has become of a bundle; what more there is to say of probes
// stands in lines behind it. It returns the exit status.
func tell(w io.Writer, o *options, v trust.Verdict) int {
	first, more, _ := strings.Cut(v.String(), "\n")
	fmt.Fprintf(w, "staprun: %s: %s [%s]\n", printable(o.bundle), printable(first), v.Kind.Code())
	for line := range strings.Lines(more) {
		fmt.Fprintf(w, "  %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
	return v.Kind.ExitCode()
}

func showVerdict(o *options, v trust.Verdict, stdout, stderr io.Writer) int {
	var err error
	switch {
	case o.json:
		err = writeJSON(stdout, infoOf(v))
	case v.Kind == trust.OK:
		_, err = fmt.Fprintf(stdout, "%s: ok: signed by %s (%s, allowed by %s)\n", printable(o.bundle), printable(v.Principal), v.Key, printable(v.Source))
	default:
		_, err = fmt.Fprintf(stdout, "%s: %s [%s]\n", printable(o.bundle), printable(v.String()), v.Kind.Code())
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	return v.Kind.ExitCode()
}

// bundleInfo is the JSON of --inspect.
type bundleInfo struct {
	File         string        `json:"file"`
	Verdict      verdictInfo   `json:"verdict"`
	Script       string        `json:"script"`
	ScriptSHA256 string        `json:"script_sha256"`
	Tool         string        `json:"tool"`
	ObjectSHA256 string        `json:"object_sha256"`
	Signatures   int           `json:"signatures"`
	Signed       []verdictInfo `json:"signed,omitempty"` // what each signature comes to
	Probes       []probeInfo   `json:"probes"`
	Globals      []globalInfo  `json:"globals"`
	Limits       ir.Limits     `json:"limits"`
	Needs        []string      `json:"needs,omitempty"`
	Warnings     []string      `json:"warnings,omitempty"`
	Sections     []sectionInfo `json:"sections"`
	// Variants are the programs for different kernels; what is shown is the one
	// for this kernel, or for that of --target.
	Variants []loader.Fit `json:"variants,omitempty"`
	// Kernel is the oldest kernel that has what the program uses.
	Kernel loader.Oldest `json:"kernel"`
}

type probeInfo struct {
	Point    string   `json:"point"`
	Place    string   `json:"place,omitempty"` // in the script
	Carriers []string `json:"carriers"`        // best first
	Kernel   bool     `json:"kernel"`
	Optional bool     `json:"optional,omitempty"`
}

type globalInfo struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Settable bool   `json:"settable,omitempty"`
	Initial  string `json:"initial,omitempty"`
	Entries  int    `json:"max_entries,omitempty"`
}

type sectionInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// inspect shows what is in a bundle, whether or not it may be run. The status is
// that of --verify only if the file is damaged.
func inspect(o *options, v trust.Verdict, stdout, stderr io.Writer) int {
	if v.Bundle == nil {
		return tell(stderr, o, v)
	}
	img, fits, err := image(v.Bundle, o.target)
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %s: %v\n", o.bundle, err)
		return exitFailed
	}
	m, p := &v.Bundle.Manifest, img.Program
	info := bundleInfo{
		File: o.bundle, Verdict: infoOf(v), Script: m.Script, ScriptSHA256: hex.EncodeToString(m.ScriptSHA256[:]),
		Tool: m.Tool, ObjectSHA256: hex.EncodeToString(m.ELFSHA256[:]), Signatures: len(v.Bundle.Signatures),
		Limits: p.Limits, Needs: p.Needs, Warnings: p.Warnings, Variants: fits,
	}
	if info.Kernel, err = loader.OldestKernel(img); err != nil {
		fmt.Fprintf(stderr, "staprun: %s: %v\n", o.bundle, err)
		return exitFailed
	}
	for i := range v.Signatures {
		info.Signed = append(info.Signed, infoOf(v.Signatures[i]))
	}
	for i := range p.Probes {
		pr := &p.Probes[i]
		pi := probeInfo{Point: pr.Point, Optional: pr.Optional}
		if pr.Site > 0 && pr.Site < len(p.Sites) {
			s := &p.Sites[pr.Site]
			pi.Place = fmt.Sprintf("%s:%d:%d", s.File, s.Line, s.Col)
		}
		for _, a := range pr.Attach {
			c := a.Carrier
			if a.Target != "" {
				c += " " + a.Target
			}
			pi.Carriers = append(pi.Carriers, c)
			pi.Kernel = pi.Kernel || a.Carrier != "loader"
		}
		info.Probes = append(info.Probes, pi)
	}
	for i := range p.Globals {
		g := &p.Globals[i]
		if g.Library {
			continue
		}
		gi := globalInfo{Name: g.Name, Type: typeText(g), Settable: g.Settable}
		switch {
		case g.IsArray():
			gi.Entries = g.MaxEntries
		case g.Value.Kind == ir.Str:
			gi.Initial = fmt.Sprintf("%q", g.InitStr)
		case g.Value.Kind == ir.Int:
			gi.Initial = fmt.Sprint(g.InitInt)
		}
		info.Globals = append(info.Globals, gi)
	}
	for _, s := range m.Sections {
		info.Sections = append(info.Sections, sectionInfo{s.Name, s.Size, hex.EncodeToString(s.SHA256[:])})
	}
	if o.json {
		err = writeJSON(stdout, &info)
	} else {
		err = info.write(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	return 0
}

func typeText(g *ir.Global) string {
	name := func(t ir.Type) string {
		switch t.Kind {
		case ir.Int:
			return "long"
		case ir.Stat:
			return "stats"
		}
		return "string"
	}
	if !g.IsArray() {
		return name(g.Value)
	}
	var keys []string
	for _, k := range g.Keys {
		keys = append(keys, name(k))
	}
	return name(g.Value) + " [" + strings.Join(keys, ", ") + "]"
}

func (b *bundleInfo) write(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "file       %s\nverdict    %s", printable(b.File), b.Verdict.Verdict)
	switch {
	case b.Verdict.Principal != "":
		fmt.Fprintf(&s, ", signed by %s (%s)", printable(b.Verdict.Principal), b.Verdict.Key)
	case b.Verdict.Reason != "":
		fmt.Fprintf(&s, ": %s", printable(b.Verdict.Reason))
	}
	fmt.Fprintf(&s, "\nscript     %s (sha256 %s)\ntool       %s\nobject     sha256 %s\n", printable(b.Script), b.ScriptSHA256, printable(b.Tool), b.ObjectSHA256)
	if len(b.Signed) > 1 {
		for _, v := range b.Signed {
			fmt.Fprintf(&s, "signature  %s  %s", v.Key, v.Verdict)
			if v.Principal != "" {
				fmt.Fprintf(&s, ", signed by %s", printable(v.Principal))
			}
			s.WriteByte('\n')
		}
	}
	fmt.Fprintf(&s, "kernel     %s\n", printable(b.Kernel.String()))
	if len(b.Variants) > 0 {
		s.WriteString("variants\n")
	}
	for _, v := range b.Variants {
		mark := ""
		if v.Chosen {
			mark = "  (for this kernel; shown below)"
		}
		if n := len(v.Missing); n > 0 {
			mark += fmt.Sprintf("  lacks here: %s", printable(strings.Join(v.Missing, ", ")))
		}
		fmt.Fprintf(&s, "  %s%s\n", printable(v.Target), mark)
	}
	s.WriteString("probes\n")
	for _, p := range b.Probes {
		fmt.Fprintf(&s, "  %s", printable(p.Point))
		if p.Optional {
			s.WriteString("?")
		}
		fmt.Fprintf(&s, "  [%s]", printable(strings.Join(p.Carriers, ", ")))
		if p.Place != "" {
			fmt.Fprintf(&s, "  %s", printable(p.Place))
		}
		s.WriteByte('\n')
	}
	if len(b.Globals) > 0 {
		s.WriteString("globals\n")
	}
	for _, g := range b.Globals {
		fmt.Fprintf(&s, "  %s:%s", printable(g.Name), g.Type)
		if g.Entries > 0 {
			fmt.Fprintf(&s, " (at most %d)", g.Entries)
		}
		if g.Settable {
			fmt.Fprintf(&s, " = %s (may be set)", printable(g.Initial))
		}
		s.WriteByte('\n')
	}
	if len(b.Needs) > 0 {
		fmt.Fprintf(&s, "needs      %s\n", printable(strings.Join(b.Needs, " ")))
	}
	for _, t := range b.Warnings {
		fmt.Fprintf(&s, "warning    %s\n", printable(t))
	}
	s.WriteString("sections\n")
	for _, x := range b.Sections {
		fmt.Fprintf(&s, "  %-28s %8d\n", printable(x.Name), x.Size)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// dryRun says of every probe whether it is there. The status is that of "not for
// this kernel" if one that must be is not.
func dryRun(o *options, img loader.Image, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	open := target.Running
	if o.target != "" {
		open = func() (*target.Target, error) { return target.Open(o.target) }
	}
	tgt, err := open()
	if err != nil {
		return fail(err)
	}
	defer tgt.Close()
	list, err := loader.DryRun(img, tgt)
	if err != nil {
		return fail(err)
	}
	missing := false
	for _, p := range list {
		missing = missing || p.State == loader.StateMissing && !p.Optional
	}
	if o.json {
		err = writeJSON(stdout, list)
	} else {
		for _, p := range list {
			line := fmt.Sprintf("%-8s %s", p.State, printable(p.Point))
			if p.Carrier != "" {
				line += "  [" + printable(p.Carrier) + "]"
			}
			for _, w := range p.Why {
				line += "\n           " + printable(w)
			}
			if _, err = fmt.Fprintln(stdout, line); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fail(err)
	}
	if missing {
		return trust.WrongKernel.ExitCode()
	}
	return 0
}

// describe writes the description of this host.
func describe(name string, stderr io.Writer) error {
	live := desc.NewLive("")
	live.FeatureProbe = loader.Features
	defer live.Close()
	f, err := desc.Collect(live, desc.Options{})
	if err != nil {
		return err
	}
	if err := f.Save(name); err != nil {
		return err
	}
	notes, err := f.Notes()
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(stderr, "staprun: not in the description: %s\n", printable(n))
	}
	return nil
}
