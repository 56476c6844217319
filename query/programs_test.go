package query

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const small = `struct point {
	int x;
	long y;
};
int counter = 3;
#ifdef SDT
#include <sys/sdt.h>
#else
#define STAP_PROBE1(p, m, a)
#endif
int __attribute__((noinline)) twice(int n, struct point *p) {
	counter += n;
	STAP_PROBE1(small, doubled, n);
	return n * 2 + p->x;
}
int puts(const char *);
int main(int argc, char **argv) {
	struct point p = { argc, 2 };
	puts("small");
	return twice(argc, &p);
}
`

// compiled compiles small and tells whether it has its mark.
func compiled(t *testing.T) (path string, marks bool) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "small.c"), []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-g", "-O1", "-o", "small", "small.c"}
	if _, err := os.Stat("/usr/include/sys/sdt.h"); err == nil {
		args, marks = append(args, "-DSDT"), true
	} else if m, _ := filepath.Glob("/usr/include/*/sys/sdt.h"); len(m) > 0 {
		args, marks = append(args, "-DSDT"), true
	}
	cmd := exec.Command(gcc, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "small"), marks
}

// TestProgram asks about a program with debug information, in scripts that are finished
// and that end at the cursor ("|"). PROGRAM stands for its path.
func TestProgram(t *testing.T) {
	path, marks := compiled(t)
	env, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	labels := func(s *Snapshot, off int) string {
		var l []string
		for _, it := range s.Complete(context.Background(), off).Items {
			detail, doc := it.Detail, it.Doc
			if it.Data != "" {
				d, text := env.Resolve(it.Data)
				if d != "" {
					detail = d
				}
				doc += text
			}
			l = append(l, it.Label+" | "+detail+" | "+doc)
		}
		return strings.Join(l, "\n")
	}
	ask := map[string]func(s *Snapshot, off int) string{
		"complete": labels,
		"hover":    func(s *Snapshot, off int) string { return kinds["hover"](s, off, "") },
		"def":      func(s *Snapshot, off int) string { return kinds["def"](s, off, "") },
		"typedef":  func(s *Snapshot, off int) string { return kinds["typedef"](s, off, "") },
		"sig":      func(s *Snapshot, off int) string { return kinds["sig"](s, off, "") },
		"refs":     func(s *Snapshot, off int) string { return kinds["refs"](s, off, "") },
		"memdef":   func(s *Snapshot, off int) string { return kinds["memdef"](s, off, "") },
	}
	point := `probe process("PROGRAM").function("twice")`
	for _, tt := range []struct {
		kind, text string
		want       []string
		mark       bool // needs the mark
		whole      bool // has no meaning when it ends at the cursor
	}{
		{"hover", `probe process("PROGRAM").function("twi|ce") { }`, []string{"int twice(int n, struct point *p)", "small.c:11", "uprobe", "$n: int", "$p: struct point*"}, false, true},
		{"hover", `probe process("PROGRAM").function("twice").re|turn { }`, []string{"small.c:11", "uretprobe", "$return: int"}, false, true},
		{"hover", point + ` { println($n|) }`, []string{"int $n;", "size 4"}, false, false},
		{"hover", point + ` { println($p->y|) }`, []string{"long int y;", "offset 8, size 8, in `struct point`"}, false, false},
		{"hover", point + ` { println($p|->y) }`, []string{"struct point *$p;", "int x;\t/* 0 4 */"}, false, false},
		{"hover", point + ` { println(@va|r("counter", "PROGRAM")) }`, []string{"int counter;", "variable of the program"}, false, true},
		{"hover", point + ` { println(@cast($p, "point", "PROGRAM")->y|) }`, []string{"long int y;", "offset 8"}, false, false},
		{"hover", point + ` { println(@cast($p, "point")->y|) }`, []string{"long int y;", "offset 8"}, false, false},
		{"hover", point + ` { println(@va|r("counter")) }`, []string{"int counter;", "variable of the program"}, false, true},
		{"complete", point + ` { x = @cast($n, "point")->|`, []string{"x | int x"}, false, false},
		{"complete", point + ` { x = @cast($n, "poi|`, []string{"point | struct | ```c\nstruct point {"}, false, false},
		{"complete", `probe begin { x = @cast(1, "struct poi|", "PROGRAM") }`, []string{"point | struct | ```c\nstruct point {"}, false, true},
		{"complete", `probe begin { x = @var("cou|", "PROGRAM") }`, []string{"counter | int counter"}, false, true},
		{"complete", point + ` { x = @var("cou|`, []string{"counter | int counter"}, false, false},
		{"hover", point + ` { q = $p; println(q->x|) }`, []string{"int x;", "offset 0, size 4"}, false, false},
		{"hover", point + ` { q = $p; println(q|) }`, []string{"(local) q: long", "Holds a `struct point*` of the probed program."}, false, false},
		{"hover", `probe process("PROGRAM").mark("doub|led") { }`, []string{"Mark `doubled` of provider `small`", "$arg1"}, true, true},
		{"complete", `probe process("PROGRAM").function("tw|`, []string{"twice | int twice(int n, struct point *p)"}, false, false},
		{"complete", `probe process("PROGRAM").function("twice@sm|`, []string{"small.c | "}, false, false},
		{"complete", `probe process("PROGRAM").statement("twice@small.c:|`, []string{"small.c:11", "small.c:12"}, false, false},
		{"complete", `probe process("PROGRAM").mark("d|`, []string{"doubled | small "}, true, false},
		{"complete", `probe process("PROGRAM").provider("|`, []string{"small | "}, true, false},
		{"complete", `probe process("PROGRAM").provider("small").mark("|`, []string{"doubled"}, true, false},
		{"complete", `probe process("PROGRAM").plt("pu|`, []string{"puts"}, false, false},
		{"complete", `probe process("PROGRAM").library("lib|`, []string{"libc.so"}, false, false},
		{"complete", `probe process("PROGRAM").library("libc.so*").function("mal|`, []string{"malloc"}, false, false},
		{"complete", `probe process("PROGRAM").|`, []string{"function(string)", "mark(string)", "library(string)", "plt(string)", "begin", "statement(string)"}, false, false},
		{"complete", point + ` { x = $|`, []string{"$n | int $n", "$p | struct point *$p | ```c\nstruct point {"}, false, false},
		{"complete", point + ` { x = $p->|`, []string{"x | int x", "y | long int y"}, false, false},
		{"complete", point + ` { x = @cast($n, "point", "PROGRAM")->|`, []string{"x | int x"}, false, false},
		{"def", `probe process("PROGRAM").function("twi|ce") { }`, []string{"small.c:11:1"}, false, true},
		{"def", point + ` { println($n|) }`, []string{"small.c:11:1"}, false, false},
		{"typedef", point + ` { println($p|) }`, []string{"struct point"}, false, false},
		{"memdef", point + ` { println($p->y|) }`, []string{"struct point: y in \"\\tlong int y;\""}, false, false},
		{"refs", point + ` { $p->y = 1; println($p->y|) }`, []string{"1:", "\"y\" writes", "y shared=false"}, false, true},
	} {
		if tt.mark && !marks {
			continue
		}
		before, after, _ := strings.Cut(strings.ReplaceAll(tt.text, "PROGRAM", path), "|")
		texts := []string{before + after}
		if after != "" && !tt.whole {
			texts = append(texts, before) // while it is typed
		}
		for _, text := range texts {
			s := env.Snapshot("/x.stp", []byte(text))
			got := ask[tt.kind](s, len(before))
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("%s at the end of %s: got\n%swant %q", tt.kind, before, got, w)
				}
			}
		}
	}
}

// TestSourceTree finds the kernel's functions and the members of its structures in a tree
// of its source.
func TestSourceTree(t *testing.T) {
	env := testEnv(t, nil)
	tree := t.TempDir()
	for name, text := range map[string]string{
		"fs/read_write.c":    "#include <linux/fs.h>\n\nssize_t vfs_read(struct file *, char *, size_t, loff_t *);\n\nssize_t vfs_read(struct file *file, char *buf,\n\t\t size_t count, loff_t *pos)\n{\n\treturn 0;\n}\n",
		"include/linux/fs.h": "struct path { struct dentry *dentry; };\n\nstruct file {\n\tunsigned int f_flags;\n\tunion {\n\t\tint a;\n\t};\n\tstruct path\tf_path;\n\tloff_t f_pos;\n};\n",
	} {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env.SourceTree = tree
	for _, tt := range []struct{ text, want string }{
		{`probe kernel.function("vfs_|read") { }`, "fs/read_write.c:5:1"},
		{`probe kernel.function("vfs_read") { println($file|) }`, "fs/read_write.c:5:1"},
		{`probe kernel.function("vfs_read") { println($file|`, "fs/read_write.c:5:1"},
		{`probe kernel.function("vfs_read") { println($file->f_pos|) }`, "include/linux/fs.h:9:1"},
		{`probe kernel.function("vfs_read") { println($file->f_path|->dentry) }`, "include/linux/fs.h:8:1"},
		{`probe kernel.function("vfs_read") { println($file->f_pos|`, "include/linux/fs.h:9:1"},
		{`probe kernel.function("vfs_fsync|") { }`, ""},
	} {
		before, after, _ := strings.Cut(tt.text, "|")
		s := env.Snapshot("/x.stp", []byte(before+after))
		var got []string
		for _, r := range s.Definitions(len(before)) {
			got = append(got, strings.TrimPrefix(fmt.Sprint(r.Start), tree+"/"))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
	s := env.Snapshot("/x.stp", []byte(`probe kernel.function("vfs_read") { }`))
	if h := s.Hover(24); h == nil || !strings.Contains(h.Markdown(), "fs/read_write.c:5") {
		t.Errorf("hover: %+v", h)
	}
	if env.Busy() {
		t.Error("busy for ever")
	}
}
