package lower

import "stapkit/diag"

func register(code diag.Code, title, doc string) {
	diag.Register(diag.Info{Code: code, Severity: diag.Error, Title: title, Doc: doc})
}

func init() {
	register("E2001", "carrier without code generator", "The probe point resolves to a kind of event that this version cannot compile handlers for.")
	register("E2002", "condition of a probe is a string", "The expression of `if (…)` behind a probe point must be a number.")
	register("E2003", "unknown table in the library", "A library function names a table of constants that does not exist. This is a defect of the library.")
	register("E2004", "statement cannot be compiled", "The statement was not understood when the script was parsed; see the errors before this one.")
	register("E2005", "condition is a string", "Conditions of `if`, `while`, `for`, `?:`, `&&` and `||` are numbers. Compare the string: `s != \"\"`.")
	register("E2006", "unsupported binary operator", "SystemTap reads the operator `>>>` but gives it no meaning.")
	register("E2007", "embedded C cannot be compiled", "`%{ … %}` is C for a kernel module. eBPF programs cannot hold it; use a function of the library, or an expression over `@cast`.")
	register("E2008", "histogram used as a value", "`@hist_log` and `@hist_linear` can be printed, indexed and looped over.")
	register("E2009", "expression cannot be compiled", "The expression has no meaning in a handler; see the errors before this one.")
	register("E2010", "target variable cannot be written", "eBPF programs may not change the variables of the kernel or of a program on this host.")
	register("E2011", "not assignable", "Only variables and array elements can be assigned to.")
	register("E2012", "right side of `in` is no array", "`key in array` asks whether an array has an element.")
	register("E2013", "unresolved function", "No function of this name and number of arguments was found.")
	register("E2014", "library function is malformed", "A library function names an intrinsic or table wrongly. This is a defect of the library.")
	register("E2015", "overloads of different kinds", "The overloads of one function must all be written in the script language to be tried in turn.")
	register("E2016", "invalid format", "The format string of printf or sprintf has a directive that does not exist.")
	register("E2017", "histogram as a string", "A histogram can be printed with print() or println(); it cannot be kept in a string.")
	register("E2018", "target variable cannot be read here", "The probe's carrier does not give handlers this value.")
	register("E2019", "type cannot be kept in a bundle", "The C type is nested too deep or is of a kind that the bundle's format does not know.")
}
