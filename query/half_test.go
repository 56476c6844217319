package query

import (
	"context"
	"strings"
	"testing"
)

// TestHalfTyped completes and hovers at the cursor ("|") of texts that are being typed, of
// kinds that are unusual; each also with lines that end as on Windows.
func TestHalfTyped(t *testing.T) {
	env := hostEnv(t, nil)
	const read = "probe kernel.function(\"vfs_read\") {\n"
	const twice = "@define twice(x) %( (@x * 2) %)\n"
	for _, tt := range []struct{ kind, name, text, want string }{
		{"complete", "", read + "x = $buf[exe|", "execname"},
		{"complete", "", read + "x = $buf[$co|]", "$count"},
		{"complete", "", read + "x = $file->f_path->dentry->d_iname[$c|", "$count"},
		{"complete", "", read + "x = $file->f_path->dentry->d_iname[0]; y = $file->f_p|", "f_pos"},
		{"complete", "", read + "println(@cast($fi|", "$file"},
		{"complete", "", read + "println(@cast($file, \"fi|", "file"},
		{"complete", "", read + "println(@cast($file, \"file\")->f_|", "f_pos"},
		{"complete", "", read + "println(@cast($file, \"file\")->f_path->dentry->d_p|", "d_parent"},
		{"complete", "", read + "println(&$file->f_p|", "f_pos"},
		{"complete", "", read + "println(user_string($fi|", "$file"},
		{"complete", "", read + "if (@defined($file->f_i|", "f_inode"},
		{"complete", "", read + "x = @entry($fi|", "$file"},
		{"complete", "", read + "x = $file->f_path$|", ""},
		{"complete", "", twice + read + "y = @twice($file->f_p|)", "f_pos"},
		{"complete", "", twice + read + "y = @twice($file->f_p|", "f_pos"},
		{"complete", "", twice + read + "y = @twice($fi|", "$file"},
		{"complete", "", twice + read + "y = @tw|", "@twice"},
		{"complete", "", twice + read + "y = @twice(exe|", "execname"},
		{"complete", "", "@define f %( exe|", "execname"},
		{"complete", "", "@define f(one, two) %( @o|", "@one"},
		{"complete", "x.stpm", "@define f(one, two) %( @o|", "@one"},
		{"complete", "x.stpm", "@define f(one, two) %( exe|", "execname"},
		{"complete", "x.stpm", "@define first %( 1 %)\n@define f %( @fi|", "@first"},
		{"complete", "x.stpm", "@def|", "@define"},
		{"complete", "", "%( kernel_v >= \"6.1\" %? probe kernel.function(\"vfs_re|", "vfs_read"},
		{"complete", "", "%( kernel_v < \"1.0\" %? probe kernel.function(\"vfs_re|\") { } %)", "vfs_read"},
		{"complete", "", read + "%( kernel_v >= \"6.1\" %? x = $co|", "$count"},
		{"complete", "", read + "%( kernel_v >= \"6.1\" %? x = 1 %: x = $co| %) }", "$count"},
		{"complete", "", read + "%( kernel_v < \"1\" %? x = $co|", "$count"},
		{"complete", "", "global a\n" + read + "%( kernel_v < \"1\" %? x = $co| %) }\nglobal b", "$count"},
		{"complete", "", read + "%( kernel_v < \"1\" %? x = $file->f_p| %) }", "f_pos"},
		{"complete", "", "%( kernel_v < \"1\" %? " + read + "x = $file->f_p| } %)", "f_pos"},
		{"hover", "", read + "%( kernel_v < \"1\" %? x = $file->f_po|s %) }", "loff_t f_pos"},
		{"hover", "", "%( kernel_v < \"1\" %? " + read + "x = $cou|nt } %)", "size_t $count"},
		{"hover", "", "%( kernel_v < \"1\" %? probe kernel.function(\"vfs_re|ad\") { } %)", "Matches 1 place"},
		{"hover", "", "%( kernel_v < \"1\" %? probe begin { prin|tln(1) } %)", "println"},
		{"complete", "", "probe kernel.{function(\"vfs_read\"), fun|", "function(string)"},
		{"complete", "", "probe kernel.function(\"vfs_read\") if (coun|", ""},
		{"complete", "", "global counter\nprobe kernel.function(\"vfs_read\") if (coun|", "counter"},
		{"complete", "", "probe kernel.function(\"vfs_read\")?, kernel.function(\"vfs_wr|", "vfs_write"},
		{"complete", "", "probe kernel.function(\"vfs_read\") ,\n\tkernel.tr|", "trace(string)"},
		{"complete", "", "/* é漢𝄞 */ " + read + "println(\"é漢𝄞\", $file->f_p|", "f_pos"},
		{"complete", "", read + "foreach (k in stu|", ""},
		{"complete", "", "global stuff\n" + read + "foreach ([a, b] in stu|", "stuff"},
		{"complete", "", "global stuff\n" + read + "foreach (k in stuff- lim|", "limit"},
		{"complete", "", "global stuff\n" + read + "delete stu|", "stuff"},
		{"complete", "", read + "try { x = $co|", "$count"},
		{"complete", "", read + "try { x = 1 } catch (message) { println(mess|", "message"},
		{"complete", "", read + "printf(\"%d %|", "%d"},
		{"complete", "", read + "printf(\"%d\", $co|", "$count"},
		{"complete", "", read + "x = $count ? $fi|", "$file"},
		{"complete", "", "function f:long(value) { return val|", "value"},
		{"complete", "", "private function f:long(value) { return val|", "value"},
		{"hover", "", twice + read + "y = @twice($file->f_po|s)", "loff_t f_pos"},
		{"hover", "", twice + read + "y = @twice($file->f_po|s", "loff_t f_pos"},
		{"hover", "x.stpm", "@define first %( 1 %)\n@define f %( @fir|st %)", "@define first"},
		{"hover", "x.stpm", "@define f %( execna|me() %)", "command name"},
		{"hover", "x.stpm", "@define f %( execna|me(", "command name"},
		{"hover", "", read + "x = $buf[$cou|nt", "size_t $count"},
		{"hover", "", read + "println(@cast($file, \"file\")->f_po|s", "loff_t f_pos"},
		{"hover", "", "/* é漢𝄞 */ " + read + "println(\"é漢𝄞\", $file->f_po|s", "loff_t f_pos"},
		{"hover", "", "%( kernel_v >= \"6.1\" %? probe kernel.function(\"vfs_re|ad", "vfs_read"},
	} {
		if tt.name == "" {
			tt.name = "x.stp"
		}
		for _, end := range []string{"\n", "\r\n"} {
			text := strings.ReplaceAll(tt.text, "\n", end)
			before, after, _ := strings.Cut(text, "|")
			s := env.Snapshot(tt.name, []byte(before+after))
			var got []string
			if tt.kind == "hover" {
				if h := s.Hover(len(before)); h != nil {
					got = append(got, h.Markdown())
				}
			} else {
				for _, it := range s.Complete(context.Background(), len(before)).Items {
					got = append(got, it.Label)
				}
			}
			all := strings.Join(got, "\n")
			found := tt.want == "" || tt.kind == "hover" && strings.Contains(all, tt.want)
			for i, l := range got { // and not far down
				found = found || l == tt.want && i < 5
			}
			if !found {
				if len(got) > 8 {
					got = got[:8]
				}
				t.Errorf("%s in %q: %q, want %q", tt.kind, text, got, tt.want)
			}
		}
	}
}

// TestLongLines asks everything in texts that are one long line, or nested deeply.
func TestLongLines(t *testing.T) {
	env := testEnv(t, nil)
	const read = "probe kernel.function(\"vfs_read\") { "
	for _, text := range []string{
		read + "x = " + strings.Repeat("1 + ", 1000) + "$count }",
		read + "x = " + strings.Repeat("(", 2000) + "$count",
		read + strings.Repeat("{ ", 2000) + "$count",
		read + "x = " + strings.Repeat("! ", 2000) + "$count",
		read + "x = " + strings.Repeat("- ", 2000) + "$count }",
		read + "x = $file" + strings.Repeat("->f_inode", 1000) + " }",
		read + "x = $buf" + strings.Repeat("[$count", 1000),
		read + strings.Repeat("if (1) ", 2000) + "x = $count }",
		read + "x = 1 " + strings.Repeat("? $count : ", 1000) + "1 }",
		strings.Repeat("%( kernel_v >= \"1\" %? ", 1000) + read,
		strings.Repeat("@m(", 1000) + read,
		"@define m(x) %( @x %)\n" + read + "x = " + strings.Repeat("@m(", 500) + "$count" + strings.Repeat(")", 500),
		read + "/* " + strings.Repeat("é漢𝄞 ", 2000) + "*/ x = $count }",
		read + "println(\"" + strings.Repeat("é漢𝄞 ", 2000) + "\", $count) }",
		read + "printf(\"" + strings.Repeat("%d ", 1000) + "\", $count",
		"probe " + strings.Repeat("kernel.function(\"vfs_read\"), ", 500) + "kernel.fun",
		"probe kernel" + strings.Repeat(".{function(\"vfs_read\")", 1000),
		"global " + strings.Repeat("a, ", 2000) + "b",
	} {
		s := env.Snapshot("long.stp", []byte(text))
		if s.Program(); s.Panic != "" {
			t.Fatalf("%.80q: %s", text, s.Panic)
		}
		askWhole(t, s)
		for _, off := range []int{len(text), len(text) / 2, len(read) + 1} {
			askAll(t, s, min(off, len(text)))
		}
	}
}
