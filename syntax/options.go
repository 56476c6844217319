package syntax

import (
	"maps"
	"slices"
	"strings"

	"stapkit/diag"
)

// Options tell how to read a file. The zero value reads a user script in the
// expanded view for an unknown target.
type Options struct {
	View View
	// Args are the script arguments: Args[0] is $1.
	Args []string
	// ArgsUnknown is for tools that see a script without its command line: a script
	// argument beyond Args becomes a ScriptArg node instead of an error.
	ArgsUnknown bool
	// Target answers the preprocessor's conditions; nil means that nothing is known,
	// see Conditions.
	Target Conditions
	// Macros are the library macros; nil for none. A macro of the file hides them.
	Macros *MacroSet
	// Library is set for tapset files: their diagnostics are not the user's, and
	// privileged constructs are allowed.
	Library bool
	// Privileged allows embedded C and @const (SystemTap's guru mode).
	Privileged bool
	// Compatible is the language version of --compatible, "" for the newest.
	Compatible string
	// MaxDepth bounds nesting of expressions, statements, groups and conditionals;
	// 0 means DefaultMaxDepth.
	MaxDepth int
	// MaxDiags bounds the diagnostics of one file; 0 means DefaultMaxDiags.
	MaxDiags int
	// MaxTokens bounds what macro expansion may produce; 0 means DefaultMaxTokens and
	// eight times the tokens of the file.
	MaxTokens int

	library bool // a macro library is being read
}

// Default limits of Options.
const (
	DefaultMaxDepth  = 2000
	DefaultMaxDiags  = 200
	DefaultMaxTokens = 1 << 20
)

// Conditions answer the preprocessor's questions about the target, never about the
// machine that compiles.
type Conditions interface {
	// Lookup gives the value of kernel_v, kernel_vr, arch, runtime, systemtap_v,
	// systemtap_privilege ("stapdev"), guru_mode ("0", "1") and CONFIG_X; an unset
	// CONFIG_X is "", true. The second result is false when the value is not known: a
	// condition on it is then taken as false, with no error.
	Lookup(name string) (string, bool)
}

// StaticConditions are conditions held in a map. Names that are missing are not
// known, but CONFIG_X is "" when any CONFIG_ name is present.
type StaticConditions map[string]string

// A Macro is one definition of a macro.
type Macro struct {
	Name      string // without "@"
	Params    []string
	HasParens bool // takes a parenthesised argument list
	// Def is the place of the name in Source.
	Def    Span
	Source *Source
	// Body are the tokens between "%(" and "%)", offsets in Source.Text.
	Body []Token
	// Library is set for macros of .stpm files.
	Library bool
}

// A MacroSet holds the library macros by name.
type MacroSet struct {
	byName map[string]*Macro
}

// Lookup finds a library macro; nil if there is none.
func (s *MacroSet) Lookup(name string) *Macro {
	if s == nil {
		return nil
	}
	return s.byName[name]
}

func (o *Options) maxDepth() int {
	if o.MaxDepth > 0 {
		return o.MaxDepth
	}
	return DefaultMaxDepth
}

// lookup asks the target. The version of the language is that of --compatible.
func (o *Options) lookup(name string) (string, bool) {
	if name == "systemtap_v" && o.Compatible != "" {
		return o.Compatible, true
	}
	if o.Target == nil {
		return "", false
	}
	return o.Target.Lookup(name)
}

// before reports whether the script is to be read as a language older than version.
func (o *Options) before(version string) bool {
	return o.Compatible != "" && CompareVersions(o.Compatible, version) < 0
}

// Lookup gives the value of a name. When the map holds any CONFIG_ name, a missing
// one is unset; all other missing names are not known.
func (c StaticConditions) Lookup(name string) (string, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	if strings.HasPrefix(name, "CONFIG_") {
		for k := range c {
			if strings.HasPrefix(k, "CONFIG_") {
				return "", true
			}
		}
	}
	return "", false
}

// Add puts the macros of a library file into the set. A name that the set already
// has is an error, and keeps its first definition.
func (s *MacroSet) Add(f *File) []diag.Diagnostic {
	if s.byName == nil {
		s.byName = map[string]*Macro{}
	}
	var ds []diag.Diagnostic
	for _, m := range f.Macros {
		if old := s.byName[m.Name]; old != nil && old != m {
			d := diag.New(codeRedefine, m.defRange(), "attempt to redefine library macro '@%s'", m.Name)
			d.Related = append(d.Related, diag.Related{Range: old.defRange(), Message: "the macro was first defined here"})
			ds = append(ds, d)
			continue
		}
		s.byName[m.Name] = m
	}
	return ds
}

// Drop takes those macros out of the set that a file of the library defines again, if
// weaker says so of the file that they are from.
func (s *MacroSet) Drop(f *File, weaker func(file string) bool) {
	for _, m := range f.Macros {
		if old := s.byName[m.Name]; old != nil && old.Source != nil && weaker(old.Source.Name) {
			delete(s.byName, m.Name)
		}
	}
}

// Names gives the names of the macros, sorted.
func (s *MacroSet) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.byName))
}
