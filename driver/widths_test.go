package driver

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/internal/minikernel"
	"stapkit/query"
	"stapkit/target"
)

const widthScript = `global names, who, deep[10], total
function cut(s) { return substr(s, 0, 3) }
probe kernel.function("vfs_read") {
	name = execname()
	both = name . ":" . name
	n = $count
	names[name, n] = both
	who = "abc"
	total += n
	deep[1] = name
}
probe kernel.function("vfs_w*"), kernel.function("vfs_s*") {
	other = ppfunc()
	println(other)
}
probe end {
	foreach ([a, b] in names) println(a, b, names[a, b], deep[1])
	piece = cut(who)
	all = ""
	for (i = 0; i < 10; i++) all .= "more"
	println(piece, all, total)
}
`

// TestWidths has hovers tell the memory that variables take, also while the script has
// mistakes: then as it was before.
func TestWidths(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	tg, err := target.FromBTF(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	env, err := query.Open(query.Config{Target: tg, Widths: Widths})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	hover := func(s *query.Snapshot, at string) string {
		t.Helper()
		s.InferWidths(t.Context())
		i := strings.Index(string(s.Text), at)
		if i < 0 {
			t.Fatalf("no %q", at)
		}
		h := s.Hover(i + len(strings.TrimRight(at, " ")) - 1)
		if h == nil {
			t.Fatalf("nothing at %q", at)
		}
		return h.Markdown()
	}
	for _, tt := range []struct{ at, want string }{
		{"\tname", "Takes up to 15 bytes of text, in 16 bytes of memory."},
		{"\tboth", "bytes of memory."},
		{"\tn ", "Takes 8 bytes."},
		{"\tnames", "bytes of memory; a key: up to 15 bytes of text, in 16 bytes of memory; 8 bytes."},
		{"\tdeep", "An element takes up to 15 bytes of text"},
		{"\ttotal", "Takes 8 bytes."},
		{"\tpiece", "Takes up to "},
		{"\tall", "all that MAXSTRINGLEN allows"},
		{"println(a", "Takes up to 15 bytes of text"},
		{"= cut", "Its result takes up to "},
	} {
		s := env.Snapshot("/a.stp", []byte(widthScript))
		if got := hover(s, tt.at); !strings.Contains(got, tt.want) {
			t.Errorf("%q: got\n%s\nwant %q", tt.at, got, tt.want)
		}
	}
	// While a script is typed, nothing of it is waited for.
	typed := env.Snapshot("/a.stp", []byte(strings.Replace(widthScript, "total += n", "total += n + 1", 1)))
	h := typed.Hover(strings.Index(string(typed.Text), "\tname") + 1)
	if want := "in 16 bytes of memory (as the script was before it was changed)."; h == nil || !strings.Contains(h.Markdown(), want) {
		t.Errorf("while typing: %+v, want %q", h, want)
	}
	// What is given up is begun anew.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	typed.InferWidths(gone)
	if got := hover(typed, "\tname"); !strings.Contains(got, "in 16 bytes of memory.") {
		t.Errorf("after a pause:\n%s", got)
	}
	broken := env.Snapshot("/a.stp", []byte(strings.Replace(widthScript, "total += n", "total += (n", 1)))
	if got := hover(broken, "\tname"); !strings.Contains(got, "Takes up to 15 bytes of text, in 16 bytes of memory (as the script was when it last had no errors).") {
		t.Errorf("in a script with mistakes:\n%s", got)
	}
	fresh := env.Snapshot("/b.stp", broken.Text)
	if got := hover(fresh, "\tname"); strings.Contains(got, "Takes") {
		t.Errorf("widths of a script that never compiled:\n%s", got)
	}
}
