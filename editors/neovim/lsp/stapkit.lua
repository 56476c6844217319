-- For vim.lsp.enable('stapkit') of Neovim 0.11 and newer. The plugin starts the server by
-- itself as well; both are the same client.
local config = require('stapkit').config(nil)
config.root_dir = nil -- root_markers tell it
return config
