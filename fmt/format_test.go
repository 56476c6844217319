package stapfmt

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func format(t *testing.T, src string, opt Options) string {
	t.Helper()
	res, err := Format("a.stp", []byte(src), opt)
	if err != nil {
		t.Fatal(err)
	}
	if res.Changed != (string(res.Text) != src) {
		t.Errorf("Changed is %v", res.Changed)
	}
	return string(res.Text)
}

func TestIndent(t *testing.T) {
	const src = "probe begin{if(a){\n/* x\n   y */f(a_long_argument_for_a_function, another_long_argument_for_it, third)}}"
	tests := []struct {
		indent Indent
		want   string
	}{
		{Indent{}, "probe begin {\n\tif (a) {\n\t\t/* x\n" +
			"\t\t   y */ f(a_long_argument_for_a_function,\n\t\t          another_long_argument_for_it, third)\n\t}\n}\n"},
		{Indent{TabWidth: 4}, "probe begin {\n\tif (a) {\n\t\t/* x\n" +
			"\t\t   y */ f(a_long_argument_for_a_function, another_long_argument_for_it,\n\t\t          third)\n\t}\n}\n"},
		{Indent{Spaces: 2}, "probe begin {\n  if (a) {\n    /* x\n" +
			"       y */ f(a_long_argument_for_a_function, another_long_argument_for_it,\n              third)\n  }\n}\n"},
	}
	for _, tt := range tests {
		if got := format(t, src, Options{Indent: tt.indent}); got != tt.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", tt.indent, got, tt.want)
		}
	}
}

// TestDeepIndent: more levels than the engine keeps tabs and spaces at hand for.
func TestDeepIndent(t *testing.T) {
	const depth = 120
	src := "probe begin" + strings.Repeat("{", depth) + "x" + strings.Repeat("}", depth)
	for _, in := range []Indent{{}, {Spaces: 4}} {
		got := format(t, src, Options{Indent: in})
		unit := "\t"
		if in.Spaces > 0 {
			unit = "    "
		}
		if want := "\n" + strings.Repeat(unit, depth) + "x\n"; !strings.Contains(got, want) {
			t.Errorf("%+v: x is not %d levels deep", in, depth)
		}
	}
}

func TestLineEnds(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"all CRLF stay", "probe begin{\r\nx;\r\n\r\n/* a\r\n b */ y}\r\n", "probe begin {\r\n\tx\r\n\r\n\t/* a\r\n\t b */ y\r\n}\r\n"},
		{"CRLF in code stay", "%{\r\nint x;\r\n%}\r\nglobal   x", "%{\r\nint x;\r\n%}\r\nglobal x\r\n"},
		{"mixed become LF", "global x\r\nglobal y # c\r\nglobal z\n", "global x\nglobal y # c\nglobal z\n"},
		{"none", "global x", "global x\n"},
		{"byte order mark goes", "\ufeffglobal x\n", "global x\n"},
		{"form feeds go", "global x\f\n\vglobal y\n", "global x\nglobal y\n"},
		{"empty", "", ""},
		{"blank", " \n\n\t\n", ""},
		{"comment without end of line", "# a  ", "# a\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := format(t, tt.src, Options{}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, src := range []string{"probe", "probe begin {", "global", "x = 1", "probe begin { x = }", "\x00", "%( 1 == 1 %?", `probe begin { "a }`} {
		res, err := Format("a.stp", []byte(src), Options{})
		var syn *SyntaxError
		if !errors.As(err, &syn) {
			t.Errorf("%q: %v, %v", src, res, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "a.stp:") || len(syn.Diags) == 0 {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestPartial(t *testing.T) {
	tests := []struct {
		name, src, want string
		left            int
	}{
		{"all fine", "global   x", "global x\n", 0},
		{"first is broken", "probe   begin  { x =  }\nglobal   y\n", "probe   begin  { x =  }\nglobal y\n", 1},
		{"last is broken", "global   y\nprobe   begin  { x =  ", "global y\nprobe   begin  { x =  ", 1},
		{"middle is broken", "global   a\n\n\n#c\nprobe   begin  { x = ;}  #d\n\n\n  global   b", "global a\n\n\n#c\nprobe   begin  { x = ;}  #d\n\n\nglobal b\n", 1},
		{"between is broken", "global   a\n§§\nglobal   b\n", "global   a\n§§\nglobal b\n", 1},
		{"forgotten brace", "probe   a { x\nprobe   b {  y  }\n", "probe   a { x\nprobe b {\n\ty\n}\n", 1},
		{"on one line", "global   a; x   y\nglobal   b\n", "global   a; x   y\nglobal b\n", 2},
		{"all is broken", "x   y", "x   y", 1},
		{"nothing but a bad byte", "\x01", "\x01", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := Format("a.stp", []byte(tt.src), Options{Partial: true})
			if err != nil {
				t.Fatal(err)
			}
			if string(res.Text) != tt.want || res.Left != tt.left {
				t.Errorf("got %q, %d left; want %q, %d", res.Text, res.Left, tt.want, tt.left)
			}
		})
	}
}

// TestHandStyles: scripts in the styles that people write by hand differ from the result
// in white space, line breaks and needless semicolons only, and all give the same.
func TestHandStyles(t *testing.T) {
	styles := map[string]string{
		"GNU": `global count
probe kernel.function ("vfs_read")
  {
    if (pid () == target ())
      {
        count[execname ()]++;
      }
    else
      next;
  }
`,
		"K&R with semicolons": `global count;
probe kernel.function("vfs_read") {
    if (pid() == target()) {
        count[execname()]++;
    } else
        next;
};
`,
		"dense": `global count;probe kernel.function("vfs_read"){if(pid()==target()){count[execname()]++}else next}`,
		"airy": `global count


probe  kernel . function( "vfs_read" )
{

  if ( pid( ) == target( ) )
  {

    count[ execname( ) ] ++

  }
  else
    next

}

`,
	}
	const want = `global count
probe kernel.function("vfs_read") {
	if (pid() == target()) {
		count[execname()]++
	} else
		next
}
`
	strip := func(s string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\n;", r) {
				return -1
			}
			return r
		}, s)
	}
	for name, src := range styles {
		src = strings.TrimSuffix(src, ";\n") + "\n" // no declaration: SystemTap refuses it
		got := format(t, src, Options{})
		if strings.ReplaceAll(got, "\n\n", "\n") != want {
			t.Errorf("%s:\n%s", name, got)
		}
		if strip(got) != strip(src) {
			t.Errorf("%s: more than white space and semicolons changed:\n%s", name, got)
		}
	}
}

// TestHuge: time and output stay linear where a careless formatter's would not.
func TestHuge(t *testing.T) {
	n := 20000
	tests := map[string]string{
		"comments":     "probe begin {" + strings.Repeat("/**/", n) + "}",
		"semicolons":   "probe begin {" + strings.Repeat(";", n) + "}",
		"chain":        "probe begin { x = a" + strings.Repeat("+a", n) + "}",
		"assignments":  "probe begin { " + strings.Repeat("x=", 1500) + "1}",
		"parentheses":  "probe begin { x = " + strings.Repeat("(", 900) + "1" + strings.Repeat(")", 900) + "}",
		"calls":        "probe begin { x = " + strings.Repeat("f(a,", 600) + "1" + strings.Repeat(")", 600) + "}",
		"else if":      "probe begin { " + strings.Repeat("if(a)b;else ", 900) + "c}",
		"conditionals": "probe begin { " + strings.Repeat("x; %( a == b %? %: %) ", n/10) + "-y}",
		"points":       "probe a" + strings.Repeat(", b.c(1)?", n) + "{}",
		"one-liners":   "probe begin {" + strings.Repeat("%( a == b %? c; %) ", n/10) + "}",
		"globals":      "global a" + strings.Repeat(", b", n),
		"macros":       strings.Repeat("@m(1) ", n),
	}
	tests["broken"] = strings.Repeat("§ global x ", n)
	tests["broken strings"] = strings.Repeat("global x\n\"\n", n)
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := Format("a.stp", []byte(src), Options{Partial: strings.HasPrefix(name, "broken")})
			if err != nil {
				t.Fatalf("%.300s", err.Error())
			}
			if len(res.Text) > 3000*len(src) || bytes.Count(res.Text, []byte("\n")) > 2*len(src) {
				t.Errorf("%d bytes became %d", len(src), len(res.Text))
			}
		})
	}
}
