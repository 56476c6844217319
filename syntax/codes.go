package syntax

import "stapkit/diag"

// Codes of the front end. A code keeps its meaning for ever; texts may change.
var (
	codeDecl = diag.Register(diag.Info{Code: "E0001", Title: "expected a declaration", Doc: `
A file is a list of declarations: probes, functions, global variables and embedded C.
What stands here begins none of them. Often a closing brace too many ended the handler before.
`})
	codeStmt = diag.Register(diag.Info{Code: "E0002", Title: "expected a statement", Doc: `
A handler is a list of statements. A declaration ("global", "function", "probe") cannot stand inside one,
and a handler must be closed with "}" before the next declaration or the end of the file.
`})
	codeExpr = diag.Register(diag.Info{Code: "E0003", Title: "expected an expression", Doc: `
A value is missing here: a number, a string, a variable, a call, or an expression in parentheses.
`})
	codeExpected = diag.Register(diag.Info{Code: "E0004", Title: "expected another token", Doc: `
The construct that was begun needs the named token here.
`})
	codeIdent = diag.Register(diag.Info{Code: "E0005", Title: "expected an identifier", Doc: `
A name is missing here. Keywords (probe, global, private, function, if, else, for, foreach, in, limit, return,
delete, while, break, continue, next, string, long, try, catch) are no names of variables.
`})
	codeLiteral = diag.Register(diag.Info{Code: "E0006", Title: "expected a literal", Doc: `
Only a constant written in place may stand here: arguments of probe points, initial values of globals,
sizes, formats, and the parameters of histograms are known before the script runs.
`})
	codeNumber = diag.Register(diag.Info{Code: "E0007", Title: "number invalid or out of range", Doc: `
Numbers are decimal, hexadecimal (0x1f) or octal (a leading 0), without suffixes, from -2^63 to 2^64-1.
A number that begins with 0 must have octal digits only.
`})
	codeJunk = diag.Register(diag.Info{Code: "E0008", Title: "character outside the language", Doc: `
Outside strings and comments a script is ASCII text. Pasted text often carries no-break spaces.
`})
	codeOpenString = diag.Register(diag.Info{Code: "E0009", Title: "string without its closing quote", Doc: `
A string ends on the line on which it begins. Write \n for a line break; strings that stand side by side are joined.
`})
	codeOpenComment = diag.Register(diag.Info{Code: "E0010", Severity: diag.Warning, Title: "unterminated comment", Doc: `
A comment that begins with "/*" ends with "*/", or else with the file. Comments do not nest.
`})
	codeOpenEmbedded = diag.Register(diag.Info{Code: "E0011", Title: "unterminated embedded C", Doc: `
Embedded C begins with "%{" and ends with "%}".
`})
	codeOddClose = diag.Register(diag.Info{Code: "E0012", Severity: diag.Warning, Title: "possibly mistyped end of embedded C", Doc: `
The text "}%" stands inside embedded C. Was the end, "%}", meant?
`})
	codeCurlyQuotes = diag.Register(diag.Info{Code: "E0013", Title: "curly quotes", Doc: `
Web pages and word processors turn straight quotes into curly ones. Only straight quotes delimit strings.
`})
	codeUnclosed = diag.Register(diag.Info{Code: "E0014", Title: "brace without its partner", Doc: `
Judging by the indentation, a brace was forgotten, or is too many, near here.
`})
	codeReturn = diag.Register(diag.Info{Code: "E0015", Title: "return outside a function", Doc: `
Only functions return. To leave a probe handler, use "next".
`})
	codeDupGlobal = diag.Register(diag.Info{Code: "E0016", Title: "duplicate global", Doc: `
A global variable is declared once per file.
`})
	codeAtWord = diag.Register(diag.Info{Code: "E0017", Title: "unknown @ operator or macro", Doc: `
The word is neither an operator of the language nor a macro that is defined here or in the library.
`})
	codeHist = diag.Register(diag.Info{Code: "E0018", Title: "histogram where a value is expected", Doc: `
A histogram can be printed, indexed and walked with foreach; it is no value that can be stored.
`})
	codeFormat = diag.Register(diag.Info{Code: "E0019", Title: "wrong format", Doc: `
The format of printf has a conversion that does not exist. A conversion is
%[flag][width][.precision]conversion with one flag of "0", "+", "-", " ", "#" and a conversion of d i u o x X p c s b m M.
`})
	codeEmpty = diag.Register(diag.Info{Code: "E0020", Title: "empty input", Doc: `
The file holds no token, or preprocessing left none.
`})
	codeRead = diag.Register(diag.Info{Code: "E0021", Title: "input cannot be read", Doc: `
The file is missing, is a directory, or its permissions forbid reading.
`})
	codeDeep = diag.Register(diag.Info{Code: "E0022", Title: "nesting too deep", Doc: `
Parentheses, blocks or conditionals are nested deeper than the front end follows.
`})
	codeArgRange = diag.Register(diag.Info{Code: "E0023", Title: "script argument out of range", Doc: `
The script mentions $N or @N, but fewer arguments were given.
`})
	codeNestedArg = diag.Register(diag.Info{Code: "E0024", Title: "script argument inside a script argument", Doc: `
The text of an argument cannot mention arguments itself.
`})
	codeUnusedArg = diag.Register(diag.Info{Code: "E0025", Severity: diag.Warning, Title: "unused script argument", Doc: `
An argument was given that the script does not mention.
`})
	codeOpenCond = diag.Register(diag.Info{Code: "E0026", Title: "incomplete conditional", Doc: `
A preprocessor conditional is "%( condition %? tokens %: tokens %)"; the part with "%:" may be left out.
`})
	codeStrayCond = diag.Register(diag.Info{Code: "E0027", Title: "stray preprocessor token", Doc: `
"%?", "%:" and "%)" stand only inside a conditional that "%(" begins, and "%:" only once.
`})
	codeCond = diag.Register(diag.Info{Code: "E0028", Title: "wrong preprocessor condition", Doc: `
A condition compares: kernel_v or kernel_vr or systemtap_v with a version string, arch, runtime,
systemtap_privilege or guru_mode with == or !=, CONFIG_X with a string, a number or another CONFIG_Y,
or two strings, or two numbers. Comparisons are joined with && and ||; there are no parentheses.
`})
	codeDefine = diag.Register(diag.Info{Code: "E0029", Title: "wrong macro definition", Doc: `
A macro is defined at top level: @define NAME %( body %) or @define NAME(a, b) %( … @a … %).
`})
	codeRedefine = diag.Register(diag.Info{Code: "E0030", Title: "macro redefined", Doc: `
A macro is defined once per file, and a library macro once in the library.
`})
	codeMacroArgs = diag.Register(diag.Info{Code: "E0031", Title: "wrong number of macro arguments", Doc: `
A macro is used with as many arguments as it was defined with. Commas inside parentheses and brackets do not separate.
`})
	codeRecursive = diag.Register(diag.Info{Code: "E0032", Title: "recursive macro", Doc: `
A macro that uses itself, directly or through others, would never end.
`})
	codeShadow = diag.Register(diag.Info{Code: "E0033", Severity: diag.Warning, Title: "macro hides a built-in operator", Doc: `
The name is that of an @ operator of the language, which the macro replaces in this file.
`})
	codeTypedList = diag.Register(diag.Info{Code: "E0034", Title: "variable list behind a probe point", Doc: `
"stap -L" lists the variables of a probe point behind it. They are no part of the probe point; use them in the handler.
`})
	codeNoProbe = diag.Register(diag.Info{Code: "E0035", Title: "missing keyword", Doc: `
A probe begins with "probe", a function with "function", a variable with "global".
`})
	codeDot = diag.Register(diag.Info{Code: "E0036", Title: "'.' in place of '->'", Doc: `
Members of structures are reached with "->" only; "." joins strings.
`})
	codeMisspelt = diag.Register(diag.Info{Code: "E0037", Title: "misspelt keyword", Doc: `
The word is close to a keyword that would fit here.
`})
	codeNotMacro = diag.Register(diag.Info{Code: "E0038", Title: "macro library with other contents", Doc: `
A .stpm file holds macro definitions and conditionals around them, nothing else.
`})
	codeGuru = diag.Register(diag.Info{Code: "E0039", Title: "construct that needs guru mode", Doc: `
Embedded C and the operators that reach raw C constants and registers are allowed in guru mode (-g) and in the library only.
`})
	codeHuge = diag.Register(diag.Info{Code: "E0040", Title: "input too large", Doc: `
The file, or what its macros expand to, is larger than the front end reads.
`})
	codeRange = diag.Register(diag.Info{Code: "E0041", Title: "number outside the allowed range", Doc: `
Array sizes and priorities are positive.
`})
	codeForeach = diag.Register(diag.Info{Code: "E0042", Title: "wrong foreach", Doc: `
A foreach loop sorts by at most one key, or by the value; an aggregate function may stand only with a sort mark.
`})
	codeAlias = diag.Register(diag.Info{Code: "E0043", Title: "wrong alias", Doc: `
The name of an alias is a plain probe point: not optional, not sufficient, without a condition, and an epilogue stands only with "=".
`})
	codeInit = diag.Register(diag.Info{Code: "E0044", Title: "initial value of an array", Doc: `
Only scalar globals can have an initial value.
`})
	codeOldSyntax = diag.Register(diag.Info{Code: "E0045", Title: "construct newer than --compatible", Doc: `
The script was to be read as an older version of the language, which lacks this construct.
`})
	codePrettyEnd = diag.Register(diag.Info{Code: "E0046", Title: "member of a pretty-printed value", Doc: `
"$x$" and "$x$$" are text: they have no members and no elements. The "$" stands behind the last member, as in "$x->member$".
`})
	codeTwiceParam = diag.Register(diag.Info{Code: "E0047", Severity: diag.Warning, Title: "two macro parameters of one name", Doc: `
Each parameter of a macro has a name of its own; of two that share one, only one can be used in the body.
`})
)
