package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ErrHelp and ErrVersion say that the command was asked for its help or version.
var (
	ErrHelp    = errors.New("help is asked for")
	ErrVersion = errors.New("the version is asked for")
)

// Flags reads a command's options into variables. Each option of the table has to be
// bound before Parse; what is not, or is bound as what it is not, is a mistake of the
// program and panics.
type Flags struct {
	cmd   *Command
	set   *pflag.FlagSet
	gone  []*Option
	wrong []error // what values of those are none
	words []wordsCheck
	given []string
}

type wordsCheck struct {
	o     *Option
	value func() []string
}

// Flags begins reading a command line.
func (c *Command) Flags() *Flags {
	f := &Flags{cmd: c, set: pflag.NewFlagSet(c.Name, pflag.ContinueOnError)}
	f.set.SetOutput(io.Discard)
	f.set.SortFlags = false
	return f
}

func (f *Flags) option(long string, value bool) *Option {
	o := f.cmd.Option(long)
	if o == nil {
		panic(fmt.Sprintf("cli: %s has no option --%s", f.cmd.Name, long))
	}
	if (o.Arg != "") != value {
		panic(fmt.Sprintf("cli: %s: whether --%s has a value is not as the table says", f.cmd.Name, long))
	}
	return o
}

func (f *Flags) bound(o *Option, value func() []string) {
	if o.Implied != "" {
		f.set.Lookup(o.Long).NoOptDefVal = o.Implied
	}
	if len(o.Values) > 0 && value != nil {
		f.words = append(f.words, wordsCheck{o, value})
	}
}

// Bool binds a switch.
func (f *Flags) Bool(p *bool, long string) {
	f.set.BoolVarP(p, long, f.option(long, false).Short, *p, "")
}

// Count binds a switch that counts how often it is given.
func (f *Flags) Count(p *int, long string) {
	f.set.CountVarP(p, long, f.option(long, false).Short, "")
}

// String binds an option with a text; what the variable holds is the default.
func (f *Flags) String(p *string, long string) {
	o := f.option(long, true)
	f.set.StringVarP(p, long, o.Short, *p, "")
	f.bound(o, func() []string { return []string{*p} })
}

// Int binds an option with a number.
func (f *Flags) Int(p *int, long string) {
	o := f.option(long, true)
	f.set.IntVarP(p, long, o.Short, *p, "")
	f.bound(o, nil)
}

// Float binds an option with a number that may have a fraction.
func (f *Flags) Float(p *float64, long string) {
	o := f.option(long, true)
	f.set.Float64VarP(p, long, o.Short, *p, "")
	f.bound(o, nil)
}

// Strings binds an option that may be repeated.
func (f *Flags) Strings(p *[]string, long string) {
	o := f.option(long, true)
	f.set.StringArrayVarP(p, long, o.Short, *p, "")
	f.bound(o, func() []string { return *p })
}

// Lists binds an option that may be repeated and has lists with commas.
func (f *Flags) Lists(p *[]string, long string) {
	o := f.option(long, true)
	f.set.StringSliceVarP(p, long, o.Short, *p, "")
	f.bound(o, func() []string { return *p })
}

// Changed says whether an option was given.
func (f *Flags) Changed(long string) bool { return f.set.Changed(long) }

// Gone are the lines that options without a meaning here have left, in order.
func (f *Flags) Gone() []string { return f.left(false) }

// Remarks are those of options of which nothing is missed.
func (f *Flags) Remarks() []string { return f.left(true) }

func (f *Flags) left(silent bool) []string {
	var lines []string
	for _, o := range f.gone {
		if o.Silent == silent {
			lines = append(lines, fmt.Sprintf("%s has no effect: %s", o.spelled(), o.Instead))
		}
	}
	return lines
}

// goneValue notes that an option without a meaning was given.
type goneValue struct {
	f *Flags
	o *Option
}

func (g goneValue) String() string { return "" }
func (g goneValue) Type() string   { return g.o.Arg }

func (g goneValue) Set(v string) error {
	if len(g.o.Values) > 0 && !slices.Contains(g.o.Values, v) {
		g.f.wrong = append(g.f.wrong, g.o.invalidWord(v))
	}
	if slices.Contains(g.o.RefusedValues, v) {
		g.f.wrong = append(g.f.wrong, fmt.Errorf("--%s=%s is not supported: %s", g.o.Long, v, g.o.Instead))
	}
	if !slices.Contains(g.f.gone, g.o) {
		g.f.gone = append(g.f.gone, g.o)
	}
	return nil
}

// Parse reads a command line and returns the arguments that are no options. It binds
// --help and --version itself and returns ErrHelp or ErrVersion for them.
func (f *Flags) Parse(args []string) ([]string, error) {
	help, version := false, false
	for _, o := range f.cmd.Options() {
		switch {
		case o.Long == "help":
			f.Bool(&help, "help")
		case o.Long == "version":
			f.Bool(&version, "version")
		case o.Instead != "":
			f.set.VarP(goneValue{f, o}, o.Long, o.Short, "")
			if fl := f.set.Lookup(o.Long); o.Arg == "" {
				fl.NoOptDefVal = "yes"
			} else {
				fl.NoOptDefVal = o.Implied
			}
		}
	}
	for _, o := range f.cmd.Options() {
		if f.set.Lookup(o.Long) == nil {
			panic(fmt.Sprintf("cli: nothing takes --%s of %s", o.Long, f.cmd.Name))
		}
	}
	f.set.SetNormalizeFunc(f.whole)
	err := f.set.ParseAll(args, func(fl *pflag.Flag, value string) error {
		f.given = append(f.given, "--"+fl.Name+"="+value)
		return f.set.Set(fl.Name, value)
	})
	switch {
	case help:
		return nil, ErrHelp
	case version:
		return nil, ErrVersion
	case errors.Is(err, pflag.ErrHelp):
		return nil, ErrHelp
	case err != nil:
		return nil, f.explain(err)
	}
	if len(f.wrong) > 0 {
		return nil, f.wrong[0]
	}
	for _, o := range f.gone {
		if o.Refused {
			return nil, fmt.Errorf("%s is not supported: %s", o.spelled(), o.Instead)
		}
	}
	for _, w := range f.words {
		if !f.set.Changed(w.o.Long) {
			continue
		}
		for _, v := range w.value() {
			if !slices.Contains(w.o.Values, v) {
				if w.o.Invalid != "" {
					return nil, fmt.Errorf("%s %s: %s", w.o.spelled(), v, w.o.Invalid)
				}
				return nil, w.o.invalidWord(v)
			}
		}
	}
	return f.set.Args(), nil
}

// invalidWord says that a value is none of those that there are.
func (o *Option) invalidWord(v string) error {
	//lint:ignore ST1005 the text is SystemTap's
	return fmt.Errorf("Invalid argument '%s' for --%s: use %s", v, o.Long, or(o.Values))
}

// Given are the options of the command line that was parsed, each as --name=value.
func (f *Flags) Given() []string { return f.given }

// whole completes the beginning of a long option's name, as getopt_long(3) does.
func (f *Flags) whole(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if f.cmd.Option(name) != nil {
		return pflag.NormalizedName(name)
	}
	found := ""
	for _, o := range f.cmd.Options() {
		if !strings.HasPrefix(o.Long, name) || o.Hidden {
			continue
		}
		if found != "" {
			return pflag.NormalizedName(name)
		}
		found = o.Long
	}
	if found != "" {
		return pflag.NormalizedName(found)
	}
	return pflag.NormalizedName(name)
}

// explain says what is wrong with a command line, with what may have been meant.
func (f *Flags) explain(err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			return fmt.Errorf("invalid option -- '%s'", name)
		}
		if near := f.near(name); near != "" {
			return fmt.Errorf("unrecognized option '--%s' (similar: --%s)", name, near)
		}
		return fmt.Errorf("unrecognized option '--%s'", name)
	}
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) {
		o := f.cmd.Option(missing.GetFlag().Name)
		if s := missing.GetSpecifiedShortnames(); s != "" {
			return fmt.Errorf("option requires an argument -- '%s' (-%s %s)", o.Short, o.Short, o.Arg)
		}
		return fmt.Errorf("option '--%s' requires an argument (--%s=%s)", o.Long, o.Long, o.Arg)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		o := f.cmd.Option(invalid.GetFlag().Name)
		kind := invalid.GetFlag().Value.Type()
		switch kind {
		case "int", "float64":
			kind = "a number"
		case "bool":
			return fmt.Errorf("option '--%s' doesn't allow an argument", o.Long)
		}
		if o.Invalid != "" {
			return fmt.Errorf("%s %s: %s", o.spelled(), invalid.GetValue(), o.Invalid)
		}
		return fmt.Errorf("%s %s: the value must be %s", o.spelled(), invalid.GetValue(), kind)
	}
	return err
}

// near is the name of an option that resembles one, or "".
func (f *Flags) near(name string) string {
	best, limit := "", len(name)/3+1
	for _, o := range f.cmd.Options() {
		if o.Hidden {
			continue
		}
		d := distance(name, o.Long)
		if len(o.Long) > len(name) {
			// Of a long name people write the beginning.
			d = min(d, 1+distance(name, o.Long[:len(name)]))
		}
		if d < limit || d == limit && best == "" {
			best, limit = o.Long, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
