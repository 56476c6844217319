package sema

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"stapkit/tapsets"
)

// TestEmbeddedHelp: every function that is named in place of embedded C is in the
// library, and what is named fits.
func TestEmbeddedHelp(t *testing.T) {
	all := tapsets.Funcs()
	for _, h := range inPlaceOf {
		for _, m := range regexp.MustCompile(`(@?\w+)\(`).FindAllStringSubmatch(h.use, -1) {
			if !strings.HasPrefix(m[1], "@") && !slices.Contains(all, m[1]) {
				t.Errorf("%q: the library has no %s()", h.word, m[1])
			}
		}
	}
	for _, tt := range []struct{ name, text, want string }{
		{"get_task_parent", "STAP_RETURN(0);", "nearest: task_parent() of the library"},
		{"my_own", "snprintf(STAP_RETVALUE, MAXSTRINGLEN, \"%d\", current->tgid);", "nearest: pid()"},
		{"", "#include <linux/sched.h>", "write it as a script function"},
		{"where", "char *p = d_path(path, buf, len);", "nearest: task_dentry_path(task, dentry, mount)"},
		{"x", "THIS->__retvalue = THIS->a + 1;", "nearest: a script function with return"},
	} {
		if got := embeddedHelp(tt.name, tt.text); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
