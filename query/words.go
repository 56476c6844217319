package query

import (
	"strconv"
	"strings"

	"stapkit/format"
	"stapkit/syntax"
)

// This file holds what the language itself has to say in hovers and completions.

var keywordDoc = map[string]string{
	"probe":    "Attaches a handler to probe points: `probe POINT, POINT { … }`; with `=` or `+=` it declares an alias.",
	"global":   "Declares variables that all handlers share. Arrays have up to nine keys and are declared like scalars.",
	"private":  "Makes a global or function visible in its file only.",
	"function": "Declares a function: `function name:type (param:type) { … }`. Types are inferred where they are left out.",
	"foreach":  "Walks an array: `foreach ([k1, k2] in array- limit 10) { … }`. `+` and `-` behind a key or the array sort.",
	"limit":    "Ends a foreach after so many elements.",
	"delete":   "Removes an element, all elements, or resets a variable.",
	"next":     "Ends the handler; in a function, goes on with its next overload.",
	"try":      "Catches run-time errors: `try { … } catch (msg) { … }`.",
	"catch":    "Handles a run-time error of the `try` block; the variable gets its text.",
	"in":       "In an expression, tests whether an array has an element: `[a, b] in array`.",
	"return":   "Returns from a function.",
	"if":       "`if (cond) … else …`",
	"else":     "`if (cond) … else …`",
	"for":      "`for (init; cond; step) …`",
	"while":    "`while (cond) …`",
	"break":    "Leaves the loop.",
	"continue": "Goes on with the loop's next round.",
	"string":   "The type of texts, up to MAXSTRINGLEN bytes.",
	"long":     "The type of numbers: 64 bits, signed.",
}

// atDoc holds the @ operators: form and explanation.
var atDoc = map[string][2]string{
	"cast":       {`@cast(value, "type" [, "module"])->member`, "Reads through a number as through a pointer to the C type."},
	"var":        {`@var("name[@file]" [, "module"])`, "A variable of the kernel, of a module or of a program."},
	"defined":    {`@defined($variable->member)`, "1 if the variable or member exists at the probed place, else 0. It is decided when the script is compiled, or by the loader on each host."},
	"entry":      {`@entry(expression)`, "In a return probe: the value that the expression had when the function was entered."},
	"perf":       {`@perf("counter")`, "The value of a perf counter that a `perf` probe declares."},
	"const":      {`@const("CONSTANT")`, "A constant of the kernel's C source, found as an enumerator of its type information."},
	"enum":       {`@enum("NAME")`, "The value of an enumerator."},
	"enumname":   {`@enumname(value [, "enum type" [, "module"]])`, "The name of the enumerator with this value."},
	"probewrite": {`@probewrite(variable)`, "1 if a handler of the script writes the variable of the alias, else 0."},
	"kregister":  {`@kregister(number)`, "A register of the kernel context, by its DWARF number."},
	"uregister":  {`@uregister(number)`, "A register of the user context, by its DWARF number."},
	"kderef":     {`@kderef(size, address)`, "Reads 1, 2, 4 or 8 bytes at a kernel address."},
	"uderef":     {`@uderef(size, address)`, "Reads 1, 2, 4 or 8 bytes at a user address."},
	"define":     {`@define name(params) %( body %)`, "Defines a macro."},
}

// statDoc holds what is extracted from aggregates.
var statDoc = map[string][2]string{
	"count":       {"@count(aggregate): long", "How many values were added with `<<<`."},
	"sum":         {"@sum(aggregate): long", "The sum of the values."},
	"min":         {"@min(aggregate): long", "The smallest value; an error when there is none."},
	"max":         {"@max(aggregate): long", "The largest value; an error when there is none."},
	"avg":         {"@avg(aggregate): long", "The mean of the values, truncated; an error when there is none."},
	"variance":    {"@variance(aggregate [, shift]): long", "The variance of the values, of a running mean that truncates; shift keeps that many more bits."},
	"hist_log":    {"@hist_log(aggregate)", "A histogram with a bucket for each power of two: to print, or to walk with foreach."},
	"hist_linear": {"@hist_linear(aggregate, low, high, step)", "A histogram with equal buckets: to print, or to walk with foreach."},
}

// printDoc holds the print family.
var printDoc = map[string][2]string{
	"print":      {"print(value, …)", "Prints values or a histogram."},
	"println":    {"println(value, …)", "Prints values and a newline."},
	"printf":     {`printf("format", value, …)`, "Prints formatted text."},
	"printd":     {`printd("delimiter", value, …)`, "Prints values with a delimiter between them."},
	"printdln":   {`printdln("delimiter", value, …)`, "Prints values with a delimiter between them, and a newline."},
	"sprint":     {"sprint(value, …): string", "The values as text."},
	"sprintln":   {"sprintln(value, …): string", "The values as text with a newline."},
	"sprintf":    {`sprintf("format", value, …): string`, "Formatted text."},
	"sprintd":    {`sprintd("delimiter", value, …): string`, "The values as text with a delimiter between them."},
	"sprintdln":  {`sprintdln("delimiter", value, …): string`, "The values as text with a delimiter between them, and a newline."},
	"print_char": {"print_char(value)", "Prints one byte."},
}

// dollarDoc holds the variables that stand for several, or for names.
var dollarDoc = map[string]string{
	"$$vars":     "All variables of the place as `name=value …`. With `$` or `$$` behind it, structures are written out.",
	"$$parms":    "The parameters as `name=value …`. With `$` or `$$` behind it, structures are written out.",
	"$$locals":   "The local variables as `name=value …`.",
	"$$return":   "The return value as `return=value`.",
	"$$name":     "The name of the tracepoint, mark or system call.",
	"$$provider": "The provider of the mark.",
	"$$system":   "The system of the tracepoint.",
}

var convDoc = map[format.Conv]string{
	format.Signed: "signed decimal number", format.Unsigned: "unsigned decimal number", format.Octal: "octal number",
	format.Hex: "hexadecimal number, lower case", format.HexUpper: "hexadecimal number, upper case", format.Pointer: "number as an address: 0x and hexadecimal digits",
	format.Char: "the low byte as a character", format.Str: "text", format.Binary: "the bytes of a number, little-endian",
	format.Memory: "the bytes at an address, as they are", format.MemoryHex: "the bytes at an address, in hexadecimal",
}

var conditionDoc = map[string]string{
	"kernel_v": "Version of the target's kernel, such as \"6.1.0\"; compared as a version.", "kernel_vr": "Release of the target's kernel (uname -r).",
	"arch": "Architecture of the target: \"x86_64\", \"arm64\", \"i386\", \"powerpc\", \"s390\", \"riscv\".", "runtime": "The way scripts are run; here \"bpf\".",
	"systemtap_v": "Version of SystemTap's language.", "systemtap_privilege": "Privilege of the user: \"stapdev\", \"stapsys\" or \"stapusr\".",
	"guru_mode": "1 with -g, else 0.",
}

// familyDoc says what a built-in kind of probe point is.
func familyDoc(pp *syntax.ProbePoint) string {
	if len(pp.Components) == 0 {
		return ""
	}
	var names []string
	for _, c := range pp.Components {
		names = append(names, c.Name)
	}
	return componentDoc(names)
}

// componentDoc says what a probe point with these components is, by its first words
// and then by what follows.
func componentDoc(names []string) string {
	if len(names) == 0 {
		return ""
	}
	first := names[0]
	second := ""
	if len(names) > 1 {
		second = names[1]
	}
	last := names[len(names)-1]
	switch first {
	case "begin":
		return "Runs when the script starts; several in the order of their numbers."
	case "end":
		return "Runs when the script ends, unless by an error."
	case "error":
		return "Runs when the script ends by an error."
	case "never":
		return "Never runs; its handler is only checked."
	case "oneshot":
		return "Runs when the script starts, and ends it."
	case "timer":
		switch second {
		case "profile":
			return "Runs on every CPU, regularly, in whatever context that interrupts."
		case "":
			return "Runs regularly."
		}
		return "Runs regularly, at an interval of the unit. `.randomize(n)` varies it by up to n."
	case "kernel", "module", "kprobe":
		return kernelDoc(second, last)
	case "process":
		return processDoc(second, last)
	case "perf":
		return "Runs when a hardware or software counter of perf has advanced by a sample period."
	case "procfs":
		return "A file that the loader serves: `.read` is called to fill `$value`, `.write` with what was written."
	case "netfilter":
		return "Runs for network packets at a hook of the protocol stack."
	case "lsm":
		return "Runs at a hook of the security modules, with the hook's arguments."
	case "syscall":
		return "Entry to, or with `.return` exit from, a system call, with its arguments decoded."
	}
	return ""
}

func kernelDoc(second, last string) string {
	switch last {
	case "return":
		return "When the function returns. `$return` is its value; parameters have their values at entry."
	case "inline":
		return "Inlined copies of the function."
	case "call":
		return "The function itself, not its inlined copies."
	case "exported":
		return "Only if the function is exported to modules."
	case "maxactive":
		return "At most so many calls in flight are followed."
	case "label":
		return "A label in the function."
	case "callee", "callees":
		return "Functions that the function calls."
	case "nearest":
		return "The nearest line with code."
	case "absolute":
		return "An address, taken as it is."
	}
	switch second {
	case "function":
		return "When the function is entered. Parameters are `$name`."
	case "statement":
		return "An address or a source line: \"function@file:line\"."
	case "trace", "tracepoint":
		return "A tracepoint, with its arguments as variables."
	case "data":
		return "When the variable or address is written or read (a hardware breakpoint)."
	case "syscall":
		return "Entry to a system call."
	}
	return ""
}

func processDoc(second, last string) string {
	switch last {
	case "return":
		return "When the function returns. `$return` is its value; parameters have their values at entry."
	case "begin":
		return "When a process of the program starts."
	case "end":
		return "When a process of the program ends."
	case "mark":
		return "A mark (USDT) that the program's authors placed, with arguments `$arg1` …"
	case "plt":
		return "A call through the procedure linkage table: of a library's function."
	case "provider":
		return "The provider of a mark."
	case "library":
		return "A shared library that the program uses."
	case "syscall":
		return "A system call of the program."
	}
	switch second {
	case "function":
		return "When a function of the program is entered."
	case "statement":
		return "An address or a source line of the program."
	case "thread":
		return "When a thread of the program starts or ends."
	}
	return "A program, by its path; without one, that of -c or -x."
}

// snippetName turns a component into what is inserted for it.
func argSnippet(arg string) string {
	switch arg {
	case "number":
		return "(${1:1})"
	case "string":
		return `("$1")`
	}
	return ""
}

// isPrint reports whether a name is of the print family.
func isPrint(name string) bool {
	_, ok := printDoc[name]
	return ok && !strings.HasPrefix(name, "@")
}

func itoa(n int) string { return strconv.Itoa(n) }
