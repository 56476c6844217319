" Vim filetype plugin
" Language: SystemTap
" License:  MIT

if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

let s:cpo = &cpo
set cpo&vim

setlocal comments=s1:/*,mb:*,ex:*/,://,b:#
setlocal commentstring=//\ %s
setlocal formatoptions-=t formatoptions+=croql
setlocal suffixesadd=.stp,.stpm
setlocal define=^\\s*\\(@define\\\|function\\\|global\\\|private\\)
setlocal iskeyword+=$
" stapfmt's own style; .editorconfig may say otherwise.
setlocal noexpandtab shiftwidth=8 softtabstop=0 tabstop=8
if executable('stapfmt')
  setlocal formatprg=stapfmt
endif

let b:undo_ftplugin = 'setlocal comments< commentstring< formatoptions< suffixesadd< define< iskeyword< expandtab< shiftwidth< softtabstop< tabstop< formatprg<'

if exists('loaded_matchit') || exists(':MatchEnable')
  let b:match_ignorecase = 0
  let b:match_skip = 's:comment\|string'
  let b:match_words = '%(:%?:%\::%),%{:%},\<if\>:\<else\>,\<try\>:\<catch\>'
  let b:undo_ftplugin .= ' | unlet! b:match_ignorecase b:match_skip b:match_words'
endif

let &cpo = s:cpo
unlet s:cpo
