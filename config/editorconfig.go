package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// An Indentation is what .editorconfig says of how lines are indented. The format is
// that of https://spec.editorconfig.org.
type Indentation struct {
	// Style is "tab" or "space", "" when nothing is said.
	Style string
	// Size is the number of columns of one level, 0 when nothing is said. For the style
	// "tab" it is the width of a tab.
	Size int
	// TabWidth is the number of columns of a tab, 0 when nothing is said.
	TabWidth int
}

// Spaces is how many spaces one level is made of, 0 for a tab.
func (in Indentation) Spaces() int {
	switch {
	case in.Style != "space":
		return 0
	case in.Size > 0:
		return in.Size
	}
	return 4
}

// An EditorConfig reads .editorconfig files, each once. The zero value is ready. It may
// be used by several goroutines.
type EditorConfig struct {
	mu    sync.Mutex
	files map[string]*editorFile // by folder
}

// maxIndent bounds sizes that make sense.
const maxIndent = 64

// Indentation tells how a file is to be indented: what the .editorconfig files of its
// folder and those above say, down from the one that declares itself the root. The file
// need not exist. Errors are those of reading; what is wrong in a file is passed over, as
// the format demands.
func (c *EditorConfig) Indentation(path string) (Indentation, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Indentation{}, err
	}
	var chain []*editorFile
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		f, err := c.read(dir)
		if err != nil {
			return Indentation{}, err
		}
		if f != nil {
			chain = append(chain, f)
			if f.root {
				break
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	values := map[string]string{}
	for i := len(chain) - 1; i >= 0; i-- {
		f := chain[i]
		rel, err := filepath.Rel(f.dir, abs)
		if err != nil {
			return Indentation{}, err
		}
		rel = filepath.ToSlash(rel)
		for _, s := range f.sections {
			if s.matches(rel) {
				for k, v := range s.values {
					values[k] = v
				}
			}
		}
	}
	return indentation(values), nil
}

// indentation reads the three properties that matter here.
func indentation(values map[string]string) Indentation {
	var in Indentation
	size := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxIndent {
			return 0
		}
		return n
	}
	switch s := values["indent_style"]; s {
	case "tab", "space":
		in.Style = s
	}
	in.Size, in.TabWidth = size(values["indent_size"]), size(values["tab_width"])
	if in.Size == 0 && (values["indent_size"] == "tab" || in.Style == "tab") {
		in.Size = in.TabWidth
	}
	if in.TabWidth == 0 && in.Style == "tab" {
		in.TabWidth = in.Size
	}
	return in
}

// editorFile is one .editorconfig.
type editorFile struct {
	dir      string
	root     bool
	sections []section
}

type section struct {
	pattern *regexp.Regexp
	ranges  [][2]int // the {m..n} of the pattern, in the order of its groups
	values  map[string]string
}

// maxFile is how much of an .editorconfig is read.
const maxFile = 1 << 20

func (c *EditorConfig) read(dir string) (*editorFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.files[dir]; ok {
		return f, nil
	}
	if c.files == nil {
		c.files = map[string]*editorFile{}
	}
	name := filepath.Join(dir, ".editorconfig")
	text, err := readFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.files[dir] = nil
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := parseEditorConfig(text)
	f.dir = dir
	c.files[dir] = f
	return f, nil
}

// readFile reads a regular file; anything else counts as missing.
func readFile(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		var perr *fs.PathError
		if errors.As(err, &perr) && !errors.Is(err, fs.ErrPermission) {
			return nil, fs.ErrNotExist // a part of the path is no folder, or does not exist
		}
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// parseEditorConfig reads the text of an .editorconfig.
func parseEditorConfig(text []byte) *editorFile {
	f := &editorFile{}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var cur *section // nil before the first section
	skip := false    // the section's name is no pattern
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			end := strings.LastIndexByte(line, ']')
			if end < 0 {
				continue
			}
			s, ok := compile(line[1:end])
			if skip = !ok; ok {
				f.sections = append(f.sections, s)
				cur = &f.sections[len(f.sections)-1]
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || skip {
			continue
		}
		key = strings.ToLower(strings.TrimSpace(key))
		value = strings.ToLower(strings.TrimSpace(value))
		for _, mark := range []string{" #", " ;"} { // remarks behind values, as older versions had them
			if i := strings.Index(value, mark); i >= 0 {
				value = strings.TrimSpace(value[:i])
			}
		}
		switch {
		case cur == nil:
			f.root = f.root || key == "root" && value == "true"
		default:
			cur.values[key] = value
		}
	}
	return f
}

// compile makes a regular expression of the name of a section. It reports false for one
// that is too long or makes no sense.
func compile(glob string) (section, bool) {
	s := section{values: map[string]string{}}
	if len(glob) == 0 || len(glob) > 1024 {
		return s, false
	}
	var b strings.Builder
	b.WriteString("^")
	if i := strings.IndexByte(glob, '/'); i < 0 {
		b.WriteString("(?:.*/)?")
	} else if i == 0 {
		glob = glob[1:]
	}
	braces := strings.Count(glob, "{") == strings.Count(glob, "}")
	depth := 0
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '\\':
			if i+1 < len(glob) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		case '*':
			switch {
			case strings.HasPrefix(glob[i:], "**/"):
				b.WriteString("(?:.*/)?")
				i += 2
			case strings.HasPrefix(glob[i:], "**"):
				b.WriteString(".*")
				i++
			default:
				b.WriteString("[^/]*")
			}
		case '?':
			b.WriteString("[^/]")
		case '[':
			end := strings.IndexByte(glob[i:], ']')
			if end <= 1 || strings.ContainsRune(glob[i:i+end], '/') {
				b.WriteString(`\[`)
				break
			}
			set := glob[i+1 : i+end]
			i += end
			b.WriteByte('[')
			if set[0] == '!' {
				b.WriteByte('^')
				set = set[1:]
			}
			for _, r := range set {
				if r == '\\' || r == '^' || r == '[' || r == ']' {
					b.WriteByte('\\')
				}
				b.WriteRune(r)
			}
			b.WriteByte(']')
		case '{':
			end := strings.IndexByte(glob[i:], '}')
			if !braces || end < 0 {
				b.WriteString(`\{`)
				break
			}
			inner := glob[i+1 : i+end]
			if lo, hi, ok := numberRange(inner); ok {
				s.ranges = append(s.ranges, [2]int{lo, hi})
				b.WriteString(`([+-]?\d+)`)
				i += end
				break
			}
			if !strings.ContainsAny(inner, ",{") { // one word in braces stands for itself
				b.WriteString(regexp.QuoteMeta(glob[i : i+end+1]))
				i += end
				break
			}
			depth++
			b.WriteString("(?:")
		case '}':
			if depth == 0 {
				b.WriteString(`\}`)
				break
			}
			depth--
			b.WriteByte(')')
		case ',':
			if depth > 0 {
				b.WriteByte('|')
			} else {
				b.WriteByte(',')
			}
		default:
			if c < 0x80 {
				b.WriteString(regexp.QuoteMeta(string(rune(c))))
			} else {
				b.WriteByte(c)
			}
		}
	}
	for ; depth > 0; depth-- {
		b.WriteByte(')')
	}
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return s, false
	}
	s.pattern = re
	return s, true
}

// numberRange reads "3..7".
func numberRange(s string) (lo, hi int, ok bool) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		return 0, 0, false
	}
	lo, err1 := strconv.Atoi(a)
	hi, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return 0, 0, false
	}
	return min(lo, hi), max(lo, hi), true
}

func (s *section) matches(rel string) bool {
	m := s.pattern.FindStringSubmatch(rel)
	if m == nil {
		return false
	}
	for i, r := range s.ranges {
		if m[i+1] == "" {
			continue // in an alternative that was not taken
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil || n < r[0] || n > r[1] {
			return false
		}
	}
	return true
}
