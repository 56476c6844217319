" SystemTap scripts. Vim takes *.stp for SQL stored procedures, so the text decides.
autocmd BufNewFile,BufRead *.stp call s:Detect()
autocmd BufNewFile,BufRead *.stpm call s:Set()
autocmd BufNewFile,BufRead * if did_filetype() == 0 && getline(1) =~# '^#!.*\<stap\>' | call s:Set() | endif

function! s:Set() abort
  if &filetype !=# 'systemtap'
    set filetype=systemtap
  endif
endfunction

function! s:Detect() abort
  let comment = 0
  for line in getline(1, 300)
    if line =~# '^#!.*\<stap'
      return s:Set()
    endif
    " Text in /* comments */ says nothing.
    if comment
      if line !~# '\*/'
        continue
      endif
      let comment = 0
      let line = substitute(line, '^.\{-}\*/', '', '')
    endif
    let line = substitute(line, '/\*.\{-}\*/', '', 'g')
    if line =~# '/\*'
      let comment = 1
      let line = substitute(line, '/\*.*', '', '')
    endif
    if line =~# '^\s*\(#\|//\|$\)'
      continue
    endif
    if line =~# '^\s*\(probe\|global\|function\|private\|@define\)\>' || line =~# '^\s*%[({]'
      return s:Set()
    endif
    " CREATE PROCEDURE, -- comments, and what else begins a line of SQL.
    if line =~? '^\s*\(--\|create\|alter\|drop\|use\|go\|set\|declare\|exec\|grant\|begin\|if\)\>' || line =~# '^\s*--'
      return
    endif
    return s:Set()
  endfor
  " Nothing but comments: a new script.
  call s:Set()
endfunction
