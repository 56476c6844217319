package ir

// IntrinsicID names an entry of the intrinsics table.
type IntrinsicID uint16

// Where says which executions have an intrinsic.
type Where uint8

// The executions.
const (
	InKernel Where = 1 << iota
	InLoader
)

// IntrinsicInfo describes an intrinsic. The library declares each as a function
// whose body is %{ intrinsic:NAME %}; a test keeps both in step.
type IntrinsicInfo struct {
	ID     IntrinsicID
	Name   string
	Args   []Kind
	Result Kind
	// Width is the result's storage for Str; 0: as wide as the arguments need
	// (the planner's rule stands in Doc).
	Width int
	Where Where
	// Pure: same arguments, same result, no effect. Stable: one value per
	// invocation.
	Pure, Stable bool
	// Fails: it can raise an error at its site.
	Fails bool
	Doc   string
}

// The intrinsics.
const (
	InvalidIntrinsic IntrinsicID = iota
	// the current task and CPU
	IPid
	ITid
	IUid
	IGid
	IExecname
	ICpu
	ITask
	// time
	IKtimeNs
	IRealtimeNs
	IBoottimeNs
	IJiffies
	ICycles
	// session
	ITarget
	IExit
	IAbort
	IError
	IWarn
	ILoaderPid
	IRandom
	ISignal
	// strings
	IStrLen
	IStrByte
	IStrSub
	IChr
	// memory
	IKernelStr
	IUserStr
	IKernelMem
	IUserMem
	// registers of the probed context
	IReg
	IUReg
	IHasRegs
	IUserMode
	IArg
	IRetval
	IFuncIP
	// loader only
	ISystem
	IMatched
	IHz
	IIsReturn
	// the running probe
	IPp
	IPn
	IProbeType
	IPpfunc
	IModuleName
	INgroups
	// the stacks of the running probe
	IKFrame
	IUFrame
	// the kernel's symbols
	IKsym
	// what the probe gives back
	IResult
	ISetResult
	IValue
	ISetValue
	IAddValue
	// others
	ITraceText
	IPerfCount
	// what the loader knows of its host and run
	ITargetNS
	IStackPointer
	ILoadAvg
	IRemoteID
	IRemoteURI
	IModuleSize
	ISymbolLines
	// what the loader is asked to do
	ISwitchFile
	IPrintk
	IDumpStack
	// memory of the current process, changed
	IUserWrite
	IUserWriteStr
	// what the points of one handler differ in
	IPointInt
	IPointStr
	// sets of numbers that the library keeps, of processes mostly
	IMarked
	IMark
	IUnmark
	// the loader's time zone
	IZoneOffset
	IZoneName
	// the running system call
	ICompatCall
	numIntrinsics
)

// Intrinsics is the table, indexed by IntrinsicID.
var Intrinsics = [numIntrinsics]IntrinsicInfo{
	IPid:        {Name: "pid", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "process (thread group) id of the current task, in the loader's pid namespace"},
	ITid:        {Name: "tid", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "thread id of the current task"},
	IUid:        {Name: "uid", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "real user id of the current task"},
	IGid:        {Name: "gid", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "real group id of the current task"},
	IExecname:   {Name: "execname", Result: Str, Width: 16, Where: InKernel | InLoader, Stable: true, Doc: "command name of the current task"},
	ICpu:        {Name: "cpu", Result: Int, Where: InKernel | InLoader, Doc: "number of the current CPU"},
	ITask:       {Name: "task", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "address of the current task's task_struct"},
	IKtimeNs:    {Name: "ktime_ns", Result: Int, Where: InKernel | InLoader, Doc: "CLOCK_MONOTONIC in nanoseconds"},
	IRealtimeNs: {Name: "realtime_ns", Result: Int, Where: InKernel | InLoader, Doc: "CLOCK_REALTIME in nanoseconds (monotonic plus the session block's offset)"},
	IBoottimeNs: {Name: "boottime_ns", Result: Int, Where: InKernel | InLoader, Doc: "CLOCK_BOOTTIME in nanoseconds"},
	IJiffies:    {Name: "jiffies", Result: Int, Where: InKernel | InLoader, Doc: "jiffies_64; in the loader derived from CLOCK_MONOTONIC and HZ"},
	ICycles:     {Name: "cycles", Result: Int, Where: InKernel | InLoader, Doc: "a free-running counter; CLOCK_MONOTONIC in nanoseconds where no cycle counter can be read"},
	ITarget:     {Name: "target", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "process id of the target (-x, -c), else 0"},
	IExit:       {Name: "exit", Result: Void, Where: InKernel | InLoader, Doc: "asks for the end of the session; the handler goes on"},
	IAbort:      {Name: "abort", Result: Void, Where: InKernel | InLoader, Fails: true, Doc: "ends the handler and the session at once"},
	IError:      {Name: "error", Args: []Kind{Str}, Result: Void, Where: InKernel | InLoader, Fails: true, Doc: "raises ErrUser with the text"},
	IWarn:       {Name: "warn", Args: []Kind{Str}, Result: Void, Where: InKernel | InLoader, Doc: "sends a warning"},
	ILoaderPid:  {Name: "loader_pid", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "process id of the loader"},
	IRandom:     {Name: "random", Result: Int, Where: InKernel | InLoader, Doc: "32 random bits"},
	ISignal:     {Name: "signal", Args: []Kind{Int}, Result: Int, Where: InKernel, Doc: "sends a signal to the current process; 0 or a negative error number"},
	IStrLen:     {Name: "strlen", Args: []Kind{Str}, Result: Int, Where: InKernel | InLoader, Pure: true, Doc: "length in bytes"},
	IStrByte:    {Name: "strbyte", Args: []Kind{Str, Int}, Result: Int, Where: InKernel | InLoader, Pure: true, Doc: "byte at the position as 0…255; 0 at or past the end and for a negative position"},
	IStrSub:     {Name: "strsub", Args: []Kind{Str, Int, Int}, Result: Str, Where: InKernel | InLoader, Pure: true, Doc: "the bytes from the start for the length, cut at the end; \"\" for a negative start or length. As wide as its first argument"},
	IChr:        {Name: "chr", Args: []Kind{Int}, Result: Str, Width: 8, Where: InKernel | InLoader, Pure: true, Doc: "the string of the one byte n&255; \"\" for 0"},
	IKernelStr:  {Name: "kernel_str", Args: []Kind{Int, Int}, Result: Str, Where: InKernel | InLoader, Fails: true, Doc: "the string at the kernel address, at most n bytes; a fault raises ErrKernelStr. MAXSTRINGLEN wide, or n+1 if n is a literal"},
	IUserStr:    {Name: "user_str", Args: []Kind{Int, Int}, Result: Str, Where: InKernel, Fails: true, Doc: "the string at the user address of the current process, at most n bytes; a fault raises ErrUserStr"},
	IKernelMem:  {Name: "kernel_mem", Args: []Kind{Int, Int}, Result: Int, Where: InKernel | InLoader, Fails: true, Doc: "the number of |n| (literal 1, 2, 4, 8; negative: sign-extended) bytes at the kernel address; a fault raises ErrKernelFault"},
	IUserMem:    {Name: "user_mem", Args: []Kind{Int, Int}, Result: Int, Where: InKernel, Fails: true, Doc: "like kernel_mem, at the user address; a fault raises ErrUserFault"},
	IReg:        {Name: "reg", Args: []Kind{Int}, Result: Int, Where: InKernel, Fails: true, Doc: "the word at the (literal) offset of the probe's pt_regs"},
	IUReg:       {Name: "ureg", Args: []Kind{Int}, Result: Int, Where: InKernel, Fails: true, Doc: "the word at the (literal) offset of the current task's user pt_regs"},
	IHasRegs:    {Name: "has_regs", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "1 if the probe has registers"},
	IUserMode:   {Name: "user_mode", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "1 if the probed context is in user mode"},
	IArg:        {Name: "arg", Args: []Kind{Int}, Result: Int, Where: InKernel, Fails: true, Doc: "integer argument n (from 1) of the probed function by its calling convention"},
	IRetval:     {Name: "retval", Result: Int, Where: InKernel, Fails: true, Doc: "the return value register"},
	IFuncIP:     {Name: "func_ip", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "address of the probed instruction; 0 where there is none"},
	ISystem:     {Name: "system", Args: []Kind{Str}, Result: Void, Where: InKernel | InLoader, Doc: "has the command run by the loader's helper after the handler, if policy permits"},
	IMatched:    {Name: "matched", Args: []Kind{Int}, Result: Str, Where: InKernel | InLoader, Fails: true, Doc: "sub-expression n of the last match; see \"Regular expressions\" in the package comment"},
	IHz:         {Name: "hz", Result: Int, Where: InKernel | InLoader, Pure: true, Doc: "the kernel's CONFIG_HZ"},
	IPp:         {Name: "pp", Result: Str, Where: InKernel | InLoader, Stable: true, Doc: "Probe.Point of the running probe; constant in a kernel handler. As wide as the longest"},
	IPn:         {Name: "pn", Result: Str, Where: InKernel | InLoader, Stable: true, Doc: "Probe.Name of the running probe"},
	IProbeType:  {Name: "probe_type", Result: Str, Width: 24, Where: InKernel | InLoader, Stable: true, Doc: "Probe.Kind of the running probe"},
	IPpfunc:     {Name: "ppfunc", Result: Str, Where: InKernel | InLoader, Stable: true, Doc: "Probe.Func of the running probe"},
	IModuleName: {Name: "module_name", Result: Str, Where: InKernel | InLoader, Pure: true, Doc: "Program.Name"},
	INgroups:    {Name: "ngroups", Result: Int, Where: InKernel | InLoader, Doc: "parenthesised parts of the last match and 1; 0 if it failed"},
	IKFrame:     {Name: "kframe", Args: []Kind{Int}, Result: Int, Where: InKernel | InLoader, Doc: "address n of the kernel stack, from 0 for where the probe is; 0 beyond its end, above 255, and in the loader"},
	IUFrame:     {Name: "uframe", Args: []Kind{Int}, Result: Int, Where: InKernel | InLoader, Doc: "address n of the current task's user stack, from 0 for where it is; 0 beyond its end, above 255, and in the loader"},
	IKsym:       {Name: "ksym", Args: []Kind{Int}, Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "address of the kernel symbol Ksyms[n], n being literal; 0 if the kernel does not tell it. The library gives the name as a literal"},
	IResult:     {Name: "result", Result: Int, Where: InKernel, Doc: "what the program will give to the kernel: the verdict of a netfilter hook (1 until set), the value of an LSM hook (that of the program before until set)"},
	ISetResult:  {Name: "set_result", Args: []Kind{Int}, Result: Void, Where: InKernel, Fails: true, Doc: "sets what the program gives to the kernel; a value that the kernel does not take there raises ErrResult"},
	IValue:      {Name: "value", Result: Str, Where: InLoader, Doc: "the text of a procfs probe: what was written to the file, or what is to be read from it"},
	ISetValue:   {Name: "set_value", Args: []Kind{Str}, Result: Void, Where: InLoader, Doc: "sets what is to be read from the file of a procfs probe"},
	IAddValue:   {Name: "add_value", Args: []Kind{Str}, Result: Void, Where: InLoader, Doc: "appends to what is to be read from the file of a procfs probe"},
	IPerfCount:  {Name: "perf_count", Args: []Kind{Int}, Result: Int, Where: InKernel, Fails: true, Doc: "what counter n (literal) of the program has counted on this CPU"},
	ITraceText:  {Name: "trace_text", Args: []Kind{Str}, Result: Void, Where: InKernel | InLoader, Doc: "writes a line to the kernel's trace buffer"},
	IPointInt:   {Name: "point_int", Args: []Kind{Int}, Result: Int, Where: InKernel, Stable: true, Doc: "number n (literal) of the running Point of the handler; made by the planner"},
	IPointStr:   {Name: "point_str", Args: []Kind{Int}, Result: Str, Where: InKernel, Stable: true, Doc: "string n (literal) of the running Point of the handler, as wide as the longest; made by the planner"},
	IMarked:     {Name: "marked", Args: []Kind{Int, Int}, Result: Int, Where: InKernel | InLoader, Doc: "whether the set (first argument) has the number. Sets are shared by all handlers, and need no lock"},
	IMark:       {Name: "mark", Args: []Kind{Int, Int}, Result: Void, Where: InKernel | InLoader, Doc: "puts the number into the set; if there is no room, nothing happens"},
	IUnmark:     {Name: "unmark", Args: []Kind{Int, Int}, Result: Void, Where: InKernel | InLoader, Doc: "takes the number out of the set"},
	IIsReturn:   {Name: "is_return", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "1 in a return probe"},

	// the loader, and what it is asked to do
	ITargetNS:     {Name: "target_ns", Args: []Kind{Int}, Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "number of the pid (0) or user (1) namespace of --target-namespaces, or else the loader's; the argument is literal"},
	IStackPointer: {Name: "stack_pointer", Result: Int, Where: InKernel | InLoader, Doc: "an address on the stack that the handler runs on, where its context is; 0 in the loader"},
	ILoadAvg:      {Name: "load_avg", Args: []Kind{Int}, Result: Int, Where: InKernel | InLoader, Doc: "load average of 1, 5 or 15 minutes (0, 1, 2; literal) in hundredths, not older than a second"},
	IRemoteID:     {Name: "remote_id", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "number of this host among those of stap --remote, else -1"},
	IRemoteURI:    {Name: "remote_uri", Result: Str, Where: InLoader, Pure: true, Doc: "the argument of --remote, else \"\""},
	IModuleSize:   {Name: "module_size", Result: Str, Where: InLoader, Pure: true, Doc: "what the kernel holds of the script, as text"},
	ISymbolLines:  {Name: "symbol_lines", Args: []Kind{Str, Int, Int}, Result: Str, Where: InLoader, Pure: true, Doc: "the addresses in hex in the string, one to a line, with symbols: of the kernel (pid 0) or of the process with that id. The last argument is the form: 0 as print_backtrace(), 1 as symdata(), 2 as sprint_backtrace(). MAXSTRINGLEN wide"},
	IZoneOffset:   {Name: "zone_offset", Result: Int, Where: InLoader, Pure: true, Doc: "by how many seconds local time was behind UTC when the script began"},
	IZoneName:     {Name: "zone_name", Result: Str, Width: 32, Where: InLoader, Pure: true, Doc: "name of the time zone, as it was then"},
	ICompatCall:   {Name: "compat_call", Result: Int, Where: InKernel | InLoader, Stable: true, Doc: "1 if the current task is in a system call of the kind that 32-bit programs make, with their numbers: on x86 also by int 0x80 of a 64-bit program"},
	ISwitchFile:   {Name: "switch_file", Result: Void, Where: InKernel | InLoader, Doc: "has the loader go on with the next output file"},
	IPrintk:       {Name: "printk", Args: []Kind{Int, Str}, Result: Void, Where: InKernel | InLoader, Doc: "has the loader write a line of that level to the kernel's log"},
	IDumpStack:    {Name: "dump_stack", Args: []Kind{Deferred}, Result: Void, Where: InKernel | InLoader, Doc: "has the loader write lines to the kernel's log"},
	IUserWrite:    {Name: "user_write", Args: []Kind{Int, Int, Int}, Result: Int, Where: InKernel, Doc: "writes the number of n (literal 1, 2, 4, 8) bytes to the user address of the current process; 0, or a negative error number"},
	IUserWriteStr: {Name: "user_write_str", Args: []Kind{Int, Int, Str}, Result: Int, Where: InKernel, Doc: "writes the string and its final NUL, at most n bytes in all, to the user address of the current process; 0, or a negative error number"},
}

// ByName returns the intrinsic with the name.
func ByName(name string) (IntrinsicID, bool) {
	id, ok := byName[name]
	return id, ok
}

var byName = func() map[string]IntrinsicID {
	m := make(map[string]IntrinsicID, numIntrinsics)
	for i := range Intrinsics {
		Intrinsics[i].ID = IntrinsicID(i)
		if Intrinsics[i].Name != "" {
			m[Intrinsics[i].Name] = IntrinsicID(i)
		}
	}
	return m
}()

// StrSub is the intrinsic strsub.
func StrSub(s string, start, n int64) string {
	if start < 0 || n <= 0 || start >= int64(len(s)) {
		return ""
	}
	s = s[start:]
	return s[:min(n, int64(len(s)))]
}
