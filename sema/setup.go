package sema

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target"
)

// LanguageVersion is the version of SystemTap's language that stapkit has, as
// %( systemtap_v … %) sees it.
const LanguageVersion = "5.6"

// Conditions answer preprocessor conditions from a target and the options of a run.
type Conditions struct {
	Target    *target.Target // nil when nothing is known of it
	Guru      bool
	Privilege string
	// Compatible is the version that scripts are to see, "" for LanguageVersion.
	Compatible string
}

// Lookup gives the value of a name, see syntax.Conditions.
func (c Conditions) Lookup(name string) (string, bool) {
	t := c.Target
	switch name {
	case "systemtap_v":
		if c.Compatible != "" {
			return c.Compatible, true
		}
		return LanguageVersion, true
	case "runtime":
		return "bpf", true
	case "systemtap_privilege":
		if p := c.Privilege; p != "" {
			return p, true
		}
		return "stapdev", true
	case "guru_mode":
		if c.Guru {
			return "1", true
		}
		return "0", true
	case "arch":
		if t == nil {
			return target.ArchName(runtime.GOARCH), true
		}
		return t.Arch(), true
	}
	if t == nil {
		return "", false
	}
	switch name {
	case "kernel_vr":
		return t.Release(), t.Release() != ""
	case "kernel_v":
		v, _, _ := strings.Cut(t.Release(), "-")
		return v, v != ""
	}
	if strings.HasPrefix(name, "CONFIG_") {
		v, known := t.Config(name)
		return v, known
	}
	return "", false
}

// An OpenedLibrary is what OpenLibrary found.
type OpenedLibrary struct {
	Library *Library
	Macros  *syntax.MacroSet
	// Files is the number of library files there are.
	Files int
	// Texts are those of macro files and of the files in directories, by name.
	Texts map[string][]byte
	// Diags are errors in macro files.
	Diags []diag.Diagnostic
}

// UserTapsets are the directories of the user's own library files that need no -I:
// systemtap/tapset below $XDG_DATA_HOME (~/.local/share) and below each directory of
// $XDG_DATA_DIRS, where they exist. SystemTap's own library, which lies in such a place
// too, is none of them: stapkit has its own.
func UserTapsets() []string {
	var bases []string
	if home := os.Getenv("XDG_DATA_HOME"); home != "" {
		bases = append(bases, home)
	} else if home, err := os.UserHomeDir(); err == nil {
		bases = append(bases, filepath.Join(home, ".local", "share"))
	}
	bases = append(bases, filepath.SplitList(os.Getenv("XDG_DATA_DIRS"))...)
	var out []string
	for _, b := range bases {
		dir := filepath.Join(b, "systemtap", "tapset")
		if st, err := os.Stat(dir); !filepath.IsAbs(b) || err != nil || !st.IsDir() || slices.Contains(out, dir) {
			continue
		}
		// Its sign is a folder for each kind of run time.
		if st, err := os.Stat(filepath.Join(dir, "linux")); err == nil && st.IsDir() {
			if st, err := os.Stat(filepath.Join(dir, "dyninst")); err == nil && st.IsDir() {
				continue
			}
		}
		out = append(out, dir)
	}
	return out
}

// TapsetPlace is the directory that is in the place of stapkit's own library, "" for none:
// $SYSTEMTAP_TAPSET. What it does not declare is not there; of what it declares in C,
// which cannot run, stapkit's own counts.
func TapsetPlace() string { return os.Getenv("SYSTEMTAP_TAPSET") }

// TapsetDirs are all directories that OpenLibrary reads beside those it is given.
func TapsetDirs() []string {
	var out []string
	if place := TapsetPlace(); place != "" {
		out = append(out, place)
	}
	return append(out, UserTapsets()...)
}

// OpenLibrary reads the macro files and opens the library sources: directories in
// order, whose files are trusted, then TapsetDirs, then the embedded library. opt are the
// parser's options for the scripts. The error names directories that cannot be read, without which
// the library is.
func OpenLibrary(opt syntax.Options, dirs []string) (*OpenedLibrary, error) {
	l := &OpenedLibrary{Macros: &syntax.MacroSet{}, Texts: map[string][]byte{}}
	args := opt.Args
	opt.Library, opt.Privileged, opt.Args, opt.ArgsUnknown = true, true, nil, false
	opt.Macros = l.Macros
	addMacros := func(name string, text []byte) {
		l.Texts[name] = text
		file := syntax.ParseMacros(name, text, opt)
		if !embeddedFile(name) {
			// What a directory defines counts in place of what stapkit has.
			l.Macros.Drop(file, embeddedFile)
		}
		for _, d := range append(file.Diags, l.Macros.Add(file)...) {
			if d.Severity == diag.Error {
				l.Diags = append(l.Diags, d)
			}
		}
	}
	for _, name := range tapsets.Files() {
		l.Files++
		if strings.HasSuffix(name, ".stpm") {
			text, _ := tapsets.Read(name)
			addMacros(name, text)
		}
	}
	l.Texts[argumentsFile] = argumentsText(args)
	sources := []LibrarySource{NewSource(map[string][]byte{argumentsFile: l.Texts[argumentsFile]}, opt)}
	arch, release := "", ""
	if opt.Target != nil {
		arch, _ = opt.Target.Lookup("arch")
		release, _ = opt.Target.Lookup("kernel_v")
	}
	var errs []error
	for _, dir := range slices.Concat(dirs, TapsetDirs()) {
		texts := map[string][]byte{}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && p != dir && foreign(d.Name(), arch, release) {
				return fs.SkipDir
			}
			ext := filepath.Ext(p)
			if d.IsDir() || ext != ".stp" && ext != ".stpm" {
				return nil
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			l.Files++
			if ext == ".stpm" {
				addMacros(p, text)
				return nil
			}
			texts[p] = text
			l.Texts[p] = text
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("tapset directory: %w", err))
			continue
		}
		sources = append(sources, NewSource(texts, opt))
	}
	sources = append(sources, Embedded())
	l.Library = NewLibrary(opt, sources...)
	l.Library.replaced = TapsetPlace() != ""
	return l, errors.Join(errs...)
}

// embeddedFile reports whether a file is one of stapkit's own library.
func embeddedFile(name string) bool { return strings.HasPrefix(name, tapsets.Prefix) }

// arches are the names of architectures that folders of a library can have.
var arches = []string{"arm", "arm64", "i386", "ia64", "mips", "powerpc", "riscv", "s390", "x86_64"}

// foreign reports whether a folder of a library is for another architecture, runtime or
// kernel, as SystemTap's rule is: its name says so.
func foreign(name, arch, release string) bool {
	switch {
	case name == "bpf" || name == "dyninst":
		return true
	case slices.Contains(arches, name):
		return arch != "" && name != arch
	case name[0] >= '0' && name[0] <= '9':
		return release != "" && name != release && !strings.HasPrefix(release, name+".")
	}
	return false
}

// argumentsFile is the library file that declares argc and argv.
const argumentsFile = tapsets.Prefix + "arguments"

// argumentsText writes that file for the arguments of a run. The script can assign to
// these variables, so they are no constants.
func argumentsText(args []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "/* the number of the script's arguments, and these from 1 on */\nglobal argc = %d\nglobal argv\n", len(args))
	if len(args) == 0 {
		b.WriteString("probe init { argv[1] = \"\" delete argv[1] }\n")
		return []byte(b.String())
	}
	b.WriteString("probe init {\n")
	for i, a := range args {
		fmt.Fprintf(&b, "\targv[%d] = \"%s\"\n", i+1, escaped(a))
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

// escaped writes text as a string literal has it.
func escaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Source gives the text of a library file by name.
func (l *OpenedLibrary) Source(name string) ([]byte, bool) {
	if b, ok := l.Texts[name]; ok {
		return b, true
	}
	return tapsets.Read(name)
}
