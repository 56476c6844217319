package syntax

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestDeep: nesting of every kind gives an error, not a crash.
func TestDeep(t *testing.T) {
	const n = 100000
	for _, c := range []struct{ open, middle, close string }{
		{"probe p { x = " + strings.Repeat("(", n), "1", strings.Repeat(")", n) + " }"},
		{"probe p { x = " + strings.Repeat("[", n), "1", strings.Repeat("]", n) + " }"},
		{"probe p { x = " + strings.Repeat("f(", n), "1", strings.Repeat(")", n) + " }"},
		{"probe p { x = " + strings.Repeat("a[", n), "1", strings.Repeat("]", n) + " }"},
		{"probe p { x = " + strings.Repeat("$a[", n), "1", strings.Repeat("]", n) + " }"},
		{"probe p { x = " + strings.Repeat("!", n), "1", " }"},
		{"probe p { x = " + strings.Repeat("- ", n), "1", " }"},
		{"probe p { " + strings.Repeat("x = ", n), "1", " }"},
		{"probe p { x = " + strings.Repeat("a ? ", n), "1", strings.Repeat(" : b", n) + " }"},
		{"probe p { x = " + strings.Repeat("a ? b : ", n), "1", " }"},
		{"probe p { x = " + strings.Repeat("@defined(", n), "1", strings.Repeat(")", n) + " }"},
		{"probe p { x = 1", strings.Repeat("+1", 2*n), " }"},
		{"probe p { x = $a", strings.Repeat("->b", 2*n), " }"},
		{"probe p ", strings.Repeat("{", n), strings.Repeat("}", n)},
		{"probe p { ", strings.Repeat("if (x) ", n), "y }"},
		{"probe p { ", strings.Repeat("if (x) a; else ", n), "y }"},
		{"probe p { ", strings.Repeat("while (1) ", n), "y }"},
		{"probe p { ", strings.Repeat("try { ", n), strings.Repeat("} catch { }", n) + " }"},
		{"probe ", strings.Repeat("{a,", n), "b" + strings.Repeat("}", n) + " { }"},
		{"probe p { ", strings.Repeat("%( 1 == 1 %? ", n), strings.Repeat("%)", n) + " }"},
		{"", strings.Repeat("%( 1 == 1 %? ", n), "probe p { }" + strings.Repeat("%)", n)},
		{"@define m(x) %( @x %) probe p { y = ", strings.Repeat("@m(", n) + "1", strings.Repeat(")", n) + " }"},
		{"probe p { x ", strings.Repeat("= ", n), " }"},
		{"probe p { x ", strings.Repeat("++ ", n), " }"},
		{"probe p { x ", strings.Repeat("& ", n), " }"},
	} {
		src := []byte(c.open + c.middle + c.close + "\nprobe after { }")
		for _, view := range []View{Expanded, SourceView} {
			f := ParseFile("deep.stp", src, Options{View: view, Target: hostX86})
			// The source view may keep what is nested too deep verbatim.
			if len(f.Diags) == 0 && view == Expanded {
				t.Errorf("%.40s…: no diagnostic", src)
			}
			if err := checkTree(f); err != nil {
				t.Errorf("%.40s…: %v", src, err)
			}
			if view == Expanded && signatures(f)["probe after "] != 1 && !strings.Contains(string(src), "%(") {
				t.Errorf("%.40s…: the declaration behind is lost", src)
			}
		}
	}
}

// TestLaughs: macros that double at each level are stopped.
func TestLaughs(t *testing.T) {
	for _, leaf := range []string{"1 +", ""} {
		var b strings.Builder
		fmt.Fprintf(&b, "@define m0 %%( %s %%)\n", leaf)
		for i := 1; i < 64; i++ {
			fmt.Fprintf(&b, "@define m%d %%( @m%d @m%d %%)\n", i, i-1, i-1)
		}
		b.WriteString("probe p { x = @m63 1 }")
		f := ParseFile("laughs.stp", []byte(b.String()), Options{MaxTokens: 100000})
		if len(f.Diags) == 0 || f.Diags[0].Code != codeHuge {
			t.Errorf("leaf %q: %v", leaf, f.Diags)
		}
	}
	// The same through parameters.
	src := "@define f(x) %( @x @x %) probe p { y = " + strings.Repeat("@f(", 60) + "1" + strings.Repeat(")", 60) + " }"
	f := ParseFile("laughs.stp", []byte(src), Options{MaxTokens: 100000})
	if len(f.Diags) == 0 {
		t.Error("doubling arguments: no diagnostic")
	}
}

// bigScript makes a script of about n bytes with everyday contents.
func bigScript(n int) []byte {
	var b bytes.Buffer
	b.Grow(n + 1000)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `global count%d, last%d = 0 # counters
// handler number %d
probe kernel.function("vfs_read_%d").return? {
	if (pid() == target() && $return > 0) {
		count%d[execname(), tid()] <<< $return
		printf("%%s(%%d) read %%d bytes at %%d\n", execname(), pid(), $return, gettimeofday_us())
	} else foreach ([name+, id] in count%d limit 10)
		delete count%d[name, id]
}
`, i, i, i, i, i, i, i)
	}
	return b.Bytes()
}

// TestBig: 20 MB parse in linear time and memory.
func TestBig(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	measure := func(n int) (time.Duration, uint64) {
		src := bigScript(n)
		best, alloc := time.Duration(1<<62), uint64(0)
		for range 3 {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var f *File
			best = min(best, taken(func() { f = ParseFile("big.stp", src, Options{Target: hostX86}) }))
			runtime.ReadMemStats(&after)
			alloc = after.TotalAlloc - before.TotalAlloc
			if len(f.Diags) > 0 {
				t.Fatal(f.Diags[0])
			}
		}
		return best, alloc
	}
	small, smallMem := measure(2 << 20)
	big, bigMem := measure(20 << 20)
	t.Logf("2 MB: %v, %d MB; 20 MB: %v, %d MB", small, smallMem>>20, big, bigMem>>20)
	// Ten times the text may take ten times as long, and as much again for a machine
	// that is busy.
	if big > 60*small { // a quadratic parser takes a hundred times as long
		t.Errorf("time grows faster than the text: %v for 2 MB, %v for 20 MB", small, big)
	}
	if bigMem > 13*smallMem {
		t.Errorf("memory grows faster than the text: %d MB for 2 MB, %d MB for 20 MB", smallMem>>20, bigMem>>20)
	}
}

// TestHostile: text made of one repeated piece takes linear time, whatever the piece.
func TestHostile(t *testing.T) {
	for _, piece := range []string{"%( 1 == 0 %? ", "@define a %( ", "/* ", "%{ ", "\" ", "“", "\x00", "\xff", "probe ", "global x ", "} ", "{ . ",
		"@m ", "@m( ", "$1 ", "$1a ", "%( ", "%) ", "%: ", "= ", "++ @define ", "$$v @define n(a) %( @a @a %) ", "if ( ", "\nprobe a { ",
		"& %( 1 == 0 %? ", "foreach ( [ ", "\nfunction f( ", "probe {a, ", "a b:c "} {
		for _, view := range []View{Expanded, SourceView} {
			run := func(n int) time.Duration {
				src := []byte("probe p { " + strings.Repeat(piece, n))
				best := time.Duration(1 << 62)
				for range 2 {
					var f *File
					best = min(best, taken(func() { f = ParseFile("hostile.stp", src, Options{View: view, Args: []string{"x"}, Target: hostX86}) }))
					if len(f.Diags) == 0 {
						t.Errorf("%q: no diagnostic", piece)
					}
				}
				return best
			}
			small, big := run(1000), run(20000)
			if big > 100*small && big > time.Second {
				t.Errorf("%q in the %v view: %v for 1000, %v for 20000", piece, view, small, big)
			}
		}
	}
}
