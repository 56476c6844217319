--- SystemTap in Neovim: the language server staplsp, commands, virtual documents.
--- Works from Neovim 0.7; newer ones are used as they want to be.
local M = {}

local defaults = {
  --- The server's command line; nil finds staplsp in $PATH.
  cmd = nil,
  --- Settings of the server, see docs/staplsp.md.
  settings = {},
  --- Commands that :StapRun and :StapBuild use; lists where they have arguments.
  stap = 'stap',
  stapc = 'stapc',
  --- How long an answer is waited for, in milliseconds.
  timeout = 5000,
  --- Called with client and buffer when the server is attached.
  on_attach = nil,
  --- Capabilities of a completion plugin.
  capabilities = nil,
  --- false starts no server.
  enable = true,
}

M.options = vim.deepcopy(defaults)

--- Choose options. Later calls change earlier ones.
function M.setup(options)
  M.options = vim.tbl_deep_extend('force', M.options, options or {})
  if vim.lsp.config and vim.lsp.enable then
    vim.lsp.config('stapkit', M.config(nil))
  end
end

local function now(name)
  return M.options[name]
end

--- The server's command line, nil when there is none.
function M.command()
  if M.options.cmd then
    return M.options.cmd
  end
  if vim.fn.executable('staplsp') == 1 then
    return { 'staplsp', '--stdio' }
  end
end

--- The folder that a script's project begins at.
function M.root(buf)
  local dir = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buf), ':p:h')
  local start = dir
  while true do
    for _, mark in ipairs({ 'stapkit.toml', '.git' }) do
      local path = dir .. '/' .. mark
      if vim.fn.filereadable(path) == 1 or vim.fn.isdirectory(path) == 1 then
        return dir
      end
    end
    local up = vim.fn.fnamemodify(dir, ':h')
    if up == dir then
      return start
    end
    dir = up
  end
end

--- The client's configuration for a buffer.
function M.config(buf)
  local capabilities = now('capabilities') or vim.lsp.protocol.make_client_capabilities()
  return {
    name = 'stapkit',
    cmd = M.command(),
    filetypes = { 'systemtap' },
    root_markers = { 'stapkit.toml', '.git' },
    root_dir = buf and M.root(buf) or nil,
    capabilities = capabilities,
    settings = { stapkit = now('settings') },
    init_options = { settings = now('settings'), virtualDocuments = true, lensCommands = true },
    on_attach = function(client, bufnr)
      M.commands(bufnr)
      -- Newer versions of Neovim do so by themselves.
      if vim.api.nvim_buf_get_option(bufnr, 'omnifunc') == '' then
        vim.api.nvim_buf_set_option(bufnr, 'omnifunc', 'v:lua.vim.lsp.omnifunc')
      end
      if vim.api.nvim_buf_get_option(bufnr, 'tagfunc') == '' and vim.lsp.tagfunc then
        vim.api.nvim_buf_set_option(bufnr, 'tagfunc', 'v:lua.vim.lsp.tagfunc')
      end
      if now('on_attach') then
        now('on_attach')(client, bufnr)
      end
    end,
  }
end

local clients = {} -- by root, for Neovim before 0.8

-- Whether Neovim itself starts the server, because of vim.lsp.enable('stapkit').
local function enabled()
  if vim.lsp.is_enabled then -- 0.12
    return vim.lsp.is_enabled('stapkit')
  end
  return rawget(vim.lsp, '_enabled_configs') ~= nil and vim.lsp._enabled_configs.stapkit ~= nil -- 0.11
end

--- Start the server for a buffer, or join the one that runs.
function M.attach(buf)
  if not M.options.enable or enabled() or vim.api.nvim_buf_get_option(buf, 'buftype') ~= '' then
    return
  end
  local cmd = M.command()
  if not cmd then
    vim.notify_once('stapkit: staplsp is not in $PATH; :checkhealth stapkit tells more', vim.log.levels.WARN)
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    vim.notify_once('stapkit: ' .. cmd[1] .. ' cannot be run', vim.log.levels.WARN)
    return
  end
  local config = M.config(buf)
  if vim.lsp.start then -- 0.8
    config.root_markers, config.filetypes = nil, nil
    vim.lsp.start(config, { bufnr = buf })
    return
  end
  local id = clients[config.root_dir]
  if not (id and vim.lsp.get_client_by_id(id)) then
    config.workspace_folders = { { uri = vim.uri_from_fname(config.root_dir), name = config.root_dir } }
    id = vim.lsp.start_client(config)
    clients[config.root_dir] = id
  end
  if id then
    vim.lsp.buf_attach_client(buf, id)
  end
end

--- The client of a buffer, or any that runs.
function M.client(buf)
  local get = vim.lsp.get_clients or vim.lsp.get_active_clients
  local first
  for _, c in ipairs(get()) do
    if c.name == 'stapkit' then
      if buf and vim.lsp.buf_is_attached(buf, c.id) then
        return c
      end
      first = first or c
    end
  end
  return first
end

--- Ask the server and wait.
function M.request(method, params, buf, timeout)
  local client = M.client(buf)
  if not client then
    return nil, 'the language server is not running'
  end
  local answer, err
  local done = false
  local handler = function(e, result)
    err, answer, done = e, result, true
  end
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, handler, buf or 0)
  else
    client.request(method, params, handler, buf or 0)
  end
  vim.wait(timeout or now('timeout'), function()
    return done
  end, 5)
  if not done then
    return nil, 'no answer in time'
  end
  if err then
    return nil, err.message or vim.inspect(err)
  end
  return answer
end

--- Run one of the server's commands.
function M.execute(command, ...)
  return M.request('workspace/executeCommand', { command = command, arguments = { ... } })
end

--- Fill a buffer with a virtual document.
function M.read(buf, uri)
  local text, err = M.execute('stapkit.content', uri)
  if not text then
    text = 'This document cannot be shown: ' .. tostring(err)
  end
  vim.api.nvim_buf_set_option(buf, 'modifiable', true)
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, vim.split((text:gsub('\n$', '')), '\n'))
  vim.api.nvim_buf_set_option(buf, 'modified', false)
  vim.api.nvim_buf_set_option(buf, 'modifiable', false)
  vim.api.nvim_buf_set_option(buf, 'buftype', 'nofile')
  vim.api.nvim_buf_set_option(buf, 'swapfile', false)
  local kind = 'systemtap'
  if uri:match('%.md$') then
    kind = 'markdown'
  elseif uri:match('%.h$') then
    kind = 'c'
  end
  vim.api.nvim_buf_set_option(buf, 'filetype', kind)
end

local function terminal(cmd)
  vim.cmd('botright 15split')
  vim.cmd('enew')
  vim.fn.termopen(cmd)
  vim.cmd('startinsert')
end

-- The command line of a tool, which options may give with arguments.
local function tool(name, ...)
  local cmd = now(name)
  return vim.list_extend(type(cmd) == 'table' and vim.deepcopy(cmd) or { cmd }, { ... })
end

local function file(buf)
  local name = vim.api.nvim_buf_get_name(buf)
  if name == '' then
    vim.notify('stapkit: save the script first', vim.log.levels.WARN)
    return nil
  end
  if vim.api.nvim_buf_get_option(buf, 'modified') then
    vim.cmd('update')
  end
  return name
end

--- Run the script of a buffer in a terminal.
function M.run(buf, args)
  local name = file(buf)
  if name then
    terminal(vim.list_extend(tool('stap', name), args or {}))
  end
end

--- Build a bundle of the script of a buffer.
function M.build(buf, args)
  local name = file(buf)
  if name then
    local out = vim.fn.fnamemodify(name, ':r') .. '.o'
    terminal(vim.list_extend(tool('stapc', '-o', out, name), args or {}))
  end
end

--- List what probe points match, without any those of the probe at the cursor.
function M.matches(buf, points)
  if not points or points == '' then
    points = M.execute('stapkit.probeAt', vim.uri_from_bufnr(buf), vim.api.nvim_win_get_cursor(0)[1] - 1)
    if not points or points == '' then
      vim.notify('stapkit: there is no probe here', vim.log.levels.WARN)
      return
    end
  end
  local list, err = M.execute('stapkit.matches', vim.uri_from_bufnr(buf), points)
  if not list then
    vim.notify('stapkit: ' .. tostring(err), vim.log.levels.WARN)
    return
  end
  local items = {}
  for _, line in ipairs(list) do
    table.insert(items, { text = line })
  end
  vim.fn.setqflist({}, ' ', { title = 'probes ' .. points, items = items })
  vim.cmd('copen')
end

--- Choose the kernel whose functions and types are shown.
function M.target(spec)
  local function choose(choice)
    if not choice then
      return
    end
    local status, err = M.execute('stapkit.chooseTarget', choice)
    if status then
      vim.notify('stapkit: ' .. (status.target ~= '' and status.target or 'no target'))
    else
      vim.notify('stapkit: ' .. tostring(err), vim.log.levels.ERROR)
    end
  end
  if spec and spec ~= '' then
    return choose(spec)
  end
  local list, err = M.execute('stapkit.targets')
  if not list then
    vim.notify('stapkit: ' .. tostring(err), vim.log.levels.WARN)
    return
  end
  vim.ui.select(list.targets, { prompt = 'Target (now: ' .. (list.current == '' and 'running' or list.current) .. ')' }, choose)
end

--- What a status line can show: the target in use.
function M.status()
  local client = M.client()
  if not client then
    return ''
  end
  local status = M.execute('stapkit.status')
  return status and status.target or ''
end

--- Commands of a buffer with the server.
function M.commands(buf)
  local add = function(name, f, opts)
    vim.api.nvim_buf_create_user_command(buf, name, f, opts or {})
  end
  add('StapRun', function(a)
    M.run(buf, a.fargs)
  end, { nargs = '*', desc = 'run the script in a terminal' })
  add('StapBuild', function(a)
    M.build(buf, a.fargs)
  end, { nargs = '*', desc = 'build a bundle' })
  add('StapTarget', function(a)
    M.target(a.args)
  end, { nargs = '?', complete = 'file', desc = 'choose the kernel whose types are shown' })
  add('StapMatches', function(a)
    M.matches(buf, a.args)
  end, { nargs = '?', desc = 'list what a probe point matches' })
  add('StapStatus', function()
    print(vim.inspect(M.execute('stapkit.status')))
  end, { desc = 'show the target in use' })
end

-- What code lenses run.
if vim.lsp.commands then
  vim.lsp.commands['stapkit.run'] = function(command)
    M.run(vim.uri_to_bufnr(command.arguments[1]))
  end
  vim.lsp.commands['stapkit.build'] = function(command)
    M.build(vim.uri_to_bufnr(command.arguments[1]))
  end
  vim.lsp.commands['stapkit.showMatches'] = function(command)
    M.matches(vim.uri_to_bufnr(command.arguments[1]), command.arguments[2])
  end
end

return M
