" Vim syntax file
" Language: SystemTap
" License:  MIT

if exists('b:current_syntax')
  finish
endif

let s:cpo = &cpo
set cpo&vim

syn case match
syn include @systemtapC syntax/c.vim
unlet! b:current_syntax

" Comments
syn keyword systemtapTodo contained TODO FIXME XXX NOTE
syn match systemtapSuppress contained /\<staplint:\(ignore\(-file\)\?\)\>.*\|\<stapfmt:\(on\|off\)\>/
syn match systemtapComment /#.*$/ contains=systemtapTodo,systemtapSuppress,@Spell
syn match systemtapComment +//.*$+ contains=systemtapTodo,systemtapSuppress,@Spell
syn region systemtapComment start=+/\*+ end=+\*/+ contains=systemtapTodo,systemtapSuppress,systemtapDocName,@Spell fold
syn match systemtapDocName contained /@\w\+\ze\s*:/
syn match systemtapShebang /\%1l^#!.*$/

" Literals
syn match systemtapEscape contained /\\\([abfnrtv\\"']\|\o\{1,3}\|x\x\{1,2}\|$\)/
syn match systemtapFormat contained /%[-+ #0]\?\(\d\+\|\*\)\?\(\.\(\d\+\|\*\)\)\?l\?[bcdiosuxXpmM]/
syn match systemtapFormat contained /%%/
syn region systemtapString start=/"/ skip=/\\\\\|\\"/ end=/"/ end=/$/ contains=systemtapEscape,systemtapFormat,@Spell
syn match systemtapNumber /\<\(0[xX]\x\+\|\d\+\)\>/

" Words
syn keyword systemtapConditional if else
syn keyword systemtapRepeat while for foreach limit in break continue
syn keyword systemtapStatement return next delete try catch
syn keyword systemtapDeclare global private function
syn keyword systemtapType string long
syn keyword systemtapPrint print println printf printd printdln sprint sprintln sprintf sprintd sprintdln print_char

" Target variables and members
syn match systemtapTarget /\$\$\?\h\w*\(\$\$\?\)\?/
syn match systemtapMember /->\s*\zs\h\w*/
syn match systemtapArg /[$@]\(\d\+\|#\)/

" @ operators and macros
syn match systemtapMacro /@\h\w*/
syn match systemtapAt /@\(cast\|var\|defined\|entry\|perf\|const\|enum\|enumname\|probewrite\|kregister\|uregister\|kderef\|uderef\)\>/
syn match systemtapStat /@\(count\|sum\|min\|max\|avg\|variance\|hist_log\|hist_linear\)\>/
syn match systemtapDefine /@define\>/ nextgroup=systemtapMacroName skipwhite
syn match systemtapMacroName contained /\h\w*/

" Functions
syn match systemtapCall /\<\h\w*\ze\s*(/ contains=systemtapPrint,systemtapConditional,systemtapRepeat,systemtapStatement
syn match systemtapFunctionName contained /\h\w*/
syn match systemtapDeclareFunction /\<function\>/ nextgroup=systemtapFunctionName skipwhite

" Probe points: from the keyword to the body.
syn keyword systemtapProbe probe nextgroup=systemtapPoints skipwhite skipnl
syn region systemtapPoints contained start=/\S/ matchgroup=NONE end=/\ze\s*{/ end=/^\ze\s*\(probe\|global\|function\)\>/
      \ contains=systemtapPoint,systemtapString,systemtapNumber,systemtapComment,systemtapPointIf,systemtapGroup,systemtapMacro,systemtapArg,systemtapPreproc
syn region systemtapGroup contained start=/\.\s*\zs{/ end=/}/ contains=systemtapPoint,systemtapString,systemtapNumber,systemtapComment,systemtapGroup
syn match systemtapPoint contained /\<[A-Za-z_*][A-Za-z0-9_*]*\>\*\?/
syn match systemtapPointIf contained /\<if\>/

" Preprocessor
syn match systemtapPreproc /%(\|%?\|%:\|%)/
syn match systemtapPreCondition /\<\(kernel_v\|kernel_vr\|arch\|systemtap_v\|systemtap_privilege\|runtime\|guru_mode\|CONFIG_\w\+\)\>\ze\s*[<>=!]\+/

" Operators
syn match systemtapOperator /<<<\|[-+*\/%&|^<>=!~?.]=\?\|&&\|||\|=\~\|!\~/

" Embedded C
syn region systemtapEmbedded matchgroup=systemtapPreproc start=/%{/ end=/%}/ contains=@systemtapC keepend fold

syn region systemtapBlock start=/{/ end=/}/ transparent fold

syn sync minlines=200

hi def link systemtapComment Comment
hi def link systemtapShebang PreProc
hi def link systemtapTodo Todo
hi def link systemtapSuppress SpecialComment
hi def link systemtapDocName SpecialComment
hi def link systemtapString String
hi def link systemtapEscape SpecialChar
hi def link systemtapFormat SpecialChar
hi def link systemtapNumber Number
hi def link systemtapConditional Conditional
hi def link systemtapPointIf Conditional
hi def link systemtapRepeat Repeat
hi def link systemtapStatement Statement
hi def link systemtapProbe Keyword
hi def link systemtapDeclare StorageClass
hi def link systemtapDeclareFunction StorageClass
hi def link systemtapType Type
hi def link systemtapPrint Function
hi def link systemtapCall Function
hi def link systemtapFunctionName Function
hi def link systemtapTarget Identifier
hi def link systemtapArg PreProc
hi def link systemtapAt Operator
hi def link systemtapStat Function
hi def link systemtapMacro Macro
hi def link systemtapDefine Define
hi def link systemtapMacroName Macro
hi def link systemtapPoint Special
hi def link systemtapPreproc PreProc
hi def link systemtapPreCondition PreCondit
hi def link systemtapOperator Operator

let b:current_syntax = 'systemtap'

let &cpo = s:cpo
unlet s:cpo
