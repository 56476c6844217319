//go:build linux

package loader

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// askTypes are the types of the arguments of an ir.ItemAsk; nil for what is none.
func askTypes(id ir.IntrinsicID) []ir.Type {
	if int(id) >= len(ir.Intrinsics) {
		return nil
	}
	var out []ir.Type
	for _, k := range ir.Intrinsics[id].Args {
		out = append(out, ir.Type{Kind: k, Width: ir.MaxStrWidth})
	}
	return out
}

// fulfil does what a handler wants done by the loader.
func (s *session) fulfil(id ir.IntrinsicID, args []interp.Value) error {
	switch id {
	case ir.ISwitchFile:
		if err := s.out.next(); err != nil {
			s.out.warn(fmt.Sprintf("switch_file(): %v", err))
		}
	case ir.IPrintk:
		s.kernelLog(args[0].I, args[1].S)
	case ir.IDumpStack:
		for _, line := range strings.Split(strings.TrimSuffix(s.texts.text(args[0]), "\n"), "\n") {
			s.kernelLog(4, line)
		}
	default:
		return fmt.Errorf("request %d is unknown", id)
	}
	return nil
}

// kernelLog writes a line to the kernel's log.
func (s *session) kernelLog(level int64, text string) {
	if err := s.kernelLine(kernelMessages, fmt.Sprintf("<%d>%s\n", min(max(level, 0), 7), text)); err != nil {
		s.out.warn(fmt.Sprintf("the kernel's log: %v", err))
	}
}

// kernelLine writes a line to one of the kernel's logs, which is opened for the first.
func (s *session) kernelLine(which kernelLog, line string) error {
	s.logsMu.Lock()
	defer s.logsMu.Unlock()
	f := s.logs[which]
	if f == nil {
		var err error
		if f, err = s.rights.kernelLog(which); err != nil {
			return err
		}
		s.logs[which] = f
	}
	_, err := f.WriteString(line)
	return err
}

// tell executes intrinsics that say what the loader knows.
func (s *session) tell(id ir.IntrinsicID, args []interp.Value) (interp.Value, error) {
	switch id {
	case ir.IRemoteURI:
		return interp.StrValue(s.opt.RemoteURI), nil
	case ir.IZoneOffset:
		return interp.IntValue(int64(s.west)), nil
	case ir.IZoneName:
		return interp.StrValue(s.zone), nil
	case ir.IModuleSize:
		return interp.StrValue(s.size()), nil
	case ir.ISymbolLines:
		return interp.StrValue(s.texts.lines(args[0].S, int(args[1].I), args[2].I)), nil
	}
	return interp.Value{Kind: ir.Intrinsics[id].Result}, nil
}

// size tells what the kernel holds of the script. It is asked once, since the kernel
// does not tell it without privileges.
func (s *session) size() string {
	s.sizeOnce.Do(func() { s.sizeText = s.measure() })
	return s.sizeText
}

func (s *session) measure() string {
	var programs, instructions, maps int
	var memory uint64
	if s.coll != nil {
		for _, p := range s.coll.Programs {
			programs++
			info, err := p.Info()
			if err != nil {
				continue
			}
			if ins, err := info.Instructions(); err == nil {
				instructions += len(ins)
			}
			if m, ok := info.Memlock(); ok {
				memory += m
			}
		}
		for _, m := range s.coll.Maps {
			maps++
			if info, err := m.Info(); err == nil {
				if n, ok := info.Memlock(); ok {
					memory += n
				}
			}
		}
	}
	return fmt.Sprintf("programs: %d, instructions: %d, maps: %d, memory: %d", programs, instructions, maps, memory)
}

// inode is the number of a namespace of a process, 0 if it cannot be read.
func inode(pid int, kind string) uint64 {
	proc := "self"
	if pid != 0 {
		proc = strconv.Itoa(pid)
	}
	var st unix.Stat_t
	if unix.Stat("/proc/"+proc+"/ns/"+kind, &st) != nil {
		return 0
	}
	return st.Ino
}

func remoteID(o *Options) uint64 {
	if !o.Remote {
		return ^uint64(0)
	}
	return uint64(o.RemoteID)
}

// loadAverages brings the load averages of the session block up to date.
func (s *session) loadAverages() {
	for i, v := range loadAverages() {
		s.blk.word(ir.SessOffLoadAvg + 8*i).Store(v)
	}
}

// loadAverages reads /proc/loadavg, in hundredths.
func loadAverages() (out [3]uint64) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return out
	}
	for i, f := range strings.Fields(string(b)) {
		if i == len(out) {
			break
		}
		whole, part, _ := strings.Cut(f, ".")
		w, err1 := strconv.ParseUint(whole, 10, 32)
		p, err2 := strconv.ParseUint(part, 10, 32)
		if err1 == nil && err2 == nil {
			out[i] = 100*w + p
		}
	}
	return out
}

// commands runs what system() asks for, one command after the other, beside the
// session. Each is a process of its own that gives up the loader's privileges before
// it becomes the shell: it has those of the user who ran the loader.
type commands struct {
	allowed bool
	rights  rights
	out     *output
	stdout  func() io.Writer

	once  sync.Once
	queue chan string
	done  sync.WaitGroup
}

// maxCommands is how many commands can wait for their turn.
const maxCommands = 1024

// add has a command run some time later.
func (c *commands) add(cmd string) {
	if !c.allowed {
		c.out.warn(fmt.Sprintf("system(%q) is not allowed here", cmd))
		return
	}
	c.once.Do(func() {
		c.queue = make(chan string, maxCommands)
		go func() {
			for cmd := range c.queue {
				c.run(cmd)
				c.done.Done()
			}
		}()
	})
	c.done.Add(1)
	select {
	case c.queue <- cmd:
	default:
		c.done.Done()
		c.out.warn(fmt.Sprintf("system(%q) is left out: %d commands wait already", cmd, maxCommands))
	}
}

// wait returns when all commands have ended.
func (c *commands) wait() { c.done.Wait() }

func (c *commands) run(cmd string) {
	// What the script printed before comes first.
	if c.out.flush() != nil {
		return
	}
	var err error
	stdout, ok1 := c.stdout().(*os.File)
	stderr, ok2 := c.out.err.(*os.File)
	if ok1 && ok2 {
		err = c.rights.system(cmd, stdout, stderr)
	} else {
		err = runShell(cmd, c.stdout(), c.out.err)
	}
	if err != nil {
		c.out.warn(fmt.Sprintf("system(%q): %v", cmd, err))
	}
}

// invoker is who ran the loader: the user behind sudo, or else the real user. Nil: the
// process has no other privileges than that user's.
func invoker(getenv func(string) string) *syscall.Credential {
	uid, err1 := strconv.ParseUint(getenv("SUDO_UID"), 10, 32)
	gid, err2 := strconv.ParseUint(getenv("SUDO_GID"), 10, 32)
	if os.Getuid() == 0 && err1 == nil && err2 == nil && uid != 0 {
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groupsOf(getenv("SUDO_USER"), uint32(gid))}
	}
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}
	}
	return nil
}

// groupsOf reads the groups of a user from /etc/group.
func groupsOf(user string, gid uint32) []uint32 {
	out := []uint32{gid}
	b, err := os.ReadFile("/etc/group")
	if err != nil || user == "" {
		return out
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Split(line, ":")
		if len(f) != 4 {
			continue
		}
		for _, name := range strings.Split(f[3], ",") {
			if n, err := strconv.ParseUint(f[2], 10, 32); err == nil && name == user {
				out = append(out, uint32(n))
			}
		}
	}
	return out
}
