//go:build linux

package loader_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"stapkit/format"
	"stapkit/ir"
	loader "stapkit/runtime"
)

// script builds programs by hand.
type script struct {
	p *ir.Program
}

func newScript() *script {
	return &script{p: &ir.Program{Name: "test.stp", Limits: ir.DefaultLimits(), Sites: []ir.Site{{}}}}
}

func (s *script) site(token string) int {
	s.p.Sites = append(s.p.Sites, ir.Site{File: "test.stp", Line: len(s.p.Sites), Col: 7, Token: token})
	return len(s.p.Sites) - 1
}

func (s *script) global(g ir.Global) int {
	if g.Lock == 0 {
		g.Lock = -1
	}
	s.p.Globals = append(s.p.Globals, g)
	return len(s.p.Globals) - 1
}

// probe adds a loader probe.
func (s *script) probe(f ir.Family, point string, order int64, body ...ir.Stmt) *ir.Probe {
	s.p.Handlers = append(s.p.Handlers, &ir.Handler{
		Name: "p" + string(rune('a'+len(s.p.Handlers))), Body: body, Probe: len(s.p.Probes), MaxActions: 10000,
	})
	s.p.Probes = append(s.p.Probes, ir.Probe{
		Point: point, Script: point, Family: f, Order: order,
		Attach: []ir.Attach{{Carrier: "loader", Handler: len(s.p.Handlers) - 1}},
	})
	return &s.p.Probes[len(s.p.Probes)-1]
}

func (s *script) format(text string, types ...ir.Type) int {
	f, err := format.Parse(text)
	if err != nil {
		panic(err)
	}
	s.p.Formats = append(s.p.Formats, ir.Format{Text: text, Parsed: f, Args: types})
	return len(s.p.Formats) - 1
}

func (s *script) print(text string, args ...ir.Expr) ir.Stmt {
	var types []ir.Type
	for _, a := range args {
		types = append(types, a.Type())
	}
	return &ir.Print{Format: s.format(text, types...), Args: args}
}

func num(v int64) ir.Expr { return &ir.IntConst{V: v} }

func call(id ir.IntrinsicID, t ir.Type, site int, args ...ir.Expr) ir.Stmt {
	return &ir.Eval{X: &ir.Intrinsic{ID: id, Args: args, T: t, Site: site}}
}

func exit() ir.Stmt { return call(ir.IExit, ir.TVoid, 0) }

func (s *script) fail(text string) ir.Stmt {
	return call(ir.IError, ir.TVoid, s.site("identifier 'error'"), &ir.StrConst{S: text})
}

type result struct {
	status      int
	err         error
	out, errOut string
}

func run(t *testing.T, img loader.Image, opt loader.Options) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if img.Program != nil {
		if err := ir.Check(img.Program); err != nil {
			t.Fatal("the test's own program: ", err)
		}
	}
	var out, errOut bytes.Buffer
	if opt.Stdout == nil {
		opt.Stdout = &out
	}
	if opt.Stderr == nil {
		opt.Stderr = &errOut
	}
	st, err := loader.Run(ctx, img, opt)
	if ctx.Err() != nil {
		t.Error("the run did not end by itself")
	}
	return result{st, err, out.String(), errOut.String()}
}

func (r result) want(t *testing.T, status int, out, errOut string) {
	t.Helper()
	if r.err != nil {
		t.Errorf("error %v", r.err)
	}
	if r.status != status {
		t.Errorf("status %d, want %d", r.status, status)
	}
	if r.out != out {
		t.Errorf("output\n%s\nwant\n%s", r.out, out)
	}
	if r.errOut != errOut {
		t.Errorf("standard error\n%s\nwant\n%s", r.errOut, errOut)
	}
}

func TestExitOrder(t *testing.T) {
	s := newScript()
	s.probe(ir.FamBegin, "begin(5)", 5, s.print("begin 5\n"))
	s.probe(ir.FamBegin, "begin(-1)", -1, s.print("begin -1\n"))
	s.probe(ir.FamBegin, "begin", 0, s.print("begin 0\n"), exit(), s.print("after exit() call\n"))
	s.probe(ir.FamEnd, "end(7)", 7, s.print("end 7\n"))
	s.probe(ir.FamEnd, "end(-5)", -5, s.print("end -5\n"))
	s.probe(ir.FamEnd, "end", 0, s.print("end 0\n"))
	s.probe(ir.FamError, "error", 0, s.print("error\n"))
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 0,
		"begin -1\nbegin 0\nafter exit() call\nend -5\nend 0\nend 7\n", "")
}

func TestErrorInBegin(t *testing.T) {
	s := newScript()
	s.probe(ir.FamBegin, "begin(1)", 1, s.fail("first"))
	s.probe(ir.FamBegin, "begin(2)", 2, s.print("second ran\n"), exit())
	s.probe(ir.FamError, "error(2)", 2, s.print("e2\n"))
	s.probe(ir.FamError, "error(1)", 1, s.print("e1\n"))
	s.probe(ir.FamEnd, "end", 0, s.print("end\n"))
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 1, "e1\ne2\n",
		"ERROR: first near identifier 'error' at test.stp:1:7 in probe begin(1)\nWARNING: Number of errors: 1, skipped probes: 0\n")
}

func TestErrorInEnd(t *testing.T) {
	s := newScript()
	s.probe(ir.FamBegin, "begin", 0, exit())
	s.probe(ir.FamEnd, "end", 0, s.fail("in end"))
	s.probe(ir.FamEnd, "end(1)", 1, s.print("later end\n"))
	s.probe(ir.FamError, "error", 0, s.print("error probe\n"))
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 1, "error probe\n",
		"ERROR: in end near identifier 'error' at test.stp:1:7 in probe end\nWARNING: Number of errors: 1, skipped probes: 0\n")
}

// hits is a timer that counts and fails each time.
func failingTimer() *script {
	s := newScript()
	n := s.global(ir.Global{Name: "n", Value: ir.TInt})
	p := s.probe(ir.FamTimer, "timer.ms(5)", 0,
		&ir.Eval{X: &ir.Update{L: ir.LValue{Global: true, ID: n, T: ir.TInt}, Op: ir.OpAdd, R: num(1)}},
		s.print("hit %d\n", &ir.GlobalGet{G: n, T: ir.TInt}),
		&ir.If{C: &ir.Binary{Op: ir.OpGt, X: &ir.GlobalGet{G: n, T: ir.TInt}, Y: num(5), T: ir.TInt}, Then: []ir.Stmt{exit()}},
		s.fail("e"))
	p.Interval = 5e6
	s.probe(ir.FamEnd, "end", 0, s.print("end\n"))
	s.probe(ir.FamError, "error", 0, s.print("error probe\n"))
	return s
}

func TestMaxErrors(t *testing.T) {
	s := failingTimer()
	s.p.Limits.MaxErrors = 2
	line := "ERROR: e near identifier 'error' at test.stp:1:7 in probe timer.ms(5)\n"
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 1, "hit 1\nhit 2\nhit 3\nerror probe\n",
		line+line+line+"WARNING: Number of errors: 3, skipped probes: 0\n")
}

func TestSuppressErrors(t *testing.T) {
	s := failingTimer()
	run(t, loader.Image{Program: s.p}, loader.Options{SuppressErrors: true}).want(t, 0,
		"hit 1\nhit 2\nhit 3\nhit 4\nhit 5\nhit 6\nend\n", "WARNING: Number of errors: 6, skipped probes: 0\n")
}

func TestTimeout(t *testing.T) {
	s := newScript()
	s.probe(ir.FamBegin, "begin", 0, s.print("b\n"))
	s.probe(ir.FamEnd, "end", 0, s.print("e\n"))
	began := time.Now()
	run(t, loader.Image{Program: s.p}, loader.Options{Timeout: 200 * time.Millisecond}).want(t, 0, "b\ne\n", "")
	if d := time.Since(began); d < 200*time.Millisecond || d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestWarnOnce(t *testing.T) {
	s := newScript()
	warn := func(text string) ir.Stmt { return call(ir.IWarn, ir.TVoid, 0, &ir.StrConst{S: text}) }
	s.probe(ir.FamBegin, "begin", 0, warn("same"), warn("same"), warn("other"), exit())
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 0, "", "WARNING: same\nWARNING: other\n")
	run(t, loader.Image{Program: s.p}, loader.Options{NoWarnings: true}).want(t, 0, "", "")
}

func TestDisplay(t *testing.T) {
	s := newScript()
	str := ir.TStr(15)
	a := s.global(ir.Global{Name: "a", Value: ir.TInt, AutoPrint: true, Settable: true})
	b := s.global(ir.Global{Name: "b", Keys: []ir.Type{str}, Value: ir.TInt, MaxEntries: 10, AutoPrint: true})
	c := s.global(ir.Global{Name: "c", Keys: []ir.Type{ir.TInt, str}, Value: str, MaxEntries: 10, AutoPrint: true})
	shape := ir.StatShape{Sum: true, Min: true, Max: true}
	g := s.global(ir.Global{Name: "g", Value: ir.TStat, Stat: shape, AutoPrint: true})
	h := s.global(ir.Global{Name: "h", Keys: []ir.Type{ir.TInt}, Value: ir.TStat, Stat: shape, MaxEntries: 10, AutoPrint: true})
	s.global(ir.Global{Name: "e", Value: ir.TStat, Stat: shape, AutoPrint: true})
	s.global(ir.Global{Name: "z", Value: str, InitStr: "text", AutoPrint: true, Settable: true})
	set := func(g int, v ir.Expr, keys ...ir.Expr) ir.Stmt {
		return &ir.Eval{X: &ir.Update{L: ir.LValue{Global: true, ID: g, Keys: keys, T: s.p.Globals[g].Value}, Op: ir.OpSet, R: v}}
	}
	add := func(g int, v int64, keys ...ir.Expr) ir.Stmt {
		return &ir.Eval{X: &ir.StatAdd{L: ir.LValue{Global: true, ID: g, Keys: keys, T: ir.TStat}, V: num(v)}}
	}
	key := func(k string) ir.Expr { return &ir.StrConst{S: k} }
	s.probe(ir.FamBegin, "begin", 0,
		set(a, num(5)), set(b, num(1), key("x")), set(b, num(2), key("y")), set(c, key("str"), num(1), key("q")),
		add(g, 0), add(g, 4), add(h, 7, num(1)), add(h, 8, num(2)), add(h, 9, num(2)), exit())
	want := "a=5\nb[\"y\"]=2\nb[\"x\"]=1\nc[1,\"q\"]=\"str\"\n" +
		"g @count=2 @min=0 @max=4 @sum=4 @avg=2\n" +
		"h[2] @count=2 @min=8 @max=9 @sum=17 @avg=8\nh[1] @count=1 @min=7 @max=7 @sum=7 @avg=7\n" +
		"e @count=0x0\nz=\"text\"\n"
	run(t, loader.Image{Program: s.p}, loader.Options{}).want(t, 0, want, "")
	run(t, loader.Image{Program: s.p}, loader.Options{NoGlobalDisplay: true}).want(t, 0, "", "")
	run(t, loader.Image{Program: s.p}, loader.Options{Globals: map[string]string{"z": "new"}}).want(t, 0,
		strings.Replace(want, "text", "new", 1), "")
}

func TestSetGlobals(t *testing.T) {
	s := newScript()
	x := s.global(ir.Global{Name: "x", Value: ir.TInt, InitInt: 1, Settable: true})
	s.global(ir.Global{Name: "hidden", Value: ir.TInt})
	s.probe(ir.FamBegin, "begin", 0, s.print("%d\n", &ir.GlobalGet{G: x, T: ir.TInt}), exit())
	for value, want := range map[string]string{"99": "99\n", "-0x10": "-16\n", "0xffffffffffffffff": "-1\n"} {
		run(t, loader.Image{Program: s.p}, loader.Options{Globals: map[string]string{"x": value}}).want(t, 0, want, "")
	}
	for name, value := range map[string]string{"x": "many", "hidden": "1", "y": "1"} {
		r := run(t, loader.Image{Program: s.p}, loader.Options{Globals: map[string]string{name: value}})
		if r.err == nil || !strings.Contains(r.err.Error(), name) {
			t.Errorf("%s=%s: error %v", name, value, r.err)
		}
	}
	if s.p.Globals[x].InitInt != 1 {
		t.Error("the program was changed")
	}
}
