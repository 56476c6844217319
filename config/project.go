package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"stapkit/diag"
)

// ProjectFile is the name of the file in which a project says how its scripts are
// read.
const ProjectFile = "stapkit.toml"

var codeProject = diag.Register(diag.Info{Code: "E1600", Title: "stapkit.toml cannot be used", Doc: `
A project's stapkit.toml is looked for in the directory of a script and upwards. It
is TOML: settings for all scripts at the top, settings for some below [[files]],
which name them by a pattern.

    include = ["tapset"]            # further library directories

    [[files]]
    glob = "net/*.stp"              # or a list of patterns
    args = ["10", "eth0"]           # script arguments $1, $2
    guru = true
    targets = ["web"]

    [target.web]                    # a BTF file, a host description or a release
    path = "hosts/web.stapdesc"
    digest = "sha256:…"             # optional: only this content is used

A pattern without a slash means files of that name in any directory; "**" means any
number of directories. Of several sections that fit a script, later ones override
earlier ones.

The message says where the file is not as expected: a key that does not exist, a
value of another kind, a target that is named and not described, or one whose
content is not what its digest says.`})

// Settings say how a script is read. A field that is nil or empty says nothing.
type Settings struct {
	// Args are the script arguments.
	Args []string `toml:"args"`
	// Guru is -g.
	Guru *bool `toml:"guru"`
	// Include are further library directories (-I), relative to the file they are in.
	Include []string `toml:"include"`
	// Define are limits (-D).
	Define map[string]string `toml:"define"`
	// Global are initial values of globals (-G).
	Global     map[string]string `toml:"global"`
	Compatible string            `toml:"compatible"`
	Privilege  string            `toml:"privilege"`
	// Command is the command line of -c, for "process" without a path.
	Command string `toml:"command"`
	// Targets are what the script is for: names of [target.…], else what -r takes.
	Targets []string `toml:"targets"`
}

// Section is one [[files]] of a stapkit.toml.
type Section struct {
	Glob Patterns `toml:"glob"`
	Settings
}

// Patterns is one pattern or a list.
type Patterns []string

// UnmarshalTOML takes a string or an array of strings.
func (p *Patterns) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*p = Patterns{v}
		return nil
	case []any:
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return fmt.Errorf("glob has %v, which is no string", x)
			}
			*p = append(*p, s)
		}
		return nil
	}
	return fmt.Errorf("glob is %v, which is neither a string nor a list of strings", v)
}

// NamedTarget is a [target.NAME].
type NamedTarget struct {
	// Path is a file, relative to the project's file, or a release.
	Path string `toml:"path"`
	// Digest is "sha256:" and the hash of the file in hexadecimal, or "".
	Digest string `toml:"digest"`
}

// Project is what a stapkit.toml says.
type Project struct {
	Path string `toml:"-"` // of the file
	Settings
	Files  []Section              `toml:"files"`
	Target map[string]NamedTarget `toml:"target"`
	Lint   Lint                   `toml:"lint"`
}

// Error is what is wrong with a stapkit.toml.
type Error struct {
	Path   string
	Line   int // from 1; 0 when it is not known
	Column int // from 1
	Text   string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Path + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Text)
}

// Diagnostic is the error as diagnostics are shown.
func (e *Error) Diagnostic() diag.Diagnostic {
	var r diag.Range
	if e.Line > 0 {
		r.Start = diag.Pos{File: e.Path, Line: e.Line, Col: e.Column}
		r.End = r.Start
	}
	d := diag.New(codeProject, r, "%s", e.Text)
	d.Help = "see docs/errors/E1600.md for what a stapkit.toml may hold"
	return d
}

// FindProject looks for a stapkit.toml in a directory and upwards; "" is none.
func FindProject(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for {
		p := filepath.Join(dir, ProjectFile)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// valueError is how the TOML reader writes about a value of another kind.
var valueError = regexp.MustCompile(`^line \d+ \(last key "(.*?)"\): (.*)`)

// maxProject bounds the file.
const maxProject = 1 << 20

// LoadProject reads a stapkit.toml. What is wrong with its content is an *Error.
func LoadProject(path string) (*Project, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxProject+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxProject {
		return nil, &Error{Path: path, Text: "the file is larger than 1 MiB"}
	}
	return ParseProject(path, string(text))
}

// ParseProject is LoadProject for a text; path names it, and relative paths in it are
// relative to its directory.
func ParseProject(path, text string) (*Project, error) {
	p := &Project{Path: path}
	md, err := toml.Decode(text, p)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			e := &Error{Path: path, Line: pe.Position.Line, Column: max(pe.Position.Col, 1), Text: pe.Message}
			if e.Text == "" {
				e.Text = strings.TrimPrefix(pe.Error(), "toml: ")
			}
			return nil, e
		}
		e := &Error{Path: path, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		if m := valueError.FindStringSubmatch(e.Text); m != nil {
			e.Text = m[2]
			keys := strings.Split(m[1], ".")
			e.Line, e.Column = findKey(text, keys[len(keys)-1])
		}
		return nil, e
	}
	if un := md.Undecoded(); len(un) > 0 {
		key := un[0]
		line, col := findKey(text, key[len(key)-1])
		return nil, &Error{Path: path, Line: line, Column: col, Text: fmt.Sprintf("unknown key %q", key.String())}
	}
	if err := p.check(text); err != nil {
		return nil, err
	}
	return p, nil
}

// findKey finds where a key stands first in a text, for messages.
func findKey(text, key string) (line, col int) {
	n := 0
	for l := range strings.Lines(text) {
		n++
		rest := strings.TrimLeft(l, " \t[{,\"'")
		at := len(l) - len(rest)
		if name, ok := strings.CutPrefix(rest, key); ok && (name == "" || strings.ContainsRune(" \t=\"'].", rune(name[0]))) {
			return n, at + 1
		}
		if i := strings.Index(l, "."+key+"]"); i >= 0 {
			return n, i + 2
		}
	}
	return 0, 0
}

var privileges = []string{"", "stapusr", "stapsys", "stapdev"}

func (p *Project) check(text string) error {
	fail := func(key, format string, args ...any) error {
		line, col := findKey(text, key)
		return &Error{Path: p.Path, Line: line, Column: col, Text: fmt.Sprintf(format, args...)}
	}
	all := []Settings{p.Settings}
	for _, s := range p.Files {
		if len(s.Glob) == 0 {
			return fail("files", "[[files]] without glob: it says nothing about any script")
		}
		for _, g := range s.Glob {
			if _, err := matchGlob(g, "x"); err != nil {
				return fail("glob", "glob %q: %v", g, err)
			}
		}
		all = append(all, s.Settings)
	}
	for _, s := range all {
		if !slices.Contains(privileges, s.Privilege) {
			return fail("privilege", "privilege is %q; it is stapusr, stapsys or stapdev", s.Privilege)
		}
	}
	for name, t := range p.Target {
		if t.Path == "" {
			return fail(name, "target %q has no path", name)
		}
		if h, ok := strings.CutPrefix(t.Digest, "sha256:"); t.Digest != "" {
			if b, err := hex.DecodeString(h); !ok || err != nil || len(b) != sha256.Size {
				return fail("digest", "digest of target %q: it is \"sha256:\" and 64 hexadecimal digits", name)
			}
		}
	}
	return nil
}

// Script is how one script is read. Paths are absolute, or relative as the project's
// own path is.
type Script struct {
	// Args are the script arguments; HasArgs tells that they are given, if only to be
	// none.
	Args       []string
	HasArgs    bool
	Guru       bool
	Include    []string
	Define     map[string]string
	Global     map[string]string
	Compatible string
	Privilege  string
	Command    string
	Targets    []Target
}

// Target is what a script is compiled for.
type Target struct {
	Name   string // as the project calls it, or Spec
	Spec   string // what -r takes: a path or a release
	Digest string // of the file, "" for any
}

// For gives the settings for a script: those at the top, then of each section that
// fits.
func (p *Project) For(script string) Script {
	dir := filepath.Dir(p.Path)
	var out Script
	p.apply(&out, p.Settings, dir)
	for _, s := range p.Files {
		if p.Match(s.Glob, script) {
			p.apply(&out, s.Settings, dir)
		}
	}
	return out
}

func (p *Project) apply(out *Script, s Settings, dir string) {
	below := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, filepath.FromSlash(path))
	}
	if s.Args != nil {
		out.Args, out.HasArgs = s.Args, true
	}
	if s.Guru != nil {
		out.Guru = *s.Guru
	}
	for _, i := range s.Include {
		out.Include = append(out.Include, below(i))
	}
	merge := func(to *map[string]string, from map[string]string) {
		if len(from) > 0 && *to == nil {
			*to = map[string]string{}
		}
		for k, v := range from {
			(*to)[k] = v
		}
	}
	merge(&out.Define, s.Define)
	merge(&out.Global, s.Global)
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&out.Compatible, s.Compatible)
	set(&out.Privilege, s.Privilege)
	set(&out.Command, s.Command)
	if s.Targets == nil {
		return
	}
	out.Targets = nil
	for _, name := range s.Targets {
		t := Target{Name: name, Spec: name}
		if n, ok := p.Target[name]; ok {
			t.Spec, t.Digest = n.Path, n.Digest
		}
		// A bare word that no file is called is a release, or "running".
		if below := below(t.Spec); strings.ContainsAny(t.Spec, "/.") {
			if _, err := os.Stat(below); err == nil || strings.Contains(t.Spec, "/") {
				t.Spec = below
			}
		}
		out.Targets = append(out.Targets, t)
	}
}

// Check holds a target's file against its digest. Without a digest anything is right.
func (t Target) Check() error {
	if t.Digest == "" {
		return nil
	}
	f, err := os.Open(t.Spec)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("target %s: %s is not there, which is pinned by its digest: %w", t.Name, t.Spec, err)
	}
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("target %s: %w", t.Name, err)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != t.Digest {
		return fmt.Errorf("target %s: %s has digest %s, the project says %s; if the change is meant, write the new one into %s", t.Name, t.Spec, got, t.Digest, ProjectFile)
	}
	return nil
}

// ForScript finds and reads the stapkit.toml that is for a script and gives its
// settings; without one they are those of the script's "#!" line.
func ForScript(script string, text []byte) (Script, *Project, error) {
	file := FindProject(filepath.Dir(script))
	if file == "" {
		return Shebang(script, text), nil, nil
	}
	p, err := LoadProject(file)
	if err != nil {
		return Shebang(script, text), nil, err
	}
	return p.For(script), p, nil
}

// Match reports whether a script is one of those that patterns of a project name.
func (p *Project) Match(patterns Patterns, script string) bool {
	rel := p.rel(script)
	return slices.ContainsFunc(patterns, func(g string) bool { ok, err := matchGlob(g, rel); return ok && err == nil })
}

// rel is the path of a script as patterns see it: from the directory of the project.
func (p *Project) rel(script string) string {
	dir := filepath.Dir(p.Path)
	rel := script
	if abs, err := filepath.Abs(script); err == nil {
		if d, err := filepath.Abs(dir); err == nil {
			if r, err := filepath.Rel(d, abs); err == nil {
				rel = r
			}
		}
	}
	return filepath.ToSlash(rel)
}

// matchGlob matches a path with slashes. A pattern without a slash is one of file
// names; "**" stands for any number of directories.
func matchGlob(pattern, name string) (bool, error) {
	if !strings.Contains(pattern, "/") {
		return path.Match(pattern, path.Base(name))
	}
	return matchParts(strings.Split(strings.TrimPrefix(pattern, "/"), "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) (bool, error) {
	if len(pattern) > 64 {
		return false, errors.New("too many parts")
	}
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			rest := pattern[1:]
			for len(rest) > 0 && rest[0] == "**" {
				rest = rest[1:]
			}
			for i := range len(name) + 1 {
				if ok, err := matchParts(rest, name[i:]); ok || err != nil {
					return ok, err
				}
			}
			return false, nil
		}
		if len(name) == 0 {
			_, err := path.Match(pattern[0], "")
			return false, err
		}
		ok, err := path.Match(pattern[0], name[0])
		if !ok || err != nil {
			return false, err
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0, nil
}
