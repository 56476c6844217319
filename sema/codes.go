package sema

import "stapkit/diag"

func reg(code diag.Code, sev diag.Severity, title, doc string) diag.Code {
	return diag.Register(diag.Info{Code: code, Severity: sev, Title: title, Doc: doc})
}

// Codes of elaboration. A code keeps its meaning for ever; texts may change.
var (
	// Probe points.
	codePointMismatch = reg("E1001", diag.Error, "probe point mismatch", `
No probe point has this part. The message lists parts that are spelled alike. A part may exist only with an
argument: "timer.s" does not, "timer.s(5)" does. "stap -l" lists what can be probed.
`)
	codePointTruncated = reg("E1002", diag.Error, "probe point truncated", `
Probe points begin like this, but none ends here. The message lists what can follow.
`)
	codePointSuffix = reg("E1003", diag.Error, "invalid suffix for probe", `
The probe point is complete before this part, and nothing can follow it.
`)
	codeNoMatch = reg("E1004", diag.Error, "no match", `
The probe point is well formed, but nothing in the target has this name: no such function, tracepoint, module,
mark or file. Put "?" behind a probe point that may be missing.
`)
	codeInterval = reg("E1005", diag.Error, "interval value out of range", `
Timers fire at most once in 100 microseconds and at least once in a day.
`)
	codeNoProbes = reg("E1006", diag.Error, "no probes found", `
Nothing is left to run: all probe points were optional and missing, or all handlers do nothing.
`)
	codeNeedProcess = reg("E1007", diag.Error, "process probe without a process", `
"process" without a path means the program given with -c COMMAND or -x PID. Name the program in the probe point,
as in process("/bin/ls").function("main"), or give one of these options.
`)
	codeAliasLoop = reg("E1008", diag.Error, "alias refers to itself", `
Expanding the alias comes back to the alias itself, directly or through others.
`)
	codeRefused = reg("E1009", diag.Error, "probe point cannot be carried by eBPF", `
SystemTap has this kind of probe, but no eBPF program can be attached to it. The message tells the nearest
thing that works.
`)
	codeNeedTarget = reg("E1010", diag.Note, "nothing is known of the target", `
Whether this exists, and which variables it has, depends on the kernel or program that is probed. Give a target
(--target FILE, -r RELEASE) or run on the machine itself; without one it is taken on trust.
`)
	codeNeedDebuginfo = reg("E1011", diag.Error, "debug information is needed", `
Lines, labels, inlined functions and local variables can be found only with DWARF debug information.
Install it for the program or kernel (packages *-dbg, *-dbgsym, *-debuginfo).
`)
	codeCondVar = reg("E1012", diag.Error, "condition of a probe point uses more than globals", `
The condition behind "if" is evaluated outside the handler: it can use global variables and literals, but no
local and no target variables.
`)
	codePointArg = reg("E1013", diag.Error, "bad argument of a probe point", `
The value of the argument does not fit this kind of probe point.
`)
	codeAliasClash = reg("E1014", diag.Error, "alias name cannot be resolved", `
The name of an alias is made of plain parts; it cannot have wildcards or braces.
`)

	// Names.
	codeUnresolvedFunc = reg("E1101", diag.Error, "unresolved function", `
No function of this name is declared in the script or in the library.
`)
	codeArity = reg("E1102", diag.Error, "arity mismatch", `
The function exists, but takes another number of arguments.
`)
	codeUnresolvedArray = reg("E1103", diag.Error, "unresolved global array", `
Arrays must be declared with "global"; locals are scalars.
`)
	codeInconsistentArity = reg("E1104", diag.Error, "inconsistent arity", `
A global is either a scalar or an array, and an array has the same number of keys everywhere.
`)
	codeDupGlobal = reg("E1105", diag.Error, "duplicate global", `
A global variable of this name is already declared; all files share one set of names, unless they say "private".
`)
	codeFuncAsVar = reg("E1106", diag.Error, "name conflicts with a parameter", `
Two parameters of one function have the same name.
`)
	codeLvalue = reg("E1107", diag.Error, "expecting lvalue", `
Only a variable, an array element or, in guru mode, a target variable can be assigned to.
`)
	codeDelete = reg("E1108", diag.Error, "invalid operand of delete", `
delete takes a global variable, an array, an array element or a slice, or a local.
`)
	codeForeachModify = reg("E1109", diag.Error, "array modified during foreach", `
The loop walks the array; neither its body nor a function called from there may change it. Collect the keys first,
or delete the array after the loop.
`)
	codeGlobalInit = reg("E1110", diag.Error, "only scalar globals can be initialized", `
An array cannot have an initial value. Fill it in a "begin" probe.
`)

	// Types.
	codeTypeMismatch = reg("E1201", diag.Error, "type mismatch", `
A variable, an array element, a key, a parameter or a function's result is a number, a string or an aggregate,
and the same everywhere. The related place shows where its type was first seen.
`)
	codeTypeExpected = reg("E1202", diag.Error, "type mismatch of an expression", `
The construct needs a value of another type here. sprintf("%d", n) makes a string of a number, strtol(s, 10) a
number of a string.
`)
	codeUnresolvedType = reg("E1203", diag.Error, "unresolved type", `
Nothing tells whether this is a number or a string: it is never given a value whose type is known.
`)
	codeStatLocal = reg("E1204", diag.Error, "aggregate as a local", `
Only global variables and elements of global arrays can be aggregates ("<<<").
`)
	codeHistShapes = reg("E1205", diag.Error, "multiple histogram types", `
One aggregate keeps one histogram: either @hist_log or @hist_linear, with the same parameters everywhere.
`)
	codePrintStat = reg("E1206", diag.Error, "aggregate printed as a value", `
An aggregate is no number: print @count(x), @avg(x) … or @hist_log(x).
`)
	codeFormatArgs = reg("E1207", diag.Error, "wrong number of arguments for a format", `
Each directive of the format takes one argument, and one more for each "*".
`)
	codeUnsupportedOp = reg("E1208", diag.Error, "unsupported operator", `
The operator is part of the grammar, but has no meaning.
`)
	codeOutsideLoop = reg("E1209", diag.Error, "break or continue outside a loop", `
There is no loop here to leave or to go on with.
`)
	codeStatShift = reg("E1212", diag.Error, "bad bit shift of @variance", `
The second operand of @variance is a number from 0 to 62, and the same wherever the variance of the aggregate is taken.`)
	codeHistParams = reg("E1211", diag.Error, "bad parameters of @hist_linear", `
@hist_linear(x, low, high, step) needs low < high, a positive step and a reasonable number of buckets.
`)

	codeStatValue = reg("E1213", diag.Error, "aggregate as a value", `
An aggregate is no value: it is not assigned, and no function returns it. What is asked of it is: @count(x), @sum(x),
@min(x), @max(x), @avg(x), @variance(x).
`)
	codeRegex = reg("E1214", diag.Error, "bad regular expression", `
The pattern of =~ and !~ is an extended regular expression of POSIX. The message tells which byte of it is wrong,
counted from 0, with the string's escapes resolved.
`)

	// The target.
	codeUnresolvedTarget = reg("E1301", diag.Error, "unresolved target variable", `
The probed place has no variable of this name. "stap -L" lists those it has; @defined() tests for one.
`)
	codeMember = reg("E1302", diag.Error, "unable to find member", `
The structure has no such member on this target. @defined() tests for it.
`)
	codeAccess = reg("E1303", diag.Error, "access does not fit the type", `
"->" needs a structure or a pointer to one, "[]" an array or a pointer. What is read must be a number, a pointer
or an array.
`)
	codeCastType = reg("E1304", diag.Error, "unresolved type name", `
The second argument of @cast names a type of the target: "task_struct", "struct task_struct", "union u",
"enum e", a typedef, each with "*" or not. The third names where it is declared.
`)
	codeEntryContext = reg("E1305", diag.Error, "@entry outside a return probe", `
@entry(expression) is the value that the expression had when the function was entered; only return probes
have an entry.
`)
	codeNeedGuru = reg("E1306", diag.Error, "not permitted without guru mode", `
Changing the target, and functions that can harm it, need stap -g.
`)
	codeEnumName = reg("E1307", diag.Error, "unresolved constant", `
No enumeration of the target has this constant. Names made by #define are not in BTF.
`)
	codePerf = reg("E1308", diag.Error, "unresolved perf counter", `
@perf("name") reads the counter that a probe perf.….counter("name") declares.
`)
	codeTargetSymbol = reg("E1309", diag.Error, "unresolved variable of the target", `
@var("name") reads a global variable of the kernel or program; neither its type information nor its symbol table
has this one.
`)
	codeRegister = reg("E1310", diag.Error, "bad operand of a register or memory operator", `
@kregister, @uregister take a DWARF register number; @kderef, @uderef a size of 1, 2, 4 or 8 bytes and an address.
`)
	codeTargetWrite = reg("E1311", diag.Error, "target variable cannot be written", `
No eBPF program can change this place.
`)
	codeUnwritable = reg("E1312", diag.Error, "unsupported operand", `
This construct does not work on this operand.
`)
	codeAutocast = reg("E1313", diag.Error, "-> on a value without a C type", `
"->" on a script value needs to know the value's C type: that of a target variable, a @cast, or a variable or
function that holds one. Use @cast(value, "type")->member.
`)

	codeProbeWrite = reg("E1314", diag.Error, "@probewrite outside an alias", `
@probewrite(variable) is 1 in the body of an alias if a probe that uses the alias writes the variable. Probes that
use no alias, and functions, cannot ask.
`)

	// Embedded code and privileges.
	codeEmbedded = reg("E1401", diag.Error, "embedded C", `
Embedded C is kernel module code; an eBPF program cannot contain it. Most uses have a library function or an
operator that does the same: @cast, kernel_string, @kderef.
`)
	codePrivilege = reg("E1402", diag.Error, "not permitted with this privilege", `
--privilege=stapusr and stapsys restrict what a script may probe and call.
`)

	// Warnings.
	codeNeverAssigned = reg("E1501", diag.Warning, "never-assigned variable", `
The variable is read but never given a value, so it is always 0 or "". Often its name is misspelled.
`)
	codeElideAssign = reg("E1502", diag.Warning, "assignment without use", `
The local variable is assigned but never read.
`)
	codeElideExpr = reg("E1503", diag.Warning, "side-effect-free expression", `
The value is computed and thrown away.
`)
	codeElideProbe = reg("E1504", diag.Warning, "probe without effect", `
The handler changes nothing and prints nothing, so it is left out.
`)
	codeEntryUse = reg("E1505", diag.Warning, "target variable in a return probe", `
In a return probe a target variable has the value it had at the entry of the function, as with @entry().
Write @entry($x) to say so.
`)
	codeCrossFile = reg("E1506", diag.Warning, "cross-file global variable reference", `
A library file uses a name for a variable of its own that the script declares as a global: both are now the same.
`)
	codeBadVar = reg("E1508", diag.Warning, "bad target variable replaced by 0", `
--skip-badvars: what cannot be resolved is 0.
`)
	codeUnusedFunc = reg("E1509", diag.Hint, "unused function", `
Nothing calls the function.
`)
	codeUnusedGlobal = reg("E1510", diag.Hint, "unused global variable", `
Nothing uses the variable.
`)
	codeOverload = reg("E1511", diag.Hint, "overload that is never reached", `
An overload of the same priority comes before this one and has no "next".
`)
	codeUnreachable = reg("E1512", diag.Hint, "statement will never be reached", `
The statement before always leaves.
`)
	codeSideEffectFree = reg("E1513", diag.Warning, "side-effect-free function", `
The function does nothing, and is called for nothing.
`)
)
