// Package cli holds the command lines of all commands as tables: one Command for
// each, with its options, exit statuses and files. Parsing, --help, manual pages,
// shell completions and the documentation's comparison with SystemTap's options are
// made from them, so that none says what another does not.
package cli

// A Command is what is to be told of one command.
type Command struct {
	Name string
	// Summary is one phrase, as whatis(1) shows it.
	Summary string
	// Forms are the ways to call it.
	Forms []Form
	// About is the description in the manual: paragraphs with a blank line between.
	// Lines that begin with four spaces are shown as they are.
	About    string
	Sections []Section
	// Exits are the exit statuses.
	Exits []Entry
	// Environment and Files are what it reads besides.
	Environment, Files []Entry
	Examples           []Entry
	// SeeAlso are names of other manual pages, as in "staprun(8)".
	SeeAlso []string
	// Page is the section of the manual, "1" if empty.
	Page string
	// Short makes --help end behind the options; otherwise exit statuses follow.
	Short bool
}

// A Form is one way to call a command.
type Form struct{ Line, Help string }

// An Entry is a term and what it means.
type Entry struct{ Term, Help string }

// A Section is a group of options under a title.
type Section struct {
	Title string
	// Options are pointers, so that a table is made by the compiler: what code makes at
	// the start is in each command, those of all others included (staprun is to be small).
	Options []*Option
}

// shown are the options that are told of: not those for other programs, and not those
// that have no meaning here.
func (s *Section) shown() []*Option {
	var list []*Option
	for _, o := range s.Options {
		if !o.Hidden && o.Instead == "" {
			list = append(list, o)
		}
	}
	return list
}

// Complete says what a shell offers as an option's value.
type Complete int

const (
	Nothing Complete = iota
	Files
	Folders
	Commands
	Processes
	Points    // probe points
	Libraries // names of kernel modules
)

// An Option is one option of a command.
type Option struct {
	// Long and Short are its names, without dashes. Every option has a long one.
	Long, Short string
	// Arg is what the value is called; an option without is a switch.
	Arg string
	// Implied is the value that the option has when none is given with it; it makes
	// the value optional ("--color" is "--color=always").
	Implied string
	// Help is one line.
	Help string
	// More is what only the manual says.
	More string
	// Many says that the option may be repeated.
	Many bool
	// Values are the words that are possible.
	Values []string
	// Invalid is what is said of a value that is none, in SystemTap's words; empty:
	// what fits the kind of value.
	Invalid  string
	Complete Complete
	// Hidden options are for other programs and are not listed.
	Hidden bool

	// SystemTap is the option of SystemTap's that this one is, as its --help has it;
	// empty for our own.
	SystemTap string
	// Differs says in what it is not the same as there.
	Differs string
	// Instead makes it an option that has no meaning here: what to do instead, in one
	// line. Harmless ones are passed over with that line as a warning, Refused ones end
	// the command.
	Instead string
	Refused bool
	// RefusedValues are those of Values that end the command.
	RefusedValues []string
	// Silent ones have nothing that a person would miss: only Flags.Remarks tells of
	// them.
	Silent bool
}

// Options are all options, in the order of the sections.
func (c *Command) Options() []*Option {
	var all []*Option
	for i := range c.Sections {
		all = append(all, c.Sections[i].Options...)
	}
	return all
}

// Option is the option of a long name, or nil.
func (c *Command) Option(long string) *Option {
	for _, o := range c.Options() {
		if o.Long == long {
			return o
		}
	}
	return nil
}

// All are all commands and the commands of commands ("stapc sign").
func All() []*Command {
	return []*Command{Stap, Stapc, StapcSign, Staprun, Stapmon, Stapfmt, Staplint, Staplsp}
}

// spelled is the option as a person writes it: "-e", or "--sign" where there is no
// short name.
func (o *Option) spelled() string {
	if o.Short != "" {
		return "-" + o.Short
	}
	return "--" + o.Long
}
