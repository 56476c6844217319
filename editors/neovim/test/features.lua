-- Drives every feature of the server through Neovim, without a screen. Run by
-- internal/editors; STAPLSP names the server, VMLINUX the types to show.
local failures = 0

local function check(name, ok, got)
  if ok then
    print('ok   ' .. name .. '\n')
  else
    failures = failures + 1
    print('FAIL ' .. name .. ': ' .. vim.inspect(got) .. '\n')
  end
end

local function contains(text, part)
  return type(text) == 'string' and text:find(part, 1, true) ~= nil
end

local stapkit = require('stapkit')
stapkit.setup({
  cmd = { vim.env.STAPLSP, '--stdio', '--log', vim.env.STAPLSP_LOG },
  settings = { target = vim.env.VMLINUX },
  timeout = 60000, -- of a machine that is slow
})

-- Filetypes ---------------------------------------------------------------
local function filetype(name, text)
  local path = vim.fn.getcwd() .. '/' .. name
  vim.fn.writefile(vim.split(text, '\n'), path)
  vim.cmd('edit ' .. vim.fn.fnameescape(path))
  return vim.bo.filetype
end

stapkit.options.enable = false
check('filetype of SQL', filetype('proc.stp', 'CREATE PROCEDURE x AS\nBEGIN\n  SELECT 1\nEND') ~= 'systemtap', vim.bo.filetype)
check('filetype of a script', filetype('one.stp', '# text\nprobe begin { exit() }') == 'systemtap', vim.bo.filetype)
check('filetype of a comment', filetype('two.stp', '/* create procedure\n*/\nglobal x') == 'systemtap', vim.bo.filetype)
check('filetype of macros', filetype('three.stpm', '@define x %( 1 %)') == 'systemtap', vim.bo.filetype)
check('filetype by first line', filetype('four', '#!/usr/bin/env stap\nprobe begin {}') == 'systemtap', vim.bo.filetype)
stapkit.options.enable = true

-- Indentation -------------------------------------------------------------
local function indented(lines)
  vim.cmd('enew!')
  vim.bo.filetype = 'systemtap'
  vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
  vim.cmd('normal! gg=G')
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
end
stapkit.options.enable = false
local want = 'probe begin {\n\tif (1)\n\t\tprintln(1)\n\telse {\n\t\tx = 2 # {\n\t}\n\tforeach (k in a) {\n\t\tprintln("{",\n\t\t\tk)\n\t}\n}\nfunction f() {\n\treturn 1\n}'
local got = indented(vim.split(want:gsub('\t', ''), '\n'))
check('indentation', got == want, got)
vim.cmd('bwipeout!')
stapkit.options.enable = true

-- Colours -----------------------------------------------------------------
vim.cmd('syntax on')
local function colour(line, column)
  return vim.fn.synIDattr(vim.fn.synID(line, column, 1), 'name')
end

-- The script --------------------------------------------------------------
local script = [[
// How much is read.
global reads

function twice(n) {
	return n * 2
}

probe kernel.function("vfs_read") {
	reads[execname()] <<< $count
	println($file->f_pos, twice(1))
	println($nope)
}

probe end {
	foreach (name in reads- limit 5) printf("%s %d\n", name, @sum(reads[name]))
}]]
vim.fn.writefile(vim.split(script, '\n'), 'script.stp')
vim.cmd('edit script.stp')
local buf = vim.api.nvim_get_current_buf()
vim.wait(60000, function()
  return stapkit.client(buf) ~= nil and #vim.diagnostic.get(buf) > 0
end, 10)
check('colour of probe', colour(8, 1) == 'systemtapProbe', colour(8, 1))
check('colour of a point', colour(8, 8) == 'systemtapPoint', colour(8, 8))
check('colour of a target variable', colour(9, 25) == 'systemtapTarget', colour(9, 25))
check('colour of a directive', colour(15, 44) == 'systemtapFormat', colour(15, 44))
check('the server is attached', stapkit.client(buf) ~= nil)

local ds = vim.diagnostic.get(buf)
check('diagnostics', #ds == 1 and ds[1].lnum == 10 and contains(ds[1].message, 'nope'), ds)

local uri = vim.uri_from_bufnr(buf)
local function at(line, character)
  return { textDocument = { uri = uri }, position = { line = line, character = character } }
end
local function ask(method, params)
  local result, err = stapkit.request(method, params, buf)
  if err then
    return { error = err }
  end
  return result
end

-- Hover, in its window.
vim.api.nvim_win_set_cursor(0, { 10, 17 })
vim.lsp.buf.hover()
local float
vim.wait(60000, function()
  for _, w in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_get_config(w).relative ~= '' then
      float = w
    end
  end
  return float ~= nil
end, 10)
local text = float and table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(float), 0, -1, false), '\n')
check('hover', contains(text, 'loff_t f_pos'), text)
if float then
  vim.api.nvim_win_close(float, true)
end

-- Completion through 'omnifunc'.
vim.api.nvim_buf_set_lines(buf, 10, 11, false, { '\tprintln($file->f_i)' })
vim.api.nvim_win_set_cursor(0, { 11, 19 })
check('omnifunc', contains(vim.bo.omnifunc, 'lsp.omnifunc'), vim.bo.omnifunc)
local items = ask('textDocument/completion', at(10, 19))
local labels = {}
for _, it in ipairs(items.items or {}) do
  table.insert(labels, it.label)
end
check('completion', vim.tbl_contains(labels, 'f_inode'), labels)
local resolved = ask('completionItem/resolve', items.items and items.items[1] or {})
check('completion resolve', resolved and resolved.label ~= nil and resolved.documentation ~= nil, resolved)
vim.api.nvim_buf_set_lines(buf, 10, 11, false, { '\tprintln(reads["x"] == 1)' })

-- Definition, with the real jump.
vim.api.nvim_win_set_cursor(0, { 10, 24 })
vim.lsp.buf.definition()
vim.wait(60000, function()
  return vim.api.nvim_win_get_cursor(0)[1] == 4
end, 10)
check('definition', vim.api.nvim_win_get_cursor(0)[1] == 4, vim.api.nvim_win_get_cursor(0))

-- Definition in the library: a virtual document.
vim.api.nvim_win_set_cursor(0, { 9, 9 })
vim.lsp.buf.definition()
vim.wait(60000, function()
  return vim.api.nvim_get_current_buf() ~= buf
end, 10)
local name = vim.api.nvim_buf_get_name(0)
local first = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
check('library document', contains(name, 'stapkit:///tapset/context.stp') and contains(first, 'function execname'), { name, #first })
vim.api.nvim_set_current_buf(buf)

local type_definition = ask('textDocument/typeDefinition', at(9, 11))
check('type definition', type_definition[1] and contains(type_definition[1].uri, 'struct_file'), type_definition)
local content = stapkit.execute('stapkit.content', type_definition[1] and type_definition[1].uri or '')
check('type document', contains(content, 'struct file {'), content)

-- Signature help.
local sig = ask('textDocument/signatureHelp', at(9, 30))
check('signature help', sig and sig.signatures and contains(sig.signatures[1].label, 'twice:long(n:long)'), sig)

-- References and highlights.
local refs = ask('textDocument/references', vim.tbl_extend('force', at(1, 8), { context = { includeDeclaration = true } }))
check('references', #refs == 5, refs)
local marks = ask('textDocument/documentHighlight', at(1, 8))
check('document highlight', #marks == 5, marks)

-- Rename, as a person does it.
check('prepare rename', (ask('textDocument/prepareRename', at(3, 10)) or {}).placeholder == 'twice')
vim.api.nvim_win_set_cursor(0, { 4, 10 })
vim.lsp.buf.rename('double')
vim.wait(60000, function()
  return contains(vim.api.nvim_buf_get_lines(buf, 9, 10, false)[1], 'double')
end, 10)
check('rename', contains(table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), '\n'), 'double(1)'), vim.api.nvim_buf_get_lines(buf, 0, -1, false))

-- Symbols.
local symbols = ask('textDocument/documentSymbol', { textDocument = { uri = uri } })
check('document symbols', #symbols == 4 and symbols[2].name == 'double', symbols)
local found = ask('workspace/symbol', { query = 'double' })
check('workspace symbols', found[1] and found[1].name == 'double', found)

-- What this Neovim may have no window for.
check('folding', #ask('textDocument/foldingRange', { textDocument = { uri = uri } }) >= 3)
check('selection range', (ask('textDocument/selectionRange', { textDocument = { uri = uri }, positions = { { line = 9, character = 12 } } })[1] or {}).parent ~= nil)
local tokens = ask('textDocument/semanticTokens/full', { textDocument = { uri = uri } })
check('semantic tokens', tokens and #tokens.data > 50 and #tokens.data % 5 == 0, tokens)
local delta = ask('textDocument/semanticTokens/full/delta', { textDocument = { uri = uri }, previousResultId = tokens.resultId })
check('semantic tokens delta', delta and delta.edits and #delta.edits == 0, delta)
local range = { start = { line = 0, character = 0 }, ['end'] = { line = 8, character = 0 } }
check('semantic tokens range', #ask('textDocument/semanticTokens/range', { textDocument = { uri = uri }, range = range }).data < #tokens.data)
local hints = ask('textDocument/inlayHint', { textDocument = { uri = uri }, range = range })
check('inlay hints', hints[1] and contains(hints[1].label, 'stats'), hints)
local lenses = ask('textDocument/codeLens', { textDocument = { uri = uri } })
check('code lens', #lenses == 4 and contains(lenses[3].command.title, 'matches 1'), lenses)
local hierarchy = ask('textDocument/prepareCallHierarchy', at(3, 10))
local incoming = hierarchy[1] and ask('callHierarchy/incomingCalls', { item = hierarchy[1] }) or {}
check('call hierarchy', incoming[1] and contains(incoming[1].from.name, 'vfs_read'), incoming)
local outgoing = ask('callHierarchy/outgoingCalls', { item = incoming[1] and incoming[1].from })
check('outgoing calls', #outgoing >= 1, outgoing)
check('document links', type(ask('textDocument/documentLink', { textDocument = { uri = uri } })) == 'table')

-- Formatting.
vim.api.nvim_buf_set_lines(buf, 4, 5, false, { '  return   n*2' })
if vim.lsp.buf.format then
  vim.lsp.buf.format({ async = false, timeout_ms = 60000 })
else
  vim.lsp.buf.formatting_sync(nil, 60000)
end
check('formatting', vim.api.nvim_buf_get_lines(buf, 4, 5, false)[1] == '\treturn n * 2', vim.api.nvim_buf_get_lines(buf, 4, 5, false))
local edits = ask('textDocument/rangeFormatting', { textDocument = { uri = uri }, range = range, options = { tabSize = 8, insertSpaces = false } })
check('range formatting', type(edits) == 'table' and edits.error == nil, edits)
local ontype = ask('textDocument/onTypeFormatting', vim.tbl_extend('force', at(5, 1), { ch = '}', options = { tabSize = 8, insertSpaces = false } }))
check('on-type formatting', type(ontype) == 'table' and ontype.error == nil, ontype)

-- A code action, applied.
vim.api.nvim_buf_set_lines(buf, 10, 11, false, { '\tprintln($nope)' })
vim.wait(60000, function()
  return #vim.diagnostic.get(buf) > 0
end, 10)
local actions = ask('textDocument/codeAction', {
  textDocument = { uri = uri },
  range = { start = { line = 10, character = 10 }, ['end'] = { line = 10, character = 10 } },
  context = { diagnostics = {} },
})
local defined
for _, a in ipairs(actions) do
  if contains(a.title, '@defined') then
    defined = defined or a
  end
end
check('code actions', defined ~= nil, actions)
if defined then
  local encoding = (stapkit.client(buf) or {}).offset_encoding
  vim.lsp.util.apply_workspace_edit(defined.edit, encoding)
  local line = vim.api.nvim_buf_get_lines(buf, 10, 11, false)[1]
  check('code action applied', contains(line, '@defined($nope)'), line)
end

-- Targets.
local targets = stapkit.execute('stapkit.targets')
check('targets', targets and #targets.targets >= 2, targets)
local status, err = stapkit.execute('stapkit.chooseTarget', 'none')
check('choose target', status and status.target == '', { status, err })
status = stapkit.execute('stapkit.chooseTarget', vim.env.VMLINUX)
check('choose target again', status and contains(status.target, 'vmlinux'), status)
check('wrong target', stapkit.execute('stapkit.chooseTarget', '/no/such/file') == nil)
check('matches', #(stapkit.execute('stapkit.matches', uri, 'kernel.function("vfs_*")') or {}) == 4)
check('probe at a line', stapkit.execute('stapkit.probeAt', uri, 9) == 'kernel.function("vfs_read")', stapkit.execute('stapkit.probeAt', uri, 9))
vim.api.nvim_win_set_cursor(0, { 10, 2 })
vim.cmd('StapMatches')
check('matches at the cursor', #vim.fn.getqflist() == 1 and contains(vim.fn.getqflist()[1].text, 'vfs_read'), vim.fn.getqflist())
vim.cmd('cclose')
check('status', contains(stapkit.status(), 'vmlinux'), stapkit.status())

-- Newer versions of Neovim have configurations by name.
do
  local given = {}
  local config, enable = vim.lsp.config, vim.lsp.enable
  vim.lsp.config, vim.lsp.enable = function(name, c)
    given.name, given.config = name, c
  end, function() end
  stapkit.setup({})
  vim.lsp.config, vim.lsp.enable = config, enable
  check('configuration by name', given.name == 'stapkit' and given.config.filetypes[1] == 'systemtap' and given.config.cmd[1] == vim.env.STAPLSP, given)
  local file = dofile(vim.env.PLUGIN .. '/lsp/stapkit.lua')
  check('lsp/stapkit.lua', file.cmd[1] == vim.env.STAPLSP and file.root_dir == nil and file.root_markers[1] == 'stapkit.toml', file)
end

-- Health.
vim.cmd('checkhealth stapkit')
local health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
check('health', contains(health, 'the server is running'), health)

-- Help.
vim.cmd('helptags ' .. vim.env.PLUGIN .. '/doc')
check('help', pcall(vim.cmd, 'help stapkit-options'))

print(failures == 0 and 'all features work\n' or failures .. ' failures\n')
vim.cmd(failures == 0 and 'qall!' or 'cquit!')
