--- :checkhealth stapkit
local M = {}

local h = vim.health or require('health')
local start = h.start or h.report_start
local ok = h.ok or h.report_ok
local info = h.info or h.report_info
local warn = h.warn or h.report_warn
local err = h.error or h.report_error

function M.check()
  local stapkit = require('stapkit')
  start('stapkit')
  local cmd = stapkit.command()
  if not cmd then
    err('staplsp is not in $PATH', { 'install stapkit', "or name it: require('stapkit').setup({cmd = {'/path/to/staplsp'}})" })
  elseif vim.fn.executable(cmd[1]) == 0 then
    err(cmd[1] .. ' cannot be run')
  else
    local version = vim.fn.system({ cmd[1], '--version' })
    if vim.v.shell_error == 0 then
      ok(vim.trim(version))
    else
      err(cmd[1] .. ' --version fails: ' .. vim.trim(version))
    end
  end
  for _, tool in ipairs({ 'stapfmt', 'staplint', 'stapc' }) do
    if vim.fn.executable(tool) == 1 then
      ok(tool .. ' is in $PATH')
    else
      info(tool .. ' is not in $PATH; the editor works without it')
    end
  end
  local client = stapkit.client()
  if not client then
    info('the server is not running; it starts with the first script')
    return
  end
  ok('the server is running')
  local status, e = stapkit.execute('stapkit.status')
  if not status then
    err('the server does not answer: ' .. tostring(e))
  elseif status.target ~= '' then
    ok('target: ' .. status.target)
    for _, note in ipairs(status.notes or {}) do
      info(note)
    end
  else
    warn('no target: kernel functions and types are not known', { 'set stapkit.target to a BTF file or a host description (staprun --describe)', 'or :StapTarget FILE' })
  end
end

return M
