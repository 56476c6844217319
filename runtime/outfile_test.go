//go:build linux

package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRotation(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Rotation
		ok   bool
	}{
		{"1", Rotation{1 << 20, 0}, true},
		{"10,3", Rotation{10 << 20, 3}, true},
		{"0", Rotation{}, false},
		{"1,0", Rotation{}, false},
		{"1,", Rotation{}, false},
		{"x", Rotation{}, false},
		{"-1", Rotation{}, false},
		{"99999999999", Rotation{}, false},
	} {
		got, err := ParseRotation(tt.text)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %v, %v", tt.text, got, err)
		}
	}
}

// TestOutFiles: files end at lines, the oldest go, and nothing of what stays is lost.
func TestOutFiles(t *testing.T) {
	read := func(dir string) string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(filepath.Base(f) + "=" + strings.ReplaceAll(string(data), "\n", "/") + " ")
		}
		return b.String()
	}
	for _, tt := range []struct {
		name   string
		rotate Rotation
		writes []string // "" switches by hand
		want   string
	}{
		{"one file", Rotation{}, []string{"ab\n", "cd\n"}, "f=ab/cd/ "},
		{"switched", Rotation{}, []string{"ab\n", "", "cd\n", "", "ef\n"}, "f=ab/ f.1=cd/ f.2=ef/ "},
		{"full", Rotation{Size: 8}, []string{"ab\ncd\n", "ef\ngh\n", "ij\n"}, "f.0=ab/cd/ f.1=ef/gh/ f.2=ij/ "},
		{"cut at a line", Rotation{Size: 8}, []string{"ab\ncd\nef\ngh\nij\n"}, "f.0=ab/cd/ f.1=ef/gh/ f.2=ij/ "},
		{"a long line", Rotation{Size: 4}, []string{"abcdefgh\nij\n"}, "f.0=abcdefgh/ f.1=ij/ "},
		{"no end of line", Rotation{Size: 4}, []string{"abcdefgh", "ij"}, "f.0=abcdefgh f.1=ij "},
		{"two kept", Rotation{Size: 3, Keep: 2}, []string{"a\n", "b\n", "c\n", "d\n"}, "f.2=c/ f.3=d/ "},
		{"switched and kept", Rotation{Size: 100, Keep: 1}, []string{"a\n", "", "b\n"}, "f.1=b/ "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			r := newLocal(nil, nil)
			if err := r.setUp(setUp{Output: filepath.Join(dir, "f"), Numbered: tt.rotate.Size > 0}); err != nil {
				t.Fatal(err)
			}
			o, err := openOutFiles(tt.rotate, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range tt.writes {
				if w == "" {
					err = o.Next()
				} else {
					var n int
					if n, err = o.Write([]byte(w)); n != len(w) {
						t.Errorf("%d of %d bytes are written", n, len(w))
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if got := read(dir); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
