package format

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// records returns the tab-separated lines of a file of recorded outputs.
func records(t *testing.T, name string, fields int) [][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var recs [][]string
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rec := strings.Split(line, "\t")
		if len(rec) != fields {
			t.Fatalf("%s:%d: %d fields, want %d", name, i+1, len(rec), fields)
		}
		recs = append(recs, rec)
	}
	if len(recs) < 100 {
		t.Fatalf("%s holds only %d records", name, len(recs))
	}
	return recs
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return u
}

func mustParse(t *testing.T, s string) Format {
	t.Helper()
	f, err := Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return f
}

// TestRecordedDirectives holds single directives against what SystemTap printed
// for them.
func TestRecordedDirectives(t *testing.T) {
	for _, rec := range records(t, "directives.txt", 3) {
		f := mustParse(t, rec[0])
		var arg Arg
		if strings.HasPrefix(rec[1], `"`) {
			arg = StringArg(unquote(t, rec[1]))
		} else {
			v, err := strconv.ParseInt(rec[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			arg = LongArg(v)
		}
		got, err := Append([]byte("before"), f, []Arg{arg})
		if err != nil {
			t.Errorf("%s of %s: %v", rec[0], rec[1], err)
		}
		if want := "before" + unquote(t, rec[2]); string(got) != want {
			t.Errorf("%s of %s = %q, want %q", rec[0], rec[1], got, want)
		}
	}
}

// TestRecordedText holds escaped text against SystemTap's.
func TestRecordedText(t *testing.T) {
	for _, rec := range records(t, "text.txt", 4) {
		limit, err := strconv.Atoi(rec[0])
		if err != nil {
			t.Fatal(err)
		}
		s := unquote(t, rec[2])
		got := AppendText(nil, s, EscapeOptions{Max: limit, Quoted: rec[1] == "1"})
		if want := unquote(t, rec[3]); string(got) != want {
			t.Errorf("text of %q, longest %d, quoted %s = %q, want %q", s, limit, rec[1], got, want)
		}
	}
}

func TestAppendText(t *testing.T) {
	tests := []struct {
		s    string
		opt  EscapeOptions
		want string
	}{
		{"ab\x00cd", EscapeOptions{}, "ab"},
		{"ab\x00cd\n", EscapeOptions{Buffer: true}, `ab\0cd\n`},
		{"ab\x00cd\n", EscapeOptions{Buffer: true, Quoted: true}, `"ab\0cd\n"`},
		// SystemTap 4.8 leaves out the dots here; the text is cut all the same.
		{"j0vԷ", EscapeOptions{Quoted: true, Max: 8}, `"j0v"...`},
		{"héllo", EscapeOptions{Quoted: true}, `"h\u00E9llo"`},
	}
	for _, tt := range tests {
		if got := AppendText(nil, tt.s, tt.opt); string(got) != tt.want {
			t.Errorf("AppendText(%q, %+v) = %s, want %s", tt.s, tt.opt, got, tt.want)
		}
	}
}

// goldenOutput returns what SystemTap printed for a script of the recorded
// runs, and skips the test where they are not at hand.
func goldenOutput(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	a, err := txtar.ParseFile(filepath.Join(dir, "run", name+".txtar"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no recorded runs in %s; set STAPKIT_GOLDEN to their folder", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		if f.Name == "stdout" {
			return string(f.Data)
		}
	}
	t.Fatalf("%s has no stdout", name)
	return ""
}

// TestGoldenRuns makes the output of recorded scripts from the values that
// these scripts print.
func TestGoldenRuns(t *testing.T) {
	out := func(f Format, args ...any) string {
		var vals []Arg
		for _, a := range args {
			switch a := a.(type) {
			case int:
				vals = append(vals, LongArg(int64(a)))
			case string:
				vals = append(vals, StringArg(a))
			default:
				t.Fatalf("value of type %T", a)
			}
		}
		b, err := Append(nil, f, vals)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	printing := func(name string, args ...any) string {
		fn, ok := LookupFunction(name)
		if !ok {
			t.Fatalf("%s is no print function", name)
		}
		delim := ""
		if fn.Delimited {
			delim, args = args[0].(string), args[1:]
		}
		var types []Type
		for _, a := range args {
			if _, ok := a.(string); ok {
				types = append(types, String)
			} else {
				types = append(types, Long)
			}
		}
		return out(Join(types, delim, fn.Newline), args...)
	}
	hist := func(h Hist, values func(add func(int64))) string {
		counts := make([]int64, h.Buckets())
		values(func(v int64) { counts[h.Bucket(v)]++ })
		return string(h.AppendText(nil, counts))
	}
	linear := func(low, high, step int64) Hist {
		h, err := Linear(low, high, step)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	tests := []struct {
		name string
		got  func() string
	}{
		{"print_family", func() string {
			return printing("print", 1) + printing("print", "a") + printing("print", -7, "\n") +
				printing("println", 3) + printing("println", "x", 4, "y") +
				printing("printd", ",", 1, "b", 3) + printing("print", "\n") + printing("printdln", "::", "p", 2, "q")
		}},
		{"printf_mem", func() string {
			comm := "stapio\x00\x00"
			return out(mustParse(t, `[%.6m] [%.6M] [%8.4m] [%2M]\n`), comm, comm, comm, comm)
		}},
		{"autoprint", func() string {
			b := Global("b", []Type{String}, Long)
			return out(Global("a", nil, Long), 5) + out(b, "y", 2) + out(b, "x", 1) +
				out(Global("c", []Type{Long, String}, String), 1, "q", "str") +
				out(Global("s", nil, String), "text") +
				out(GlobalStat("g", []Type{String}), "k", 5, 0, 4, 10, 2)
		}},
		{"autoprint_agg", func() string { return out(GlobalStat("g", nil), 5, 0, 4, 10, 2) }},
		{"hist_log", func() string {
			return hist(Log(), func(add func(int64)) {
				for i := int64(1); i <= 1000; i++ {
					add(i * i)
				}
			})
		}},
		{"hist_log_small", func() string {
			return hist(Log(), func(add func(int64)) {
				for _, v := range []int64{0, 1, 1, 5, -3, -100} {
					add(v)
				}
			})
		}},
		{"hist_one_log", func() string { return hist(Log(), func(add func(int64)) { add(7) }) }},
		{"hist_one_linear", func() string { return hist(linear(0, 10, 1), func(add func(int64)) { add(7) }) }},
		{"hist_linear", func() string {
			return hist(linear(0, 100, 10), func(add func(int64)) {
				for i := int64(0); i < 100; i++ {
					add(i)
				}
			})
		}},
		{"hist_linear_index", func() string {
			h := linear(0, 20, 5)
			counts := make([]int, h.Buckets())
			for _, v := range []int64{7, -1, 99} {
				counts[h.Bucket(v)]++
			}
			s := out(mustParse(t, `%d %d\n`), counts[1], counts[0])
			for i, c := range counts {
				s += out(mustParse(t, `%d: %d\n`), i, c)
			}
			return s
		}},
		{"hist_bucket_index2", func() string {
			counts := make([]int, Log().Buckets())
			for _, v := range []int64{3, 12, 13} {
				counts[Log().Bucket(v)]++
			}
			s := ""
			for i, c := range counts {
				s += out(mustParse(t, `%d: %d\n`), i, c)
			}
			return s
		}},
		{"strtrunc_d", func() string {
			const limit = 15
			s := "01234567890123456789"[:limit]
			f := mustParse(t, "%d%s")
			text, err := Sprint(f, []Arg{LongArg(12345), StringArg(s)}, limit)
			if err != nil {
				t.Fatal(err)
			}
			return printing("println", len(s), " ", s) + printing("println", text)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if want, got := goldenOutput(t, tt.name), tt.got(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestGlobalEmptyStat(t *testing.T) {
	if got, ok := GlobalEmptyStat("st").Literal(); !ok || got != "st @count=0x0\n" {
		t.Errorf("GlobalEmptyStat = %q, %v", got, ok)
	}
}

// TestRecordedHistograms holds histograms against SystemTap's.
func TestRecordedHistograms(t *testing.T) {
	a, err := txtar.ParseFile(filepath.Join("testdata", "hist.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) < 30 {
		t.Fatalf("only %d recorded histograms", len(a.Files))
	}
	for _, f := range a.Files {
		shape, values, _ := strings.Cut(f.Name, ": ")
		h := Log()
		if shape != "log" {
			var low, high, step int64
			if _, err := fmt.Sscanf(shape, "linear %d %d %d", &low, &high, &step); err != nil {
				t.Fatal(err)
			}
			if h, err = Linear(low, high, step); err != nil {
				t.Fatal(err)
			}
		}
		counts := make([]int64, h.Buckets())
		for _, v := range strings.Fields(values) {
			v, times, _ := strings.Cut(v, "*")
			value, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n := int64(1)
			if times != "" {
				if n, err = strconv.ParseInt(times, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			counts[h.Bucket(value)] += n
		}
		want := strings.TrimSuffix(string(f.Data), "\n")
		if got := strings.TrimSuffix(string(h.AppendText(nil, counts)), "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got, want)
		}
	}
}

func TestLogBuckets(t *testing.T) {
	h := Log()
	for i := 0; i < h.Buckets(); i++ {
		if got := h.Bucket(h.Bound(i)); got != i {
			t.Errorf("the bound %d of bucket %d lies in bucket %d", h.Bound(i), i, got)
		}
	}
	for v, want := range map[int64]int{
		0: 64, 1: 65, 2: 66, 3: 66, 4: 67, 7: 67, 8: 68, -1: 63, -2: 62, -3: 62, -4: 61,
		math.MaxInt64: 127, math.MinInt64: 0, math.MinInt64 + 1: 1,
	} {
		if got := h.Bucket(v); got != want {
			t.Errorf("Bucket(%d) = %d, want %d", v, got, want)
		}
	}
}

func TestLinear(t *testing.T) {
	for _, tt := range []struct {
		low, high, step int64
		buckets         int // 0: refused
	}{
		{0, 125, 1, 128},
		{0, 126, 1, 0},
		{5, 13, 4, 5},
		{0, 10, 3, 6},
		{10, 10, 1, 3},
		{10, 9, 1, 0},
		{0, 10, 0, 0},
		{0, 10, -1, 0},
		{math.MinInt64, math.MaxInt64, 1, 0},
		{math.MinInt64, math.MaxInt64, math.MaxInt64, 5},
	} {
		h, err := Linear(tt.low, tt.high, tt.step)
		if (err != nil) != (tt.buckets == 0) {
			t.Errorf("Linear(%d, %d, %d): %v", tt.low, tt.high, tt.step, err)
			continue
		}
		if err != nil {
			continue
		}
		if h.Buckets() != tt.buckets {
			t.Errorf("Linear(%d, %d, %d) has %d buckets, want %d", tt.low, tt.high, tt.step, h.Buckets(), tt.buckets)
		}
		for _, v := range []int64{math.MinInt64, tt.low, tt.low + 1, tt.high - 1, tt.high, math.MaxInt64} {
			i := h.Bucket(v)
			switch {
			case i < 0 || i >= h.Buckets():
				t.Errorf("Linear(%d, %d, %d): %d lies in bucket %d", tt.low, tt.high, tt.step, v, i)
			case v < tt.low && i != 0, v >= tt.low && i == 0, i > 0 && v < h.Bound(i):
				t.Errorf("Linear(%d, %d, %d): %d lies in bucket %d of bound %d", tt.low, tt.high, tt.step, v, i, h.Bound(i))
			}
		}
	}
}

// TestParseAcceptance lists what SystemTap 4.8's parser accepts and refuses,
// with one exception, which is marked.
func TestParseAcceptance(t *testing.T) {
	for s, want := range map[string]string{ // the format in canonical form, or the message
		`%ld`:             `%d`,
		`%i`:              `%d`,
		`%.d`:             `%d`,
		`%5.d`:            `%5d`,
		`%5.ld`:           `%5d`,
		`%.*s`:            `%.*s`,
		`%*.*d`:           `%*.*d`,
		`%-*d`:            `%-*d`,
		`%0*d`:            `%0*d`,
		`%00d`:            `%00d`,
		`%4b`:             `%4b`,
		`%3b`:             `%3b`,
		`%.3c`:            `%.3c`,
		`%#p`:             `%#p`,
		`%dl`:             `%dl`,
		`%\d`:             `%d`,
		`\%d`:             `%d`,
		`\x25 d`:          `%% d`,
		`\45d`:            `%%d`,
		`100%%`:           `100%%`,
		`a%%%%`:           `a%%%%`,
		`100%`:            `100%%`, // 4.8 refuses it, later versions print a percent sign
		`%99999999999d`:   `%2147483647d`,
		`%.99999999999d`:  `%.2147483647d`,
		``:                ``,
		`a\tb\\\"\q\0\x7`: `a\tb\\\"q\000\a`,
		`%lld`:            msgInvalid,
		`%hd`:             msgInvalid,
		`%zd`:             msgInvalid,
		`%D`:              msgInvalid,
		`%q`:              msgInvalid,
		`%n`:              msgInvalid,
		`%f`:              msgInvalid,
		`%5%`:             msgInvalid,
		`%-%`:             msgInvalid,
		`%.%`:             msgInvalid,
		`%l%`:             msgInvalid,
		`%#-10x`:          msgInvalid,
		`%-+5d`:           msgInvalid,
		`%-08d`:           `%-08d`, // one flag, then the width 08
		`%  d`:            msgInvalid,
		`%.-3d`:           msgInvalid,
		`%*5d`:            msgInvalid,
		`%.2*d`:           msgInvalid,
		`%5.5.5d`:         msgInvalid,
		`%l5d`:            msgInvalid,
		`%\x64`:           msgInvalid,
		`%\n`:             msgInvalid,
		`%5`:              msgTrailing,
		`%-`:              msgTrailing,
		`%5l`:             msgTrailing,
		`% `:              msgTrailing,
	} {
		f, err := Parse(s)
		var e *Error
		if errors.As(err, &e) {
			if e.Message != want {
				t.Errorf("Parse(%q): %q, want %q", s, e.Message, want)
			}
			if e.Help == "" || e.Offset < 0 || e.End <= e.Offset || e.End > len(s) {
				t.Errorf("Parse(%q): error at [%d,%d) with help %q", s, e.Offset, e.End, e.Help)
			}
			continue
		}
		if got := f.String(); got != want && !(s == `%-08d` && got == `%-8d`) {
			t.Errorf("Parse(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestParseOffsets(t *testing.T) {
	s := `a\n%-5d|%%\x41%*.*s!`
	f := mustParse(t, s)
	var got []string
	for _, d := range f.Directives {
		got = append(got, s[d.Start:d.End])
	}
	if want := `a\n,%-5d,|%%\x41,%*.*s,!`; strings.Join(got, ",") != want {
		t.Errorf("directives %s, want %s", strings.Join(got, ","), want)
	}
	if got := fmt.Sprint(f.ArgTypes()); got != "[long long long string]" {
		t.Errorf("ArgTypes = %s", got)
	}
	if text := f.Directives[2].Text; text != "|%A" {
		t.Errorf("text = %q", text)
	}
	_, err := Parse(`\n50%q`)
	var e *Error
	if !errors.As(err, &e) || e.Offset != 4 || e.End != 6 {
		t.Errorf("error %v, want one at 4 to 6", err)
	}
}

func TestAdvice(t *testing.T) {
	for s, want := range map[string]string{
		`%lld`:    "'ll'",
		`%hhd`:    "'h'",
		`%zu`:     "'z'",
		`%.2f`:    "floating-point",
		`%-+5d`:   "one flag",
		`%5%`:     "%%",
		`%y`:      "d i u o x X p c s b m M",
		`total %`: "",
	} {
		_, err := Parse(s)
		var e *Error
		if !errors.As(err, &e) {
			if want != "" {
				t.Errorf("Parse(%q): %v", s, err)
			}
			continue
		}
		if want == "" || !strings.Contains(e.Help, want) {
			t.Errorf("Parse(%q): help %q, want %q in it", s, e.Help, want)
		}
	}
}

func TestStars(t *testing.T) {
	tests := []struct {
		f    string
		args []Arg
		want string
	}{
		{`%*d|`, []Arg{LongArg(5), LongArg(42)}, "   42|"},
		{`%-*d|`, []Arg{LongArg(5), LongArg(42)}, "42   |"},
		{`%*d|`, []Arg{LongArg(-5), LongArg(42)}, "42|"}, // not C's left alignment
		{`%.*s|`, []Arg{LongArg(2), StringArg("hello")}, "he|"},
		{`%.*s|`, []Arg{LongArg(-1), StringArg("hello")}, "|"},
		{`%*.*s|`, []Arg{LongArg(4), LongArg(2), StringArg("hello")}, "  he|"},
		{`%s`, []Arg{StringArg("é")}, "é"},
		{`%.1s`, []Arg{StringArg("é")}, "\xc3"},
		{`%s|`, []Arg{StringArg("a\x00b")}, "a|"},
		{`%2.4M`, []Arg{MemoryArg("\x01\x02")}, "01020000"},
	}
	for _, tt := range tests {
		got, err := Append(nil, mustParse(t, tt.f), tt.args)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s of %v = %q, %v, want %q", tt.f, tt.args, got, err, tt.want)
		}
	}
	got, err := Append(nil, mustParse(t, "%*d"), []Arg{LongArg(math.MaxInt64), LongArg(1)})
	if err != nil || len(got) != MaxWidth {
		t.Errorf("width of 2^63-1 gives %d bytes, %v", len(got), err)
	}
	got, err = Append(nil, mustParse(t, "%99999999999d"), []Arg{LongArg(1)})
	if err != nil || len(got) != MaxWidth {
		t.Errorf("width of 99999999999 gives %d bytes, %v", len(got), err)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{None.String(), "none"}, {Long.String(), "long"}, {String.String(), "string"}, {Type(9).String(), "type(9)"},
		{string(Signed.Letter()), "d"}, {string(MemoryHex.Letter()), "M"}, {string(Str.Letter()), "s"},
		{string(Text.Letter()), "\x00"}, {string(Conv(99).Letter()), "\x00"},
		{Text.Type().String(), "none"}, {Memory.Type().String(), "long"}, {Str.Type().String(), "string"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	for s, want := range map[string]bool{"": true, "a%%b": true, "%d": false, "a%s": false} {
		if text, ok := mustParse(t, s).Literal(); ok != want || ok && text != strings.ReplaceAll(s, "%%", "%") {
			t.Errorf("Literal of %q = %q, %v", s, text, ok)
		}
	}
	if low, high, step, ok := Log().IsLinear(); ok || low != 0 || high != 0 || step != 0 {
		t.Error("the logarithmic shape is taken for a linear one")
	}
	h, err := Linear(1, 9, 2)
	if err != nil {
		t.Fatal(err)
	}
	if low, high, step, ok := h.IsLinear(); !ok || low != 1 || high != 9 || step != 2 {
		t.Errorf("IsLinear = %d, %d, %d, %v", low, high, step, ok)
	}
	if got := (&Error{Offset: 3, Message: "m"}).Error(); got != "offset 3: m" {
		t.Errorf("Error = %q", got)
	}
}

func TestMemorySize(t *testing.T) {
	for _, tt := range []struct {
		f    string
		prec int64
		want int
	}{{"%m", 0, 1}, {"%.6m", 0, 6}, {"%.0M", 0, 1}, {"%.*m", 9, 9}, {"%.*m", -9, 1}, {"%.*M", math.MaxInt64, MaxWidth}} {
		if got := mustParse(t, tt.f).Directives[0].MemorySize(tt.prec); got != tt.want {
			t.Errorf("MemorySize of %s, %d = %d, want %d", tt.f, tt.prec, got, tt.want)
		}
	}
}

func TestArgErrors(t *testing.T) {
	tests := []struct {
		f    string
		args []Arg
		want string
	}{
		{"%d", nil, "no value 0 for %d"},
		{"%d %s", []Arg{LongArg(1)}, "no value 1 for %s"},
		{"%d", []Arg{StringArg("x")}, "value 0 for %d is a string, not a long"},
		{"%*s", []Arg{LongArg(1), LongArg(1)}, "value 1 for %*s is a long, not a string"},
		{"%*d", []Arg{StringArg("x"), LongArg(1)}, "value 0 for %*d is a string, not a long"},
		{"x%d", []Arg{LongArg(1), LongArg(2)}, "format takes 1 values, got more"},
	}
	for _, tt := range tests {
		dst := []byte("kept")
		got, err := Append(dst, mustParse(t, tt.f), tt.args)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.f, err, tt.want)
		}
		if string(got) != "kept" {
			t.Errorf("%s: output %q after an error", tt.f, got)
		}
	}
}

func TestSprint(t *testing.T) {
	for _, tt := range []struct {
		f    string
		args []Arg
		max  int
		want string
	}{
		{"%d%s", []Arg{LongArg(12), StringArg("abc")}, 4, "12ab"},
		{"a%cb", []Arg{LongArg(0)}, 10, "a"},
		{"%05s|", []Arg{StringArg("ab")}, 10, "   ab"},
		{"abc", nil, 0, ""},
		{"abc", nil, -1, ""},
	} {
		got, err := Sprint(mustParse(t, tt.f), tt.args, tt.max)
		if err != nil || got != tt.want {
			t.Errorf("Sprint(%s, %d) = %q, %v, want %q", tt.f, tt.max, got, err, tt.want)
		}
	}
	if _, err := Sprint(mustParse(t, "%d"), nil, 10); err == nil {
		t.Error("Sprint without its value gives no error")
	}
}

func TestLookupFunction(t *testing.T) {
	for name, want := range map[string]Function{
		"print":     {},
		"println":   {Newline: true},
		"printd":    {Delimited: true},
		"printdln":  {Delimited: true, Newline: true},
		"printf":    {Formatted: true},
		"sprint":    {ToString: true},
		"sprintln":  {ToString: true, Newline: true},
		"sprintd":   {ToString: true, Delimited: true},
		"sprintdln": {ToString: true, Delimited: true, Newline: true},
		"sprintf":   {ToString: true, Formatted: true},
	} {
		if got, ok := LookupFunction(name); !ok || got != want {
			t.Errorf("LookupFunction(%s) = %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "s", "printk", "printfln", "println_", "print_char", "ssprint", "sprintk", "rint"} {
		if _, ok := LookupFunction(name); ok {
			t.Errorf("%q is taken for a print function", name)
		}
	}
	for name, want := range map[string]int{"print": 1, "println": 0, "sprintln": 0, "printd": 3, "printdln": 3, "printf": 1} {
		if fn, _ := LookupFunction(name); fn.MinArgs() != want {
			t.Errorf("%s needs %d arguments, want %d", name, fn.MinArgs(), want)
		}
	}
}

func TestEscapes(t *testing.T) {
	for raw, want := range map[string]string{
		`plain`:                  "plain",
		`\a\b\t\n\v\f\r\\`:       "\a\b\t\n\v\f\r\\",
		`\"\e\q\%`:               `"eq%`,
		`\0\12\1234\8`:           "\x00\n\x534" + "8",
		`\x41\x4g\x`:             "A\x04gx",
		`\x141`:                  "A", // the low byte, as C takes all hexadecimal digits
		`trailing\`:              `trailing\`,
		"bytes \xff\xfe and \\n": "bytes \xff\xfe and \n",
	} {
		got := Unescape(raw)
		if got != want {
			t.Errorf("Unescape(%q) = %q, want %q", raw, got, want)
		}
		if again := Unescape(Quote(got)); again != got {
			t.Errorf("Unescape(Quote(%q)) = %q", got, again)
		}
	}
	if got := Quote("a\"\x01\n\x7f1é"); got != `a\"\001\n\1771é` {
		t.Errorf("Quote = %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`%d %s\n`, `%-5.3d%%`, `%*.*s`, `\x25d%`, `%#c\0%b%.6M`, `%`, `%5`, `a\`, "\xff%p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fm, err := Parse(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.End <= e.Offset || e.End > len(s) {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			return
		}
		end := 0
		for i, d := range fm.Directives {
			if d.Start < end || d.End <= d.Start || d.End > len(s) {
				t.Fatalf("Parse(%q): directive %d at [%d,%d) behind %d", s, i, d.Start, d.End, end)
			}
			end = d.End
		}
		canonical := fm.String()
		again, err := Parse(canonical)
		if err != nil {
			t.Fatalf("Parse(%q), of %q: %v", canonical, s, err)
		}
		if len(again.Directives) != len(fm.Directives) {
			t.Fatalf("%q and %q differ in directives", s, canonical)
		}
		for i, d := range fm.Directives {
			d.Start, d.End = again.Directives[i].Start, again.Directives[i].End
			if d != again.Directives[i] {
				t.Fatalf("directive %d of %q: %+v, again %+v", i, s, d, again.Directives[i])
			}
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add(`%d %s\n`, int64(-5), "x", int64(7))
	f.Add(`%*.*d%-8s|`, int64(8), "abc\x00d", int64(-3))
	f.Add(`%#c%b%.6M%05s`, int64(200), "\xffé", int64(1<<40))
	f.Fuzz(func(t *testing.T, s string, n int64, str string, m int64) {
		fm, err := Parse(s)
		if err != nil {
			return
		}
		var args []Arg
		longs := []int64{n, m, n ^ m, 3}
		for i := range fm.Directives {
			d := &fm.Directives[i]
			for k := d.Args(); k > 1; k-- {
				args = append(args, LongArg(longs[len(args)%len(longs)]))
			}
			switch d.Conv {
			case Text:
			case Str, Memory, MemoryHex:
				args = append(args, StringArg(str))
			default:
				args = append(args, LongArg(longs[len(args)%len(longs)]))
			}
		}
		got, err := Append(nil, fm, args)
		if err != nil {
			t.Fatalf("%q of %v: %v", s, args, err)
		}
		most := 0
		for i := range fm.Directives {
			d := &fm.Directives[i]
			most += max(len(d.Text), 2*MaxWidth+len(str)+len("-0x")+20)
		}
		if len(got) > most {
			t.Fatalf("%q gives %d bytes", s, len(got))
		}
		if len(args) > 0 {
			if _, err := Append(nil, fm, args[:len(args)-1]); err == nil {
				t.Fatalf("%q without its last value gives no error", s)
			}
		}
		if _, err := Append(nil, fm, append(args, LongArg(0))); err == nil {
			t.Fatalf("%q with a value too many gives no error", s)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("a\tb\n\"q\" \x01 \\ é\xff", 9, true, false)
	f.Add("j0vԷ", 7, true, true)
	f.Fuzz(func(t *testing.T, s string, limit int, quoted, buffer bool) {
		got := string(AppendText(nil, s, EscapeOptions{Max: limit, Quoted: quoted, Buffer: buffer}))
		most := MaxString
		if limit > 0 && limit < MaxString {
			most = limit
			if quoted {
				most = max(most, len(`""...`))
			}
		}
		if len(got) > most {
			t.Fatalf("%d bytes, more than %d: %q", len(got), most, got)
		}
		for i := 0; i < len(got); i++ {
			if got[i] < ' ' || got[i] > '~' {
				t.Fatalf("byte %#x in %q", got[i], got)
			}
		}
		if quoted && (got[0] != '"' || !strings.HasSuffix(got, `"`) && !strings.HasSuffix(got, `"...`)) {
			t.Fatalf("not in quotes: %q", got)
		}
	})
}

func FuzzHist(f *testing.F) {
	f.Add(false, int64(0), int64(0), int64(0), int64(7), int64(1<<40), uint8(60))
	f.Add(true, int64(0), int64(100), int64(10), int64(-7), int64(55), uint8(3))
	f.Add(true, int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(-7), int64(55), uint8(3))
	f.Fuzz(func(t *testing.T, linear bool, low, high, step, a, b int64, n uint8) {
		h := Log()
		if linear {
			var err error
			if h, err = Linear(low, high, step); err != nil {
				return
			}
		}
		counts := make([]int64, h.Buckets())
		counts[h.Bucket(a)]++
		counts[h.Bucket(b)] += int64(n)
		text := string(h.AppendText(nil, counts))
		lines := strings.Split(text, "\n")
		if !strings.HasSuffix(text, "\n\n") || !strings.HasSuffix(lines[0], " count") {
			t.Fatalf("not a histogram:\n%s", text)
		}
		bar := strings.IndexByte(lines[0], '|')
		var shown int64
		for _, line := range lines[1 : len(lines)-2] {
			if strings.HasSuffix(line, " ~") {
				continue
			}
			if strings.IndexByte(line, '|') != bar {
				t.Fatalf("bars do not line up:\n%s", text)
			}
			v, err := strconv.ParseInt(line[strings.LastIndexByte(line, ' ')+1:], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			shown += v
		}
		if want := int64(n) + 1; shown != want {
			t.Fatalf("%d values shown of %d:\n%s", shown, want, text)
		}
	})
}
