-- POST /events with an NDJSON body whose events have other ids in each request.
-- Called as: wrk ... -s bench/post-fresh-body.lua URL -- BODY_FILE RUN_ID
-- The body has `@` in each id, and nowhere else.

dofile(debug.getinfo(1, "S").source:match("^@(.*)/") .. "/wrk-result.lua")

local head
local pieces = {}
local run
local sent = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  run = args[2]
  for piece in (body .. "@"):gmatch("([^@]*)@") do
    pieces[#pieces + 1] = piece
  end
  local first = table.concat(pieces, run .. string.format("%010d", 0))
  local request = wrk.format("POST", "/events", { ["Content-Type"] = "application/x-ndjson" }, first)
  head = request:sub(1, #request - #first)
end

function request()
  sent = sent + 1
  return head .. table.concat(pieces, run .. string.format("%010d", sent))
end
