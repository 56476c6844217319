" Vim indent file
" Language: SystemTap
" License:  MIT

if exists('b:did_indent')
  finish
endif
let b:did_indent = 1

setlocal indentexpr=GetSystemtapIndent()
setlocal indentkeys=0{,0},0),0],!^F,o,O,e,0=%),0=%:,0=%}
setlocal autoindent nosmartindent nocindent

let b:undo_indent = 'setlocal indentexpr< indentkeys< autoindent<'

if exists('*GetSystemtapIndent')
  finish
endif

" s:Code is a line without its comments and with its strings emptied.
function! s:Code(lnum) abort
  let text = substitute(getline(a:lnum), '"\%(\\.\|[^"\\]\)*"', '""', 'g')
  let text = substitute(text, '/\*.\{-}\*/', '', 'g')
  let text = substitute(text, '\(#\|//\|/\*\).*$', '', '')
  return substitute(text, '\s\+$', '', '')
endfunction

" s:Inside tells what the start of a line lies in, by its colour.
function! s:Inside(lnum, name) abort
  for id in synstack(a:lnum, 1)
    if synIDattr(id, 'name') ==# a:name
      return 1
    endif
  endfor
  return 0
endfunction

function! s:Prev(lnum) abort
  let n = prevnonblank(a:lnum - 1)
  while n > 0 && s:Code(n) ==# '' && getline(n) =~# '\S'
    let n = prevnonblank(n - 1)
  endwhile
  return n
endfunction

" s:Count counts a bracket that is open at the end of a line, so far as closing ones
" before it do not matter.
function! s:Open(code) abort
  let depth = 0
  let lowest = 0
  for c in split(substitute(a:code, '[^][(){}]', '', 'g'), '\zs')
    if c =~# '[[({]'
      let depth += 1
    else
      let depth -= 1
      let lowest = min([lowest, depth])
    endif
  endfor
  return depth - lowest
endfunction

function! GetSystemtapIndent() abort
  let line = getline(v:lnum)
  " In comments of several lines and in embedded C the lines before count.
  if s:Inside(v:lnum, 'systemtapComment') && line !~# '^\s*\(#\|//\|/\*\)'
    let above = prevnonblank(v:lnum - 1)
    let star = line =~# '^\s*\*' && getline(above) =~# '^\s*/\*' ? 1 : 0
    return above > 0 ? indent(above) + star : 0
  endif
  if s:Inside(v:lnum, 'systemtapEmbedded') && line !~# '^\s*%}'
    let above = prevnonblank(v:lnum - 1)
    if above > 0 && getline(above) =~# '%{\s*$'
      return indent(above) + shiftwidth()
    endif
    return cindent(v:lnum)
  endif
  let prev = s:Prev(v:lnum)
  if prev == 0
    return 0
  endif
  let code = s:Code(prev)
  let ind = indent(prev)
  " Closing brackets at the start of the line before have been counted there.
  let ind += s:Open(code) > 0 ? shiftwidth() : 0
  " A statement without braces: its one line is indented.
  let alone = '^\s*\(}\s*\)\?\(if\|while\|for\|foreach\)\s*(.*)$\|^\s*\(}\s*\)\?else$'
  if s:Open(code) == 0 && code =~# alone && line !~# '^\s*{'
    let ind += shiftwidth()
  elseif code !~# '[{]$'
    let before = s:Prev(prev)
    if before > 0 && s:Code(before) =~# alone && s:Open(s:Code(before)) == 0 && indent(prev) > indent(before)
      let ind = indent(before)
    endif
  endif
  " What a macro or conditional holds.
  if code =~# '\(%(\|%?\|%:\)$' || code =~# '^\s*%(.*%?$'
    let ind += shiftwidth()
  endif
  if line =~# '^\s*[])}]'
    let ind = s:Matching(ind)
  elseif line =~# '^\s*\(%)\|%:\|%}\)'
    let ind -= shiftwidth()
  endif
  return max([ind, 0])
endfunction

" s:Matching is the indentation of the line with the bracket that this line closes.
function! s:Matching(default) abort
  let save = getcurpos()
  call cursor(v:lnum, match(getline(v:lnum), '[])}]') + 1)
  let c = getline('.')[col('.') - 1]
  let pair = {'}': ['{', '}'], ')': ['(', ')'], ']': ['\[', '\]']}[c]
  let skip = 'synIDattr(synID(line("."), col("."), 0), "name") =~# "Comment\\|String"'
  let at = searchpair(pair[0], '', pair[1], 'bnW', skip)
  call setpos('.', save)
  return at > 0 ? indent(at) : a:default - shiftwidth()
endfunction
