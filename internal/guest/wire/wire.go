// Package wire is what the guest's agent and the harness say to each other: gob
// values over the guest's second serial line.
package wire

import "time"

// LineEnv is the variable that names the device of the line to the agent: the kernel gives
// process 1 what it is given and does not know as its environment.
const LineEnv = "stapkit_line"

// Request asks the agent for one thing. Requests run at the same time; answers
// come in the order in which they are done.
type Request struct {
	ID int
	// Run is a command to run, Write a file to write, Read the path of a file to
	// give back. Exactly one is set.
	Run   *Command
	Write *File
	Read  string
}

// Command is a process to start.
type Command struct {
	Args  []string
	Dir   string   // "": /tmp
	Env   []string // in addition to the agent's
	Stdin []byte
	// Timeout is how long it may take. Then it gets SIGINT and, two seconds
	// later, SIGKILL. 0: no limit.
	Timeout time.Duration
}

// File is a file with its permission bits.
type File struct {
	Path string
	Mode uint32
	Data []byte
}

// Reply answers a request. The first one has ID 0 and says that the agent is
// ready.
type Reply struct {
	ID             int
	Error          string // the request could not be carried out
	Stdout, Stderr []byte
	Code           int // exit status, 128+n after signal n
	TimedOut       bool
	Data           []byte
}
