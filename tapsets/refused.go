package tapsets

import "sort"

// A Refusal says why a function of SystemTap's library is not here.
type Refusal struct {
	Why string
	// Difficulty is what it would take to have it.
	Difficulty string
	// Instead is the nearest that there is.
	Instead string
}

const (
	kernelMemory = "eBPF programs cannot write memory of the kernel"
	arguments    = "eBPF programs cannot change the registers of what they probe"
	never        = "impossible by the kernel's design"
	objects      = "objects of the interpreter have another layout in each of its versions, which its debugging information tells but no type information of the host"
)

var refusals = map[string]Refusal{
	"panic": {"eBPF programs cannot stop the machine, and should not", never,
		"error(msg), or system(\"echo c > /proc/sysrq-trigger\") where commands are allowed"},
	"set_returnval": {"only functions of the kernel that are marked for error injection let their result be changed, on kernels built for it, which distributions' kernels are not", "a helper (bpf_override_return) with conditions of its own",
		"lsm.HOOK probes, whose $return can be set"},
	"umodaddr": {"the mappings of a process are in a tree that a handler would have to walk", "a day: a helper with a callback (bpf_find_vma)",
		"usymdata(address), which names the file and the place in it"},
	"sprint_java_backtrace": {"Java methods need an agent inside the virtual machine", "an agent", "the marks of a JVM built with them, print_ubacktrace()"},
	"print_java_backtrace":  {"Java methods need an agent inside the virtual machine", "an agent", "the marks of a JVM built with them, print_ubacktrace()"},
}

func init() {
	for _, n := range []string{"string", "string_n", "long", "int", "short", "char", "pointer"} {
		refusals["set_kernel_"+n] = Refusal{kernelMemory, never, "set_user_long() and its like for memory of programs, in guru mode"}
	}
	for _, n := range []string{"int", "uint", "long", "ulong", "longlong", "ulonglong", "pointer", "s32", "u32", "s64", "u64"} {
		refusals["set_"+n+"_arg"] = Refusal{arguments, never, "set_user_long() and its like for what an argument points to, in guru mode"}
	}
	for _, n := range []string{"Py2Object_Repr", "Py2Object_GetAttr", "python_print_backtrace", "python_sprint_backtrace", "python2_get_locals", "python2_get_var_obj",
		"Py3Object_Repr", "Py3Object_GetAttr", "python3_initialize", "python3_get_locals", "python3_get_var_obj"} {
		refusals[n] = Refusal{objects, "weeks: a reader of frames for each version", "the marks function__entry and function__return (python.function.entry, .return), which have file, function and line"}
	}
}

// Refused tells why a function of SystemTap's library is not in this one.
func Refused(name string) (Refusal, bool) {
	r, ok := refusals[name]
	return r, ok
}

// RefusedNames lists these functions, sorted.
func RefusedNames() []string {
	var out []string
	for name := range refusals {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
