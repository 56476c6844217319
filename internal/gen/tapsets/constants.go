package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// constants are numbers by name, with the order in which they were found.
type constants struct {
	value map[string]int64
	order []string
}

func (c *constants) set(name string, v int64) {
	if _, ok := c.value[name]; !ok {
		c.order = append(c.order, name)
	}
	c.value[name] = v
}

// arches are SystemTap's names of the architectures and Go's. The first is the one
// that constants.stp holds, the others where they differ.
var arches = []struct{ stap, goarch string }{
	{"x86_64", "amd64"}, {"arm64", "arm64"}, {"riscv", "riscv64"}, {"s390", "s390x"}, {"powerpc", "ppc64le"},
}

var goConstant = regexp.MustCompile(`(?m)^\s+([A-Z][A-Z0-9]*_?\w*)\s+= (-?(?:0x[0-9a-f]+|[0-9]+))$`)

// goConstants reads the constants of golang.org/x/sys/unix for an architecture.
func goConstants(goarch string) (*constants, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return nil, fmt.Errorf("go list golang.org/x/sys: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "unix")
	c := &constants{value: map[string]int64{}}
	for _, f := range []string{"zerrors_linux.go", "zerrors_linux_" + goarch + ".go", "ztypes_linux.go", "ztypes_linux_" + goarch + ".go"} {
		src, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		for _, m := range goConstant.FindAllSubmatch(src, -1) {
			v := constant.MakeFromLiteral(strings.TrimPrefix(string(m[2]), "-"), token.INT, 0)
			n, ok := constant.Int64Val(v)
			if !ok {
				continue // above 63 bits: no flag that we name
			}
			if m[2][0] == '-' {
				n = -n
			}
			c.set(string(m[1]), n)
		}
	}
	if len(c.order) < 3000 {
		return nil, fmt.Errorf("golang.org/x/sys/unix: only %d constants found for %s", len(c.order), goarch)
	}
	return c, nil
}

var (
	cComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	cDefine  = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*define[ \t]+([A-Z_]\w*)[ \t]+(\S.*)$`)
	cEnum    = regexp.MustCompile(`(?s)\benum\b[^{;]*\{(.*?)\}`)
	cNumber  = regexp.MustCompile(`\b(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*\b`)
)

// headerConstants reads what a C header defines as numbers: #define and enum. What
// it cannot evaluate it leaves out.
func headerConstants(name string) (*constants, error) {
	src, err := os.ReadFile(filepath.Join("/usr/include", filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(src), "\\\n", " ")
	text = cComment.ReplaceAllString(text, " ")
	c := &constants{value: map[string]int64{}}
	for _, m := range cDefine.FindAllStringSubmatch(text, -1) {
		if v, ok := c.eval(m[2]); ok {
			c.set(m[1], v)
		}
	}
	code := regexp.MustCompile(`(?m)^[ \t]*#.*$`).ReplaceAllString(text, "")
	for _, m := range cEnum.FindAllStringSubmatch(code, -1) {
		next, known := int64(0), true
		for _, item := range strings.Split(m[1], ",") {
			name, expr, given := strings.Cut(strings.TrimSpace(item), "=")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if given {
				next, known = c.eval(expr)
			}
			if known {
				c.set(name, next)
			}
			next++
		}
	}
	// A define may use what is defined after it, or an enum.
	for _, m := range cDefine.FindAllStringSubmatch(text, -1) {
		if v, ok := c.eval(m[2]); ok {
			c.set(m[1], v)
		}
	}
	return c, nil
}

// eval evaluates a C expression of integers and names.
func (c *constants) eval(expr string) (int64, bool) {
	expr = strings.ReplaceAll(expr, "(int)", "")
	expr = strings.ReplaceAll(cNumber.ReplaceAllString(expr, "$1"), "~", "^")
	x, err := parser.ParseExpr(strings.TrimSpace(expr))
	if err != nil {
		return 0, false
	}
	v := c.value1(x)
	if v == nil {
		return 0, false
	}
	return constant.Int64Val(constant.ToInt(v))
}

func (c *constants) value1(x ast.Expr) constant.Value {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.INT || x.Kind == token.CHAR {
			return constant.MakeFromLiteral(x.Value, x.Kind, 0)
		}
	case *ast.Ident:
		if v, ok := c.value[x.Name]; ok {
			return constant.MakeInt64(v)
		}
	case *ast.ParenExpr:
		return c.value1(x.X)
	case *ast.UnaryExpr:
		if v := c.value1(x.X); v != nil && (x.Op == token.SUB || x.Op == token.XOR || x.Op == token.ADD) {
			return constant.UnaryOp(x.Op, v, 0)
		}
	case *ast.BinaryExpr:
		l, r := c.value1(x.X), c.value1(x.Y)
		if l == nil || r == nil {
			return nil
		}
		switch x.Op {
		case token.SHL, token.SHR:
			if n, ok := constant.Uint64Val(r); ok && n < 64 {
				return constant.Shift(l, x.Op, uint(n))
			}
		case token.OR, token.AND, token.ADD, token.SUB, token.MUL, token.XOR:
			return constant.BinaryOp(l, x.Op, r)
		}
	}
	return nil
}
