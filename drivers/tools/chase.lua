-- A ring of dependent loads for sysbench: every load needs the address that the one before it brought.
-- One random cycle over all nodes (Sattolo's shuffle, fixed seed); built before the clock starts; one event is `steps` loads.

local ffi = require("ffi")

ffi.cdef[[
void *mmap(void *, size_t, int, int, int, long);
int madvise(void *, size_t, int);
]]

sysbench.cmdline.options = {
  span = {"bytes that the ring spreads over", 64 * 1024 * 1024},
  stride = {"bytes from node to node", 64},
  steps = {"loads in one event", 20000},
  pages = {"default, small or huge (madvise)", "default"},
}

local ADVICE = {huge = 14, small = 15}
local ring, at, steps

function thread_init()
  local stride = sysbench.opt.stride / 4
  local count = math.floor(sysbench.opt.span / sysbench.opt.stride)
  local memory = ffi.C.mmap(nil, sysbench.opt.span, 3, 0x22, -1, 0)
  assert(ffi.cast("intptr_t", memory) ~= -1, "no memory for the ring")
  local advice = ADVICE[sysbench.opt.pages]
  if advice then
    assert(ffi.C.madvise(memory, sysbench.opt.span, advice) == 0, "the kernel refuses this size of pages")
  end
  ring = ffi.cast("int32_t *", memory)
  local order = ffi.new("int32_t[?]", count)
  for i = 0, count - 1 do order[i] = i end
  math.randomseed(1)
  for i = count - 1, 1, -1 do
    local j = math.random(0, i - 1)
    order[i], order[j] = order[j], order[i]
  end
  for i = 0, count - 1 do ring[i * stride] = order[i] * stride end
  at, steps = 0, sysbench.opt.steps
  print(string.format("ring of %d nodes, %d bytes apart", count, sysbench.opt.stride))
end

function event()
  local here, links = at, ring
  for _ = 1, steps do here = links[here] end
  at = here
end
