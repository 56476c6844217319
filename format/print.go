package format

import "strings"

// Function is what the name of a print function says about it.
type Function struct {
	ToString  bool // s…: returns the text instead of printing it
	Formatted bool // …f: the first argument is a format
	Delimited bool // …d or …dln: the first argument is a delimiter
	Newline   bool // …ln: a newline at the end
}

// LookupFunction returns what a name of the print family stands for: print,
// println, printd, printdln, printf, and the same with s before. Other names
// are none of the family (print_char is an ordinary function).
func LookupFunction(name string) (Function, bool) {
	var fn Function
	rest, s := strings.CutPrefix(name, "s")
	fn.ToString = s
	rest, ok := strings.CutPrefix(rest, "print")
	if !ok {
		return Function{}, false
	}
	switch rest {
	case "":
	case "f":
		fn.Formatted = true
	case "ln":
		fn.Newline = true
	case "d":
		fn.Delimited = true
	case "dln":
		fn.Delimited, fn.Newline = true, true
	default:
		return Function{}, false
	}
	return fn, true
}

// MinArgs returns how many arguments a call must have at least, the format or
// the delimiter included: one for print, none for println, and a delimiter with
// two values for the delimited ones.
func (fn Function) MinArgs() int {
	switch {
	case fn.Delimited:
		return 3
	case fn.Newline:
		return 0
	}
	return 1
}

// Join returns the format that a print without one stands for: values of the
// given types one after the other, numbers as %d and strings as %s, with delim
// (its escapes resolved) between them, and a newline at the end if so wanted.
func Join(types []Type, delim string, newline bool) Format {
	var f Format
	for i, t := range types {
		if i > 0 {
			f.appendText(delim, 0, 0)
		}
		f.value(t)
	}
	if newline {
		f.appendText("\n", 0, 0)
	}
	return f
}

// value adds a plain %d or %s.
func (f *Format) value(t Type) {
	d := Directive{Conv: Signed, Width: Unset, Prec: Unset}
	if t == String {
		d.Conv = Str
	}
	f.Directives = append(f.Directives, d)
}

// Global returns the format of one line of the automatic display of a global
// variable that a script writes and never reads: name=value, or
// name[key,key]=value for an array. Strings stand in double quotes, not
// escaped. An array is displayed by falling value.
func Global(name string, keys []Type, value Type) Format {
	var f Format
	f.element(name, keys)
	f.appendText("=", 0, 0)
	f.quoted(value)
	f.appendText("\n", 0, 0)
	return f
}

// GlobalStat returns the format of one line of the automatic display of an
// aggregate. Its values are the keys, then count, min, max, sum and average. An
// array of aggregates is displayed by falling count; an empty scalar aggregate
// is displayed by GlobalEmptyStat.
func GlobalStat(name string, keys []Type) Format {
	var f Format
	f.element(name, keys)
	for _, field := range []string{" @count=", " @min=", " @max=", " @sum=", " @avg="} {
		f.appendText(field, 0, 0)
		f.value(Long)
	}
	f.appendText("\n", 0, 0)
	return f
}

// GlobalEmptyStat returns the line, a format without values, that displays a
// scalar aggregate into which nothing was put.
func GlobalEmptyStat(name string) Format {
	var f Format
	f.appendText(name+" @count=0x0\n", 0, 0)
	return f
}

// element adds name or name[key,…].
func (f *Format) element(name string, keys []Type) {
	f.appendText(name, 0, 0)
	for i, k := range keys {
		if i == 0 {
			f.appendText("[", 0, 0)
		} else {
			f.appendText(",", 0, 0)
		}
		f.quoted(k)
	}
	if len(keys) > 0 {
		f.appendText("]", 0, 0)
	}
}

// quoted adds a value, a string in double quotes.
func (f *Format) quoted(t Type) {
	if t == String {
		f.appendText(`"`, 0, 0)
		f.value(t)
		f.appendText(`"`, 0, 0)
		return
	}
	f.value(t)
}
