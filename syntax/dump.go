package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"stapkit/diag"
)

// DumpTokens lists the tokens of a file, one per line, or as a JSON array. In the
// expanded view the list shows what preprocessing made, with the place where each
// token was written.
func DumpTokens(w io.Writer, f *File, asJSON bool) error {
	type token struct {
		Kind string     `json:"kind"`
		Text string     `json:"text"`
		Pos  diag.Pos   `json:"pos"`
		Via  []diag.Pos `json:"via,omitempty"` // macro uses, innermost first
	}
	var list []token
	for i := range f.Tokens {
		t := &f.Tokens[i]
		k := t.Kind.String()
		switch {
		case t.Kind.IsKeyword():
			k = "keyword"
		case t.Kind.IsOperator():
			k = "operator"
		}
		tok := token{Kind: k, Text: f.Text(i), Pos: f.TokenRange(i).Start}
		for _, r := range f.Origin(i) {
			tok.Via = append(tok.Via, r.Range.Start)
		}
		list = append(list, tok)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	var b strings.Builder
	for _, t := range list {
		fmt.Fprintf(&b, "%d:%d\t%s\t%s", t.Pos.Line, t.Pos.Col, t.Kind, strconv.Quote(t.Text))
		if t.Pos.File != f.Name {
			fmt.Fprintf(&b, "\tin %s", t.Pos.File)
		}
		for _, v := range t.Via {
			fmt.Fprintf(&b, "\tvia %s", v)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DumpTree writes the tree of a file: an indented outline with positions, or JSON, in
// which every node is an object with "node", "range" ([line, column, line, column])
// and its fields.
func DumpTree(w io.Writer, f *File, asJSON bool) error {
	if asJSON {
		list := make([]any, 0, len(f.Decls))
		for _, d := range f.Decls {
			list = append(list, jsonNode(reflect.ValueOf(d)))
		}
		return writeJSON(w, object{{"file", f.Name}, {"view", f.View.String()}, {"decls", list}, {"diagnostics", diags(f)}})
	}
	d := &dumper{positions: true}
	for _, decl := range f.Decls {
		d.value("", reflect.ValueOf(decl), 0)
	}
	_, err := io.WriteString(w, d.b.String())
	return err
}

func diags(f *File) []any {
	list := []any{}
	for _, d := range f.Diags {
		list = append(list, object{{"code", string(d.Code)}, {"severity", d.Severity.String()}, {"pos", d.Range.Start}, {"message", d.Message}})
	}
	return list
}

// String is the name used on the command line.
func (v View) String() string {
	if v == SourceView {
		return "source"
	}
	return "expanded"
}

// Equal reports whether two files have the same declarations, statements and
// expressions; positions do not count.
func Equal(a, b *File) bool { return Shape(a) == Shape(b) }

// Shape is the outline of DumpTree without positions: what Equal compares.
func Shape(f *File) string {
	d := &dumper{}
	for _, decl := range f.Decls {
		d.value("", reflect.ValueOf(decl), 0)
	}
	return d.b.String()
}

func writeJSON(w io.Writer, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		k, err := marshal(m.name)
		if err != nil {
			return nil, err
		}
		v, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, k...), ':'), v...)
	}
	return append(b, '}'), nil
}

var nodeType = reflect.TypeFor[Node]()

// fields calls f for the fields of a node that say something: no span, no token
// indices, no zero values but those
// of literals. Embedded structs are flattened.
func fields(v reflect.Value, f func(name string, v reflect.Value)) {
	t := v.Type()
	for i := range t.NumField() {
		sf, fv := t.Field(i), v.Field(i)
		if sf.Anonymous && sf.IsExported() {
			fields(fv, f)
			continue
		}
		if !sf.IsExported() || strings.HasSuffix(sf.Name, "Tok") || strings.HasSuffix(sf.Name, "Toks") || fv.IsZero() && (sf.Name != "Value" || fv.Kind() == reflect.Pointer) {
			continue
		}
		switch sf.Name {
		case "Format", "Function", "ShiftLit": // made from other fields
			continue
		}
		f(sf.Name, fv)
	}
}

// scalar gives the value of a leaf; false for a node, list or struct.
func scalar(v reflect.Value) (any, bool) {
	if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer && v.Kind() != reflect.Struct {
		return s.String(), true
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool:
		return v.Interface(), true
	case reflect.Int, reflect.Int8, reflect.Int32, reflect.Int64:
		return v.Int(), true
	case reflect.Uint8:
		return v.Uint(), true
	}
	return nil, false
}

func jsonNode(v reflect.Value) any {
	if x, ok := scalar(v); ok {
		return x
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return jsonNode(v.Elem())
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, jsonNode(v.Index(i)))
		}
		return list
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		o := object{{"node", v.Elem().Type().Name()}}
		if n, ok := v.Interface().(Node); ok {
			r := Range(n)
			o = append(o, member{"range", [4]int{r.Start.Line, r.Start.Col, r.End.Line, r.End.Col}})
		}
		fields(v.Elem(), func(name string, v reflect.Value) { o = append(o, member{lower(name), jsonNode(v)}) })
		return o
	case reflect.Struct:
		var o object
		fields(v, func(name string, v reflect.Value) { o = append(o, member{lower(name), jsonNode(v)}) })
		if o == nil {
			o = object{}
		}
		return o
	}
	return nil
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

type dumper struct {
	b         strings.Builder
	positions bool
}

func (d *dumper) line(depth int) {
	for range depth {
		d.b.WriteByte(' ')
	}
}

// value writes a node and its fields, one line each.
func (d *dumper) value(name string, v reflect.Value, depth int) {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if x, ok := scalar(v); ok {
		d.line(depth)
		if s, ok := x.(string); ok && v.Kind() == reflect.String {
			x = strconv.Quote(s)
		}
		fmt.Fprintf(&d.b, "%s: %v\n", name, x)
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			d.value(name, v.Index(i), depth)
		}
	case reflect.Pointer, reflect.Struct:
		d.line(depth)
		if name != "" {
			d.b.WriteString(name)
			d.b.WriteString(": ")
		}
		e := v
		if v.Kind() == reflect.Pointer {
			e = v.Elem()
		}
		d.b.WriteString(e.Type().Name())
		if n, ok := v.Interface().(Node); ok && v.Type().Implements(nodeType) {
			if d.positions {
				r := Range(n)
				fmt.Fprintf(&d.b, " %d:%d-%d:%d", r.Start.Line, r.Start.Col, r.End.Line, r.End.Col)
			}
			if vb, ok := n.(*Verbatim); ok {
				for i := vb.First(); i <= vb.Last(); i++ {
					fmt.Fprintf(&d.b, " %s", strconv.Quote(vb.File().Text(i)))
				}
			}
		}
		d.b.WriteByte('\n')
		fields(e, func(name string, v reflect.Value) { d.value(name, v, depth+1) })
	}
}
