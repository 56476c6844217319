package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/container/intsets"

	"stapkit/lint/check"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// graph makes the graph of the first body of a script.
func graph(t *testing.T, text string) *flow.Graph {
	t.Helper()
	env, err := check.Default()
	if err != nil {
		t.Fatal(err)
	}
	s := env.Script(check.Input{Name: "a.stp", Text: []byte(text)})
	for _, d := range s.Program.Diags {
		if d.Code.Family() == "parse" {
			t.Fatal(d.Error())
		}
	}
	b := s.Bodies()[0]
	return flow.New(&b)
}

// reached lists what is printed on some way: print("a") is the mark "a".
func reached(g *flow.Graph) string {
	var out []string
	reach := g.Reachable()
	for _, b := range g.Blocks {
		if reach[b.Index] {
			out = append(out, marks(b)...)
		}
	}
	return strings.Join(out, " ")
}

func marks(b *flow.Block) []string {
	var out []string
	for _, n := range b.Events {
		if p, ok := n.(*syntax.PrintExpr); ok && len(p.Args) == 1 {
			if l, ok := p.Args[0].(*syntax.StringLit); ok {
				out = append(out, l.Value)
			}
		}
	}
	return out
}

func TestReachable(t *testing.T) {
	tests := []struct{ body, want string }{
		{`print("a") next; print("b")`, "a"},
		{`if (n) { print("a") next } else { print("b") next } print("c")`, "a b"},
		{`if (n) next; print("a")`, "a"},
		{`while (1) { print("a") } print("b")`, "a"},
		{`while (1) { if (n) break; print("a") } print("b")`, "a b"},
		{`while (n) { print("a") continue; print("b") } print("c")`, "a c"},
		{`for (;;) { if (n) next } print("a")`, ""},
		{`for (i = 0; i < n; i++) { print("a") break } print("b")`, "a b"},
		{`foreach (k in arr) { print("a") next; print("b") } print("c")`, "a c"},
		{`try { print("a") error("x") } catch { print("b") } print("c")`, "a b c"},
		{`try { next } catch { print("b") } print("c")`, "b c"},
		{`if (0) print("a") else print("b")`, "b"},
		{`if (n && print_a()) print("b")`, "b"},
	}
	for _, tt := range tests {
		script := "global n, arr\nfunction print_a() { return 1 }\nprobe timer.s(1) {\n" + tt.body + "\n}\nprobe end { n++; arr[n] = 1 }\n"
		if got := reached(graph(t, script)); sorted(got) != sorted(tt.want) {
			t.Errorf("%s: reached %q, want %q", tt.body, got, tt.want)
		}
	}
}

func sorted(s string) string {
	return strings.Join(slices.Sorted(strings.FieldsSeq(s)), " ")
}

// TestEvents: every expression comes once, operands first.
func TestEvents(t *testing.T) {
	g := graph(t, "global a\nprobe timer.s(1) {\n\ta[pid(), 1] = tid() + 2\n}\n")
	var got []string
	for _, n := range g.Blocks[0].Events {
		if x, ok := n.(syntax.Expr); ok {
			got = append(got, syntax.ExprString(x))
		}
	}
	// The operators are shown with all their parentheses.
	if s := strings.Join(got, " | "); !strings.HasPrefix(s, "pid() | 1 | tid() | 2 | ") || len(got) != 6 {
		t.Errorf("got %s", s)
	}
}

// TestSolve: a fact that each way gives holds where they meet if all have to give it, or
// if one is enough.
func TestSolve(t *testing.T) {
	const script = `
global n
probe timer.s(1) {
	if (n) { print("0") print("1") } else print("0")
	print("end")
	while (n++ < 3) print("2")
	print("last")
}`
	g := graph(t, script)
	transfer := func(b *flow.Block, s *intsets.Sparse) {
		for _, m := range marks(b) {
			var i int
			if _, err := fmt.Sscan(m, &i); err == nil {
				s.Insert(i)
			}
		}
	}
	at := func(name string, must bool) string {
		in := g.Solve(flow.Problem{Must: must, Transfer: transfer})
		for _, b := range g.Blocks {
			for _, m := range marks(b) {
				if m == name {
					return in[b.Index].String()
				}
			}
		}
		return "?"
	}
	for _, tt := range []struct {
		name string
		must bool
		want string
	}{
		{"end", true, "{0}"}, {"end", false, "{0 1}"}, {"last", true, "{0}"}, {"last", false, "{0 1 2}"},
	} {
		if got := at(tt.name, tt.must); got != tt.want {
			t.Errorf("before %s (must %v): %s, want %s", tt.name, tt.must, got, tt.want)
		}
	}
	// Backward: what may still come.
	out := g.Solve(flow.Problem{Backward: true, Transfer: transfer})
	if got := out[0].String(); got != "{0 1 2}" {
		t.Errorf("still to come: %s", got)
	}
}

// TestTested: what a condition tells holds until the variable changes.
func TestTested(t *testing.T) {
	const script = `
global n, s, arr, stat
function change() { n = 0 }
probe timer.s(1) {
	use(n)
	if (n) use(n)
	if (n > 0 && use(n)) use(n)
	if (!n) next
	use(n)
	n--
	use(n)
	n = 5
	use(n)
	change()
	use(n)
	if (n == 3 || n == 4) use(n)
	use(n ? use(n) : use(n))
}
function use(x) { return x }
probe end { arr[1] = 2 }`
	g := graph(t, script)
	tested := flow.NewTested(g)
	var got []string
	tested.Each(func(n syntax.Node, nonzero func(syntax.Expr) bool) {
		if c, ok := n.(*syntax.Call); ok && c.Name.Name == "use" {
			if id, ok := c.Args[0].(*syntax.Ident); ok {
				got = append(got, fmt.Sprintf("%d:%v", syntax.Pos(c).Line, nonzero(id)))
			}
		}
	})
	want := map[string]int{"5:false": 1, "6:true": 1, "7:true": 2, "9:true": 1, "11:false": 1, "13:true": 1, "15:false": 1, "16:true": 1, "17:true": 1, "17:false": 1}
	for _, s := range got {
		want[s]--
	}
	for s, n := range want {
		if n != 0 {
			t.Errorf("%s: %+d; all: %v", s, -n, got)
		}
	}
}
