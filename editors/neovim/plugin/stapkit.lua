-- Starts with Neovim, once. require('stapkit').setup() is needed only to choose
-- something; without it the defaults count.
if vim.g.loaded_stapkit then
  return
end
vim.g.loaded_stapkit = true

vim.api.nvim_create_autocmd('FileType', {
  pattern = 'systemtap',
  callback = function(args)
    require('stapkit').attach(args.buf)
  end,
})

-- Documents of the embedded library, pages of diagnostic codes, C types.
vim.api.nvim_create_autocmd('BufReadCmd', {
  pattern = 'stapkit://*',
  callback = function(args)
    require('stapkit').read(args.buf, args.match)
  end,
})
