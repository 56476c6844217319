package cli

import (
	"fmt"
	"io"
	"strings"
)

// Shells are those that completion scripts are made for.
var Shells = []string{"bash", "zsh", "fish"}

// WriteCompletions writes the completion script of a shell for all commands. The names
// of probe points are asked of stap --complete when they are needed.
func WriteCompletions(w io.Writer, shell string) error {
	var text string
	switch shell {
	case "bash":
		text = bash()
	case "zsh":
		text = zsh()
	case "fish":
		text = fish()
	default:
		return fmt.Errorf("there are no completions for %q, only for %s", shell, or(Shells))
	}
	_, err := io.WriteString(w, text)
	return err
}

// visible are a command's options that a person would type.
func (c *Command) visible() []*Option {
	var out []*Option
	for _, o := range c.Options() {
		if !o.Hidden && o.Instead == "" {
			out = append(out, o)
		}
	}
	return out
}

// sub are the commands of a command ("stapc sign" of stapc).
func (c *Command) sub() (out []*Command) {
	for _, s := range All() {
		if strings.HasPrefix(s.Name, c.Name+" ") {
			out = append(out, s)
		}
	}
	return out
}

// operands is what stands where no option does.
func (c *Command) operands() string {
	switch {
	case c.Name == "stapfmt" || c.Name == "staplint" || c.Name == "stap" || c.Name == "stapc":
		return "*.@(stp|stpm)"
	case strings.HasPrefix(c.Name, "stap"):
		return "*.o"
	}
	return ""
}

func bash() string {
	var b strings.Builder
	b.WriteString(`# Completions of stapkit's commands for bash: source this file, or put it into
# /usr/share/bash-completion/completions as stap, with links for the other commands.

_stapkit_files() { # PATTERN
  local IFS=$'\n' was
  was=$(shopt -p extglob)
  shopt -s extglob
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X "!$1" -- "$cur"))
  eval "$was"
}

_stapkit_points() {
  local IFS=$'\n' typed=$cur how=
  compopt -o nospace -o nosort 2>/dev/null
  # An open quote is not part of what readline replaces, backslashes are.
  case $typed in
    [\'\"]*) typed=${typed:1} how=quoted ;;
    *\\*) typed=${typed//\\/} how=escaped ;;
  esac
  COMPREPLY=($(stap --complete="$typed" 2>/dev/null))
  case $how:${COMPREPLY[*]} in
    escaped:*) COMPREPLY=($([ -z "${COMPREPLY[*]}" ] || printf '%q\n' "${COMPREPLY[@]}")) ;;
    :*[\(\"]*) COMPREPLY=("${COMPREPLY[@]@Q}") ;;
  esac
}

_stapkit() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} name=${1##*/} opt=
  COMPREPLY=()
  # --option=value is three words.
  if [ "$cur" = = ]; then cur= opt=$prev
  elif [ "$prev" = = ]; then opt=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $prev == -* ]]; then opt=$prev
  fi
`)
	for _, c := range All() {
		if strings.Contains(c.Name, " ") {
			continue
		}
		for _, s := range c.sub() {
			word := strings.TrimPrefix(s.Name, c.Name+" ")
			fmt.Fprintf(&b, "  [ $name = %s ] && [ \"${COMP_WORDS[1]}\" = %s ] && [ $COMP_CWORD -gt 1 ] && name='%s'\n", c.Name, word, s.Name)
		}
	}
	b.WriteString("  case $name:$opt in\n")
	for _, c := range All() {
		for _, o := range c.visible() {
			if o.Arg == "" || o.Implied != "" && len(o.Values) == 0 {
				continue
			}
			pattern := fmt.Sprintf("'%s:--%s'", c.Name, o.Long)
			if o.Short != "" && o.Implied == "" {
				pattern += fmt.Sprintf(" | '%s:-%s'", c.Name, o.Short)
			}
			action := "return"
			switch {
			case len(o.Values) > 0:
				action = fmt.Sprintf("COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return", strings.Join(o.Values, " "))
			case o.Complete == Files:
				action = "_stapkit_files '*'; return"
			case o.Complete == Folders:
				action = "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$cur\")); return"
			case o.Complete == Commands:
				action = "COMPREPLY=($(compgen -c -- \"$cur\")); return"
			case o.Complete == Processes:
				action = "COMPREPLY=($(compgen -W \"$(cd /proc && echo [0-9]*)\" -- \"$cur\")); return"
			case o.Complete == Points:
				action = "_stapkit_points; return"
			}
			fmt.Fprintf(&b, "    %s) %s ;;\n", pattern, action)
		}
	}
	b.WriteString("  esac\n  case $name in\n")
	for _, c := range All() {
		var words []string
		for _, o := range c.visible() {
			words = append(words, "--"+o.Long)
			if o.Short != "" {
				words = append(words, "-"+o.Short)
			}
		}
		fmt.Fprintf(&b, "    '%s')\n      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return; fi\n", c.Name, strings.Join(words, " "))
		if p := c.operands(); p != "" {
			fmt.Fprintf(&b, "      _stapkit_files '%s'", p)
		} else {
			b.WriteString("      :")
		}
		for _, s := range c.sub() {
			fmt.Fprintf(&b, "\n      [ $COMP_CWORD = 1 ] && COMPREPLY+=($(compgen -W '%s' -- \"$cur\"))", strings.TrimPrefix(s.Name, c.Name+" "))
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("  esac\n}\n\n")
	var names []string
	for _, c := range All() {
		if !strings.Contains(c.Name, " ") {
			names = append(names, c.Name)
		}
	}
	fmt.Fprintf(&b, "complete -F _stapkit %s\n", strings.Join(names, " "))
	return b.String()
}

// quoted is a word for zsh and fish, in single quotes.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func zsh() string {
	var b strings.Builder
	var names []string
	for _, c := range All() {
		if !strings.Contains(c.Name, " ") {
			names = append(names, c.Name)
		}
	}
	fmt.Fprintf(&b, "#compdef %s\n# Completions of stapkit's commands for zsh: put this file into a folder of $fpath as _stapkit.\n", strings.Join(names, " "))
	b.WriteString(`
_stapkit_points() {
  local -a found
  found=("${(@f)$(stap --complete="${(Q)PREFIX}" 2>/dev/null)}")
  compadd -U -i "$IPREFIX" -V points -S '' -- $found
}
`)
	for _, c := range All() {
		fmt.Fprintf(&b, "\n_stapkit_%s() {\n", strings.ReplaceAll(c.Name, " ", "_"))
		if subs := c.sub(); len(subs) > 0 {
			for _, s := range subs {
				word := strings.TrimPrefix(s.Name, c.Name+" ")
				fmt.Fprintf(&b, "  if [[ $words[2] = %s ]] && (( CURRENT > 2 )); then shift words; (( CURRENT-- )); _stapkit_%s; return; fi\n", word, strings.ReplaceAll(s.Name, " ", "_"))
			}
		}
		b.WriteString("  _arguments -s -S")
		for _, o := range c.visible() {
			help := strings.NewReplacer("[", "(", "]", ")", ":", `\:`).Replace(o.Help)
			action := ""
			if o.Arg != "" {
				act := " "
				switch {
				case len(o.Values) > 0:
					act = "(" + strings.Join(o.Values, " ") + ")"
				case o.Complete == Files:
					act = "_files"
				case o.Complete == Folders:
					act = "_files -/"
				case o.Complete == Commands:
					act = "_command_names"
				case o.Complete == Processes:
					act = "_pids"
				case o.Complete == Points:
					act = "_stapkit_points"
				}
				action = ":" + o.Arg + ":" + act
				if o.Implied != "" {
					action = ":" + action
				}
			}
			many := ""
			if o.Many {
				many = "*"
			}
			equals := ""
			if o.Arg != "" {
				equals = "="
				if o.Implied != "" {
					equals = "=-"
				}
			}
			fmt.Fprintf(&b, " \\\n    %s", quoted(many+"--"+o.Long+equals+"["+help+"]"+action))
			if o.Short != "" && o.Implied == "" {
				plus := ""
				if o.Arg != "" {
					plus = "+"
				}
				fmt.Fprintf(&b, " \\\n    %s", quoted(many+"-"+o.Short+plus+"["+help+"]"+action))
			}
		}
		glob := "*.(stp|stpm)"
		if c.operands() == "*.o" {
			glob = "*.o"
		}
		if len(c.sub()) > 0 {
			fmt.Fprintf(&b, " \\\n    %s", quoted("1:script: _alternative 'commands:command:(sign)' 'files:script:_files -g \""+glob+"\"'"))
		}
		fmt.Fprintf(&b, " \\\n    %s\n}\n", quoted("*:file:_files -g \""+glob+"\""))
	}
	b.WriteString("\ncase $service in\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  %s) _stapkit_%s \"$@\" ;;\n", n, n)
	}
	b.WriteString("esac\n")
	return b.String()
}

func fish() string {
	var b strings.Builder
	b.WriteString(`# Completions of stapkit's commands for fish: source this file, or put it into a folder
# of $fish_complete_path under the name of each command.

function __stapkit_points
    set -l typed (commandline -ct | string replace -r '^(-l|-L|--list=|--list-vars=)' '')
    if string match -qr '^[\'"]' -- "$typed"
        set typed (string sub -s 2 -- "$typed")
    else
        set typed (string unescape -- "$typed")
    end
    # What follows a tab would be about each of them.
    stap --complete="$typed" 2>/dev/null | string replace -r '$' \t
end
`)
	for _, c := range All() {
		name, cond := c.Name, ""
		if top, word, ok := strings.Cut(c.Name, " "); ok {
			name, cond = top, " -n '__fish_seen_subcommand_from "+word+"'"
			fmt.Fprintf(&b, "complete -c %s -n 'test (count (commandline -opc)) = 1' -a %s -d %s\n", top, word, quoted(c.Summary))
		} else if subs := c.sub(); len(subs) > 0 {
			cond = " -n 'not __fish_seen_subcommand_from " + strings.TrimPrefix(subs[0].Name, c.Name+" ") + "'"
		}
		b.WriteByte('\n')
		for _, o := range c.visible() {
			fmt.Fprintf(&b, "complete -c %s%s -l %s", name, cond, o.Long)
			if o.Short != "" {
				fmt.Fprintf(&b, " -s %s", o.Short)
			}
			if o.Arg != "" && o.Implied == "" {
				b.WriteString(" -r")
			}
			switch {
			case o.Arg == "":
			case len(o.Values) > 0:
				fmt.Fprintf(&b, " -f -a '%s\\t'", strings.Join(o.Values, `\t `))
			case o.Complete == Files:
				b.WriteString(" -F")
			case o.Complete == Folders:
				b.WriteString(" -f -a '(__fish_complete_directories)'")
			case o.Complete == Commands:
				b.WriteString(" -f -a '(__fish_complete_command)'")
			case o.Complete == Processes:
				b.WriteString(" -f -a '(__fish_complete_pids)'")
			case o.Complete == Points:
				b.WriteString(" -f -a '(__stapkit_points)'")
			default:
				b.WriteString(" -f")
			}
			fmt.Fprintf(&b, " -d %s\n", quoted(o.Help))
		}
	}
	return b.String()
}
