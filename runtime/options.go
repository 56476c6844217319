package loader

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"stapkit/ir"
	"stapkit/target"
)

// Image is what is run: a program and the object file with its kernel part.
type Image struct {
	// Program holds the loader's handlers and the description of all probes.
	// The bodies of kernel handlers are not needed.
	Program *ir.Program
	// ELF is the object of the kernel handlers, nil if there are none. The
	// caller has verified it.
	ELF []byte

	read *readObject // nil: whoever asks for the object reads it anew
}

// NewImage is an Image whose object is read once for all who ask for it before it is run.
func NewImage(p *ir.Program, elf []byte) Image {
	return Image{Program: p, ELF: elf, read: new(readObject)}
}

// readObject is the object as it was read last.
type readObject struct {
	mu   sync.Mutex
	spec *ebpf.CollectionSpec
}

// object reads the object. It is shared, so nobody may change it.
func (img Image) object() (*ebpf.CollectionSpec, error) {
	if img.read == nil {
		return parseObject(img.ELF)
	}
	img.read.mu.Lock()
	defer img.read.mu.Unlock()
	var err error
	if img.read.spec == nil {
		img.read.spec, err = parseObject(img.ELF)
	}
	return img.read.spec, err
}

// takeObject is object for one who changes it and after whom nobody asks: what is to be
// loaded is not kept twice.
func (img Image) takeObject() (*ebpf.CollectionSpec, error) {
	spec, err := img.object()
	if img.read != nil {
		img.read.mu.Lock()
		defer img.read.mu.Unlock()
		img.read.spec = nil
	}
	return spec, err
}

func parseObject(elf []byte) (*ebpf.CollectionSpec, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(elf))
	if err != nil {
		return nil, errorf(codeCompiled, err, "the object cannot be read: %v", err)
	}
	return spec, nil
}

// Options are the settings of one run. The zero value runs the script on the
// standard streams until it ends by itself.
type Options struct {
	// Lines tells the source file and line of an address in a program or library,
	// as the file numbers it. Without it no handler learns of these: the loader
	// reads no debug information.
	Lines func(path string, addr uint64) (file string, line int, ok bool)
	// KernelLines tells those of the code so many bytes behind a symbol of the kernel, with
	// module "", or of a module.
	KernelLines func(module, symbol string, offset uint64) (file string, line int, ok bool)
	// Verbose 1 tells what is done, 2 adds the kernel's verifier log where a
	// program is refused.
	Verbose int
	// Stdout and Stderr replace the process's own. Output, if not empty, is a
	// file that takes Stdout's place; conversions of strftime in its name are
	// replaced by the time of start.
	Stdout, Stderr io.Writer
	Output         string
	// Rotation has the output go on in another file when one is full (-S).
	Rotation Rotation
	// Command is run as a child; the run ends when it exits (-c).
	Command string
	// PID is the target process (-x).
	PID int
	// Timeout ends the run as exit() does; 0: none (-T).
	Timeout time.Duration
	// TimeoutIsLimit: the timeout is not the user's wish but a limit, and its end
	// is reported (StatusRuntime).
	TimeoutIsLimit bool
	// CPULimit is the part of all CPUs' time, in percent, that handlers may take
	// before the run is ended; 0: DefaultCPULimit, negative: no limit.
	CPULimit float64
	// OutputRate is how many bytes a second may be printed, over some seconds,
	// before the run is ended; 0: no limit.
	OutputRate int64
	// Cgroup restricts kernel handlers to tasks of this cgroup (version 2) and
	// those below: a path, or the name of a systemd unit.
	Cgroup string
	// Started is called when all probes are active, Stopping when they are about to
	// be taken down.
	Started, Stopping func()
	// Remove are files that the run removes when it ends.
	Remove []string
	// Pin, if not empty, is a name under which the script stays attached when the
	// loader ends without having taken it down: when it is killed, or with SIGQUIT.
	// PinBundle is kept beside for whoever attaches to it. With Leave the loader
	// ends itself as soon as all probes are active (-L).
	Pin       string
	PinBundle []byte
	Leave     bool
	// Attach is the name of such a script, with which this run goes on (-A).
	Attach string
	// JSON has all output be messages of package feed, a line each (--format json).
	JSON bool
	// RecordTo, if not empty, is a file that takes what is printed before it has become
	// text, for Replay; nothing is printed then (--record).
	RecordTo string
	// Stacks, if not empty, is a file that takes the stacks that the script has
	// collected: a flame graph (.svg), folded stacks (.folded, .txt), or a profile for
	// pprof.
	Stacks string
	// Socket, if not empty, is where programs ask for the state of the run: the path
	// of a Unix socket. SocketNamed is called with it when it is there.
	Socket string
	// Background: from Started on, errors and warnings go where the output goes.
	Background bool
	// BufferMB is the size of the ring buffer in MiB, rounded up to a power of
	// two; 0: 4 MiB (-s).
	BufferMB int
	// Globals gives scalar globals other initial values (-G name=value).
	Globals map[string]string
	// MaxMapEntries, if positive, replaces the default size of arrays
	// (-DMAXMAPENTRIES): of those whose size is the script's default limit.
	MaxMapEntries int
	// NoWarnings hides warnings (-w).
	NoWarnings bool
	// NoGlobalDisplay leaves out the globals shown at the end.
	NoGlobalDisplay bool
	// SuppressErrors lets the run go on whatever goes wrong in handlers; errors
	// are only counted (--suppress-handler-errors).
	SuppressErrors bool
	// Timing prints hits and times of every probe at the end (-t).
	Timing bool
	// Signals makes the run handle SIGINT, SIGTERM, SIGHUP and SIGQUIT itself:
	// the first one ends the run with its end probes, the second one at once.
	// Otherwise cancelling the context ends the run.
	Signals bool
	// Name is what execname() yields in loader handlers if not empty; otherwise
	// the name of the process.
	Name string
	// Separate has the process give up all privileges for good, and allow itself hardly
	// any system call, once the probes are attached; another one, the broker, keeps what
	// is needed of them. It asks for CanSeparate.
	Separate bool
	// Record makes the log of the run, told of its start and its end. If the run is
	// separated, the broker's own (see Broker) takes its place. RecordData is its.
	Record     Record
	RecordData []byte
	// AllowSystem lets system() run commands.
	AllowSystem bool
	// Namespaces is a process in whose namespaces ns_pid() and its like tell numbers;
	// 0: the loader's (--target-namespaces).
	Namespaces int
	// Mark, if not nil, colours a line of standard error.
	Mark func(line string) string
	// Remote tells that this run is one of those of stap --remote: RemoteID is the
	// number of the host among them and RemoteURI its name there.
	Remote    bool
	RemoteID  int
	RemoteURI string
	// Stopwatch, if not nil, measures the start; the result is told when the probes
	// are active.
	Stopwatch *Stopwatch
	// Target is a description of this host, in which structure members are
	// looked up by loader handlers and pretty-printed values get their names.
	// Nil: the kernel's own BTF, read when needed.
	Target *target.Target
}

// Record makes the log of a run from Options.RecordData. Both functions are called
// where privileges are kept.
type Record func(data []byte) (started func(), ended func(status int, err error))

// Exit statuses of a run.
const (
	// StatusOK: the script ended by itself, by a signal, a timeout or with its
	// child, and no error was reported.
	StatusOK = 0
	// StatusError: a handler raised an error, or the child failed.
	StatusError = 1
	// StatusOverload, StatusOutputRate and StatusRuntime: the run was ended for
	// going over a limit.
	StatusOverload   = 30
	StatusOutputRate = 31
	StatusRuntime    = 32
)

// MoreMemory is how many bytes the maps of an image take in a run with these options beside
// what Uses tells, which goes by the sizes in the object.
func (o *Options) MoreMemory(img Image) int64 {
	if len(img.ELF) == 0 {
		return 0
	}
	spec, err := img.object()
	if err != nil {
		return 0 // Uses has told
	}
	m := spec.Maps[ir.MapRing]
	if m == nil {
		return 0
	}
	return int64(o.ringBytes()) - int64(m.MaxEntries)
}

func (o *Options) ringBytes() uint32 {
	mb := o.BufferMB
	if mb <= 0 {
		mb = 4
	}
	mb = min(mb, 1024)
	n := uint32(1) << 20
	for n < uint32(mb)<<20 {
		n <<= 1
	}
	return n
}
