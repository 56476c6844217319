package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"stapkit/bundle"
	"stapkit/compile/ebpf"
	"stapkit/compile/lower"
	"stapkit/compile/object"
	"stapkit/diag"
	"stapkit/format"
	"stapkit/ir"
	"stapkit/plan"
	loader "stapkit/runtime"
)

// Compiled is the result of passes 3 and 4.
type Compiled struct {
	// Target names the kernel, if several were asked for.
	Target  string
	Name    string
	Program *ir.Program
	// ELF is the object; its .stap sections hold the program for the loader.
	ELF []byte
	// Encoded is what the bundle holds of the program.
	Encoded []byte
	Report  *ebpf.Report
	Diags   []diag.Diagnostic

	img loader.Image // see image
}

// image is what the loader makes of the finished object; it is read once.
func (c *Compiled) image() loader.Image {
	if c.img.Program != c.Program || len(c.img.ELF) != len(c.ELF) {
		c.img = loader.NewImage(c.Program, c.ELF)
	}
	return c.img
}

// limitNames are the limits that -D can set, with where they go.
var limitNames = map[string]func(*ir.Limits, int){
	"MAXACTION": func(l *ir.Limits, n int) {
		l.MaxAction, l.MaxActionInterruptible = n, 10*n
	},
	"MAXACTION_INTERRUPTIBLE": func(l *ir.Limits, n int) { l.MaxActionInterruptible = n },
	"MAXSTRINGLEN":            func(l *ir.Limits, n int) { l.MaxStringLen = n },
	"MAXMAPENTRIES":           func(l *ir.Limits, n int) { l.MaxMapEntries = n },
	"MAXNESTING":              func(l *ir.Limits, n int) { l.MaxNesting = n },
	"MAXERRORS":               func(l *ir.Limits, n int) { l.MaxErrors = n },
	"MAXSKIPPED":              func(l *ir.Limits, n int) { l.MaxSkipped = n },
	"MAXTRYLOCK":              func(l *ir.Limits, n int) { l.MaxTryLock = n },
	"MAXBACKTRACE":            func(l *ir.Limits, n int) { l.MaxBacktrace = n },
	"STP_NO_OVERLOAD":         func(l *ir.Limits, n int) { l.NoOverload = n != 0 },
	"HIST_ELISION":            func(l *ir.Limits, n int) { l.HistElision = n - format.HistElision },
}

// maxBacktrace is the most frames of a stack that the value of a variable has room for;
// kernels tell 127 unless kernel.perf_event_max_stack permits more.
const maxBacktrace = 2000

// Limits turns -D settings into limits. Names that do not concern eBPF are
// returned.
func Limits(defines map[string]string) (l ir.Limits, ignored []string, err error) {
	l = ir.DefaultLimits()
	for _, name := range sortedNames(defines) {
		set, ok := limitNames[name]
		if !ok {
			ignored = append(ignored, name)
			continue
		}
		n, err := strconv.ParseInt(defines[name], 0, 32)
		if name == "HIST_ELISION" && err == nil && n < 0 {
			n = -1 // nothing is left out
		}
		if err != nil || n < 0 && name != "HIST_ELISION" {
			return l, nil, fmt.Errorf("-D %s=%s: the value must be a number from 0 to 2147483647", name, defines[name])
		}
		if name == "MAXSTRINGLEN" && (n < 2 || n > ir.MaxStrWidth) {
			return l, nil, fmt.Errorf("-D MAXSTRINGLEN=%d: the value must be from 2 to %d", n, ir.MaxStrWidth)
		}
		if name == "MAXBACKTRACE" && n > maxBacktrace {
			return l, nil, fmt.Errorf("-D MAXBACKTRACE=%d: the value must be from 0 to %d", n, maxBacktrace)
		}
		if name == "MAXMAPENTRIES" && n < 1 {
			return l, nil, fmt.Errorf("-D MAXMAPENTRIES=%d: the value must be at least 1", n)
		}
		set(&l, int(n))
	}
	return l, ignored, nil
}

// Translate is pass 3: it lowers and plans the program, and generates code.
func (f *Frontend) Translate() (*Compiled, *object.Spec, error) {
	c := f.Config
	limits, _, err := Limits(c.Defines)
	if err != nil {
		return nil, nil, err
	}
	if c.NoTimeLimits {
		limits.NoOverload = true
		limits.MaxAction, limits.MaxActionInterruptible = math.MaxInt32, math.MaxInt32
		limits.MaxTryLock = max(limits.MaxTryLock, 100*ir.DefaultLimits().MaxTryLock)
	}
	out := &Compiled{Name: c.Name}
	if out.Name == "" {
		out.Name = f.defaultName()
	}
	opt := lower.Options{
		Name: out.Name, Limits: limits, Arch: c.goarch(), HZ: c.hz(), NoGlobalDisplay: c.NoGlobalDisplay, SuppressErrors: c.SuppressErrors,
	}
	out.Diags = append(out.Diags, f.Program.Late...)
	if f.Program.Unresolved {
		return nil, nil, errors.New("the script cannot be compiled: nothing is known of its target or of a script argument, see the notes above " +
			"(give the target with -r or --target, or run where the kernel's BTF can be read)")
	}
	var ds []diag.Diagnostic
	out.Program, ds = lower.Program(f.Program, opt)
	out.Diags = append(out.Diags, ds...)
	if diag.HasErrors(out.Diags) {
		return out, nil, nil
	}
	if err := setGlobals(out.Program, c.Globals); err != nil {
		return nil, nil, err
	}
	out.Diags = append(out.Diags, plan.Apply(out.Program)...)
	if diag.HasErrors(out.Diags) {
		return out, nil, nil
	}
	if err := ir.Check(out.Program); err != nil {
		return nil, nil, fmt.Errorf("internal error: the lowered program is not well-formed: %w", err)
	}
	spec, report, ds := ebpf.Generate(out.Program, ebpf.Options{Line: f.line, Arch: c.goarch()})
	out.Report = report
	out.Diags = append(out.Diags, ds...)
	if diag.HasErrors(out.Diags) {
		return out, nil, nil
	}
	return out, spec, nil
}

// setGlobals gives scalar globals other initial values (-G).
func setGlobals(p *ir.Program, values map[string]string) error {
next:
	for _, name := range sortedNames(values) {
		for i := range p.Globals {
			g := &p.Globals[i]
			if g.Name != name || g.Library {
				continue
			}
			if !g.Settable {
				return fmt.Errorf("-G %s: only scalar globals can be given a value", name)
			}
			if g.Value.Kind == ir.Str {
				g.InitStr = values[name]
				continue next
			}
			n, err := strconv.ParseInt(values[name], 0, 64)
			if err != nil {
				u, uerr := strconv.ParseUint(values[name], 0, 64)
				if uerr != nil {
					return fmt.Errorf("-G %s=%s: %s is a number", name, values[name], name)
				}
				n = int64(u)
			}
			g.InitInt = n
			continue next
		}
		return fmt.Errorf("-G %s: the script has no global of that name", name)
	}
	return nil
}

// defaultName makes a bundle name of the first script's.
func (f *Frontend) defaultName() string {
	if len(f.Files) > 0 && !strings.HasPrefix(f.Files[0].Name, "<") {
		name := lower.ScriptName(f.Files[0].Name)
		name = strings.Map(func(r rune) rune {
			if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
				return r
			}
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return '_'
		}, name)
		if name != "" {
			return name
		}
	}
	return "stap_" + f.hash()[:16]
}

// hash is the SHA-256 of the scripts and their arguments, in hex.
func (f *Frontend) hash() string {
	h := sha256.New()
	for _, s := range f.Config.Scripts {
		fmt.Fprintf(h, "%d\n", len(s.Text))
		h.Write(s.Text)
	}
	for _, a := range f.Config.Args {
		fmt.Fprintf(h, "%d\n%s", len(a), a)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Object is pass 4: the object file, with everything that the loader needs.
func (f *Frontend) Object(c *Compiled, spec *object.Spec) error {
	enc, err := ir.Encode(c.Program)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	c.Encoded = enc
	spec.Sections = append(spec.Sections,
		object.Section{Name: ".stap.ir", Data: enc},
		object.Section{Name: bundle.MarkSection, Data: bundle.Mark()})
	if c.ELF, err = object.Write(spec); err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return nil
}

// Bundle makes the unsigned bundle file of a compiled script. All are its variants,
// c the first, which has the objects of the others in its own.
func (f *Frontend) Bundle(c *Compiled, all []*Compiled) ([]byte, error) {
	uses, err := usesOf(all)
	if err != nil {
		return nil, err
	}
	var images []loader.Image
	for _, v := range all {
		images = append(images, v.image())
	}
	oldest, err := loader.OldestOf(images)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return bundle.Write(c.ELF, bundle.Manifest{
		Script: f.Config.Scripts[0].Name, ScriptSHA256: sha256.Sum256(f.Config.Scripts[0].Text),
		Tool: "stapkit " + Release, Fields: append([]bundle.Field{{Name: "x-kernel", Value: oldest.String()}}, uses.Fields()...),
	})
}

// line gives a line of a script or library file, for line information.
func (f *Frontend) line(file string, n int) string {
	text, ok := f.lines[file]
	if !ok {
		if b, found := f.Source(file); found {
			text = strings.Split(string(b), "\n")
		}
		if f.lines == nil {
			f.lines = map[string][]string{}
		}
		f.lines[file] = text
	}
	if n < 1 || n > len(text) {
		return ""
	}
	return strings.TrimSpace(text[n-1])
}

// goarch is the target's architecture by Go's names, "" for amd64.
func (c *Config) goarch() string {
	if c.Target != nil && c.Target.Arch() == "arm64" {
		return "arm64"
	}
	return ""
}
