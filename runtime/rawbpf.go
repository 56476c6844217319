//go:build linux

package loader

import (
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Commands of bpf(2) that are used directly, numbered as in the kernel's
// include/uapi/linux/bpf.h: cilium/ebpf has no cookies for raw tracepoints, no
// uprobe sessions, and reads a per-CPU element only by reflection.
const (
	cmdMapLookup      = 1
	cmdMapUpdate      = 2
	cmdMapDelete      = 3
	cmdMapNextKey     = 4
	cmdProgTestRun    = 10
	cmdObjectInfo     = 15
	cmdRawTPOpen      = 17
	cmdMapLookupBatch = 24
	cmdLinkCreate     = 28

	cmdProgAttach = 8
	cmdProgByID   = 13
	cmdMapByID    = 14
	cmdLinkUpdate = 29
	cmdLinkByID   = 30
	cmdIterCreate = 33

	cmdMapLookupAndDelete      = 21
	cmdMapLookupAndDeleteBatch = 25
	cmdMapUpdateBatch          = 26
	cmdMapDeleteBatch          = 27
)

// Flags of an update.
const (
	mapAny     = 0
	mapNoExist = 1
)

// bpfCall makes the system call, again if a signal interrupts it.
func bpfCall(cmd uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		runtime.KeepAlive(attr)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return int(r), nil
	}
}

// ptr is a pointer as bpf_attr has it: 64 bits wide on every machine. The
// memory it points to must be kept alive by the caller.
type ptr uint64

func bytesPtr(b []byte) ptr {
	if len(b) == 0 {
		return 0
	}
	return ptr(uintptr(unsafe.Pointer(&b[0])))
}

type mapElemAttr struct {
	fd    uint32
	_     uint32
	key   ptr
	value ptr
	flags uint64
}

func mapElem(cmd uintptr, fd int, key, value []byte, flags uint64) error {
	a := mapElemAttr{fd: uint32(fd), key: bytesPtr(key), value: bytesPtr(value), flags: flags}
	var pin runtime.Pinner
	pinBytes(&pin, key, value)
	_, err := bpfCall(cmd, unsafe.Pointer(&a), unsafe.Sizeof(a))
	pin.Unpin()
	return err
}

func pinBytes(p *runtime.Pinner, bs ...[]byte) {
	for _, b := range bs {
		if len(b) > 0 {
			p.Pin(&b[0])
		}
	}
}

// mapLookup copies the element at key to value; of a per-CPU map the elements of
// all possible CPUs, each rounded up to 8 bytes. A missing key is ENOENT.
func mapLookup(fd int, key, value []byte) error {
	return mapElem(cmdMapLookup, fd, key, value, 0)
}

// mapUpdate stores value, laid out as mapLookup gives it.
func mapUpdate(fd int, key, value []byte, flags uint64) error {
	return mapElem(cmdMapUpdate, fd, key, value, flags)
}

// mapDelete removes the element at key. A missing key is ENOENT.
func mapDelete(fd int, key []byte) error { return mapElem(cmdMapDelete, fd, key, nil, 0) }

type mapBatchAttr struct {
	in, out ptr // cursors
	keys    ptr
	values  ptr
	count   uint32
	fd      uint32
	elem    uint64
	flags   uint64
}

// mapLookupBatch reads up to count elements and returns how many it read. A nil
// cursor in starts at the beginning; out receives the place to go on. At the end
// it returns ENOENT, with the last elements.
func mapLookupBatch(fd int, in, out, keys, values []byte, count int) (int, error) {
	a := mapBatchAttr{
		in: bytesPtr(in), out: bytesPtr(out), keys: bytesPtr(keys), values: bytesPtr(values),
		count: uint32(count), fd: uint32(fd),
	}
	var pin runtime.Pinner
	pinBytes(&pin, in, out, keys, values)
	_, err := bpfCall(cmdMapLookupBatch, unsafe.Pointer(&a), unsafe.Sizeof(a))
	pin.Unpin()
	return int(a.count), err
}

// runSyscallProgram runs prog, of type syscall, with buf as its context, which it may
// change; nil: none.
func runSyscallProgram(prog *ebpf.Program, buf []byte) error {
	a := struct {
		prog, result              uint32
		dataInSize, dataOutSize   uint32
		dataIn, dataOut           ptr
		repeat, duration          uint32
		contextSize, contextSize2 uint32
		context, contextOut       ptr
		flags, cpu, batchSize     uint32
		_                         uint32
	}{prog: uint32(prog.FD()), contextSize: uint32(len(buf)), context: bytesPtr(buf)}
	var pin runtime.Pinner
	pinBytes(&pin, buf)
	defer pin.Unpin()
	// The padding at the end is none of the kernel's structure.
	if _, err := bpfCall(cmdProgTestRun, unsafe.Pointer(&a), unsafe.Sizeof(a)-4); err != nil {
		return os.NewSyscallError("bpf(BPF_PROG_TEST_RUN)", err)
	}
	return nil
}

// Attach types of links, numbered as enum bpf_attach_type.
const (
	attachPerfEvent     = 41
	attachUprobeMulti   = 48
	attachUprobeSession = 57
)

// linkAttr is the link_create part of bpf_attr in the forms used here.
type linkAttr struct {
	prog       uint32
	target     uint32
	attachType uint32
	flags      uint32
	u          [48]byte
}

// perfLink attaches prog to a perf event.
func perfLink(prog, event int, cookie uint64) (*os.File, error) {
	a := linkAttr{prog: uint32(prog), target: uint32(event), attachType: attachPerfEvent}
	*(*uint64)(unsafe.Pointer(&a.u[0])) = cookie
	return linkCreate(&a, "perf_event")
}

// uprobeMultiSpec is what a multi-uprobe link attaches to.
type uprobeMultiSpec struct {
	path    string
	offsets []uint64
	refs    []uint64 // file offsets of USDT semaphores, or nil
	cookies []uint64 // or nil
	pid     int      // 0: every process
	ret     bool
	session bool
}

// uprobeMultiLink attaches prog to many places of one file.
func uprobeMultiLink(prog int, s *uprobeMultiSpec) (*os.File, error) {
	a := linkAttr{prog: uint32(prog), attachType: attachUprobeMulti}
	if s.session {
		a.attachType = attachUprobeSession
	}
	path, err := unix.BytePtrFromString(s.path)
	if err != nil {
		return nil, err
	}
	u := (*struct {
		path, offsets, refs, cookies uint64
		count, flags, pid            uint32
	})(unsafe.Pointer(&a.u[0]))
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(path)
	u.path = uint64(uintptr(unsafe.Pointer(path)))
	words := func(w []uint64) uint64 {
		if len(w) == 0 {
			return 0
		}
		pin.Pin(&w[0])
		return uint64(uintptr(unsafe.Pointer(&w[0])))
	}
	u.offsets, u.refs, u.cookies = words(s.offsets), words(s.refs), words(s.cookies)
	u.count, u.pid = uint32(len(s.offsets)), uint32(s.pid)
	if s.ret {
		u.flags = 1 // BPF_F_UPROBE_MULTI_RETURN
	}
	return linkCreate(&a, "uprobe_multi")
}

func linkCreate(a *linkAttr, name string) (*os.File, error) {
	fd, err := bpfCall(cmdLinkCreate, unsafe.Pointer(a), unsafe.Sizeof(*a))
	if err != nil {
		return nil, os.NewSyscallError("bpf(BPF_LINK_CREATE)", err)
	}
	return bpfFile(fd, name), nil
}

// rawTracepoint attaches prog to a raw tracepoint, or, with an empty name, a
// tp_btf program to its own. Kernels before 6.10 know no cookie here; it is only
// passed if it is not zero.
func rawTracepoint(prog int, name string, cookie uint64) (*os.File, error) {
	a := struct {
		name   ptr
		prog   uint32
		_      uint32
		cookie uint64
	}{prog: uint32(prog), cookie: cookie}
	size := unsafe.Sizeof(a)
	if cookie == 0 {
		size = unsafe.Offsetof(a.cookie)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if name != "" {
		p, err := unix.BytePtrFromString(name)
		if err != nil {
			return nil, err
		}
		pin.Pin(p)
		a.name = ptr(uintptr(unsafe.Pointer(p)))
	}
	fd, err := bpfCall(cmdRawTPOpen, unsafe.Pointer(&a), size)
	if err != nil {
		return nil, os.NewSyscallError("bpf(BPF_RAW_TRACEPOINT_OPEN)", err)
	}
	return bpfFile(fd, "raw_tp"), nil
}

// missedOf tells how many hits a link of kprobes has missed, which kernels know since
// 6.7; returns says that they are those of returns. Others give 0.
func missedOf(link int) (missed uint64, returns bool, err error) {
	// struct bpf_link_info, and of its union what kprobes have.
	type linkInfo struct {
		kind, id, prog, _ uint32
		u                 [14]uint64
	}
	const (
		kindPerfEvent, kindKprobeMulti = 7, 8
		eventKprobe, eventKretprobe    = 3, 4
		multiReturn                    = 1 // BPF_F_KPROBE_MULTI_RETURN
	)
	var info linkInfo
	a := struct {
		fd, len uint32
		info    ptr
	}{uint32(link), uint32(unsafe.Sizeof(info)), ptr(uintptr(unsafe.Pointer(&info)))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&info)
	if _, err := bpfCall(cmdObjectInfo, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return 0, false, os.NewSyscallError("bpf(BPF_OBJ_GET_INFO_BY_FD)", err)
	}
	switch info.kind {
	case kindPerfEvent: // type, name, length and offset, address, missed
		if t := uint32(info.u[0]); t == eventKprobe || t == eventKretprobe {
			return info.u[4], t == eventKretprobe, nil
		}
	case kindKprobeMulti: // addresses, count and flags, missed
		return info.u[2], info.u[1]>>32&multiReturn != 0, nil
	}
	return 0, false, nil
}

// bpfLinkName begins the names of files that are links.
const bpfLinkName = "bpf-link:"

func bpfFile(fd int, name string) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), bpfLinkName+name)
}
