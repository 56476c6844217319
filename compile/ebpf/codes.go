package ebpf

import "stapkit/diag"

// The diagnostics of code generation: what a script asks for and a program in
// the kernel cannot do.
var (
	eUnsupported = diag.Register(diag.Info{
		Code: "E2100", Severity: diag.Error, Title: "not possible in a kernel handler",
		Doc: "The statement or expression cannot be compiled for the kernel. Collect what it needs in the handler and do the rest in a `timer` or `end` probe: those run in the loader, which has no such limits.",
	})
	eInternal = diag.Register(diag.Info{
		Code: "E2101", Severity: diag.Error, Title: "defect in the compiler",
		Doc: "The compiler made something that its code generator does not accept. This is a defect of stapkit: please report it with the script.",
	})
	eTooLarge = diag.Register(diag.Info{
		Code: "E2102", Severity: diag.Error, Title: "handler too large",
		Doc: "The code of the handler is longer than a jump in a kernel program reaches (32767 instructions). Split the handler, move repeated code to a function, or use shorter strings (`-D MAXSTRINGLEN=…`).",
	})
	eTooWide = diag.Register(diag.Info{
		Code: "E2103", Severity: diag.Error, Title: "handler needs too much memory",
		Doc: "The variables and intermediate values of the handler do not fit into the memory that a kernel program can address directly (about 28 KB). Use fewer or shorter strings (`-D MAXSTRINGLEN=…`).",
	})
	eKeyWidth = diag.Register(diag.Info{
		Code: "E2104", Severity: diag.Error, Title: "array key or element too wide",
		Doc: "The keys of an array take more room than a kernel map allows. Use fewer strings as keys, or shorter ones (`-D MAXSTRINGLEN=…`).",
	})
	eOutput = diag.Register(diag.Info{
		Code: "E2105", Severity: diag.Error, Title: "one print is too long",
		Doc: "The arguments of a single print statement take more room than an output buffer has. Print them with several statements.",
	})
	eTooMany = diag.Register(diag.Info{
		Code: "E2215", Severity: diag.Error, Title: "more than the kernel takes",
		Doc: "The kernel bounds how many elements a map has (134217728), and how many maps (64) and subprograms (256) a program uses. Declare the array smaller, keep several arrays in one with a further key, or split the handler into several probes at the same point.",
	})
	eContext = diag.Register(diag.Info{
		Code: "E2106", Severity: diag.Error, Title: "the probe has no such context",
		Doc: "The expression needs registers or arguments that this kind of probe does not have.",
	})
)
