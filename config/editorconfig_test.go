package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPatterns(t *testing.T) {
	tests := []struct {
		glob, path string
		want       bool
	}{
		{"*", "a.stp", true},
		{"*", "d/a.stp", true},
		{"*.stp", "d/e/a.stp", true},
		{"*.stp", "a.stpm", false},
		{"*.{stp,stpm}", "a.stpm", true},
		{"*.{stp,stpm}", "a.c", false},
		{"*.{stp}", "a.stp", false},
		{"*.{stp}", "a.{stp}", true},
		{"*.{stp", "a.{stp", true},
		{"/*.stp", "a.stp", true},
		{"/*.stp", "d/a.stp", false},
		{"d/*.stp", "d/a.stp", true},
		{"d/*.stp", "e/d/a.stp", false},
		{"d/*.stp", "d/e/a.stp", false},
		{"d/**.stp", "d/e/a.stp", true},
		{"d/**/a.stp", "d/a.stp", true},
		{"**/a.stp", "x/y/a.stp", true},
		{"?.stp", "a.stp", true},
		{"?.stp", "ab.stp", false},
		{"[ab].stp", "b.stp", true},
		{"[!ab].stp", "b.stp", false},
		{"[!ab].stp", "c.stp", true},
		{"[a-c].stp", "b.stp", true},
		{"[.stp", "[.stp", true},
		{"p{3..11}.stp", "p7.stp", true},
		{"p{3..11}.stp", "p12.stp", false},
		{"p{3..11}.stp", "px.stp", false},
		{`\*.stp`, "*.stp", true},
		{`\*.stp`, "a.stp", false},
		{"{a,{b,c}d}.stp", "cd.stp", true},
		{"{a,{b,c}d}.stp", "c.stp", false},
		{"a.b", "axb", false},
		{"é*", "école", true},
		{"{,x}a", "a", true},
	}
	for _, tt := range tests {
		s, ok := compile(tt.glob)
		if !ok {
			t.Errorf("%q is no pattern", tt.glob)
		} else if got := s.matches(tt.path); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v (%v)", tt.glob, tt.path, got, tt.want, s.pattern)
		}
	}
}

func TestIndentation(t *testing.T) {
	tests := []struct {
		name string
		outer, inner,
		path string
		want Indentation
	}{
		{"nothing", "", "", "a.stp", Indentation{}},
		{"spaces", "[*]\nindent_style = space\nindent_size = 2\n", "", "in/a.stp", Indentation{Style: "space", Size: 2}},
		{"tabs with a width", "[*.stp]\nindent_style=tab\ntab_width=4", "", "a.stp", Indentation{Style: "tab", Size: 4, TabWidth: 4}},
		{"size of a tab", "[*.stp]\nindent_style=tab\nindent_size=4", "", "a.stp", Indentation{Style: "tab", Size: 4, TabWidth: 4}},
		{"size as a tab", "[*]\nindent_style = space\nindent_size = tab\ntab_width = 3", "", "a.stp", Indentation{Style: "space", Size: 3, TabWidth: 3}},
		{"case and remarks", "# x\n; y\n[*]\nINDENT_Style = Space # so\nIndent_Size = 8 ; yes\n", "", "a.stp", Indentation{Style: "space", Size: 8}},
		{"later wins", "[*]\nindent_style=space\nindent_size=2\n[*.stp]\nindent_size=4\n", "", "a.stp", Indentation{Style: "space", Size: 4}},
		{"nearer wins", "[*]\nindent_style=space\nindent_size=2", "[*]\nindent_size=3", "in/a.stp", Indentation{Style: "space", Size: 3}},
		{"unset", "[*]\nindent_style=space\nindent_size=2", "[*]\nindent_style=unset\nindent_size=unset", "in/a.stp", Indentation{}},
		{"root", "[*]\nindent_style=space", "root = true\n[*]\nindent_size=3", "in/a.stp", Indentation{Size: 3}},
		{"no root inside a section", "[*]\nindent_style=space", "[*]\nroot = true", "in/a.stp", Indentation{Style: "space"}},
		{"nonsense", "[*]\nindent_style=both\nindent_size=1000\ntab_width=-1\nrubbish\n[\n=\n", "", "a.stp", Indentation{}},
		{"other files", "[*.c]\nindent_style=space\nindent_size=2", "", "a.stp", Indentation{}},
		{"bad section", "[*]\nindent_style=tab\n[]\nindent_style=space\n", "", "a.stp", Indentation{Style: "tab"}},
		{"BOM and CRLF", "\ufeff[*]\r\nindent_style=space\r\nindent_size=5\r\n", "", "a.stp", Indentation{Style: "space", Size: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			in := filepath.Join(dir, "in")
			if err := os.Mkdir(in, 0o777); err != nil {
				t.Fatal(err)
			}
			// Whatever stands above the folder of the test does not count.
			for _, f := range []struct{ name, text string }{{filepath.Join(dir, ".editorconfig"), "root=true\n" + tt.outer}, {filepath.Join(in, ".editorconfig"), tt.inner}} {
				if tt.name == "BOM and CRLF" && f.text != "" {
					f.text = "\ufeffroot=true\r\n" + tt.outer[3:]
				}
				if err := os.WriteFile(f.name, []byte(f.text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			var c EditorConfig
			for range 2 { // read, and from memory
				got, err := c.Indentation(filepath.Join(dir, filepath.FromSlash(tt.path)))
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}

// TestOddFiles: what is no regular file says nothing.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".editorconfig"), 0o777); err != nil {
		t.Fatal(err)
	}
	var c EditorConfig
	if in, err := c.Indentation(filepath.Join(dir, "missing", "a.stp")); err != nil || in != (Indentation{}) {
		t.Errorf("%+v, %v", in, err)
	}
}

func FuzzEditorConfig(f *testing.F) {
	f.Add("root=true\n[*.{stp,stpm}]\nindent_style=tab\n", "a/b.stp")
	f.Add("[{a,{b,c}d}{1..3}[!x-z]?**/\\*]\nindent_size = tab", "d2cq/*")
	f.Add("[{,}]\n[[]\n[{1..}]\n[**]\n", "x")
	f.Fuzz(func(t *testing.T, text, path string) {
		for _, s := range parseEditorConfig([]byte(text)).sections {
			s.matches(path)
			indentation(s.values)
		}
	})
}
