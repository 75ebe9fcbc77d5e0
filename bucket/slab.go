package bucket

import "math/bits"

// A slab keeps the logs of a table in blocks of 4 to 1024 times, in powers of
// two, so that entries stay of one size and without pointers. Blocks of a size
// lie up to 16 in a chunk of memory, which is given back when its last block is.
type slab struct {
	chunks []chunk
	bytes  int             // of all chunks
	unused []uint32        // numbers of chunks without memory
	open   [sizes][]uint32 // by size, chunks that may have a free block, in use from the end
}

// chunk is blocks of one size. Which are free is in the bits of free.
type chunk struct {
	times []int64
	free  uint16
	size  uint8
}

const (
	minBlock    = 4
	maxBlock    = maxLog
	sizes       = 9 // 4, 8, .. 1024
	chunkBlocks = 16
)

// sizeFor is the size of the smallest block for n times.
func sizeFor(n int) uint8 {
	return uint8(bits.Len(uint(max(n, minBlock)-1)) - bits.Len(minBlock-1))
}

func (c *chunk) blocks() int { return len(c.times) / (minBlock << c.size) }

// allocate returns the handle of a free block.
func (s *slab) allocate(size uint8) uint32 {
	number, ok := s.openChunk(size)
	if !ok {
		number = s.add(size)
	}
	c := &s.chunks[number]
	slot := bits.TrailingZeros16(c.free)
	if c.free &^= 1 << slot; c.free == 0 {
		s.open[size] = s.open[size][:len(s.open[size])-1]
	}
	return number*chunkBlocks + uint32(slot)
}

// openChunk finds a chunk with a free block, and drops those before it that have
// gone meanwhile. None is in a list twice: a number is entered when its last free
// block has been taken and one comes back, or for a size that has none left.
func (s *slab) openChunk(size uint8) (number uint32, ok bool) {
	for list := s.open[size]; len(list) > 0; list = list[:len(list)-1] {
		s.open[size] = list
		number = list[len(list)-1]
		if c := &s.chunks[number]; c.times != nil && c.size == size && c.free != 0 {
			return number, true
		}
	}
	s.open[size] = s.open[size][:0]
	return 0, false
}

// add makes a new chunk.
func (s *slab) add(size uint8) (number uint32) {
	if last := len(s.unused) - 1; last >= 0 {
		number, s.unused = s.unused[last], s.unused[:last]
	} else {
		number = uint32(len(s.chunks))
		s.chunks = append(s.chunks, chunk{})
	}
	block := minBlock << size
	blocks := min(chunkBlocks, maxBlock/block)
	s.chunks[number] = chunk{times: make([]int64, blocks*block), free: uint16(1<<blocks - 1), size: size}
	s.bytes += 8 * blocks * block
	s.open[size] = append(s.open[size], number)
	return number
}

// release gives a block back.
func (s *slab) release(handle uint32) {
	number, slot := handle/chunkBlocks, handle%chunkBlocks
	c := &s.chunks[number]
	full := c.free == 0
	switch c.free |= 1 << slot; {
	case bits.OnesCount16(c.free) == c.blocks():
		s.bytes -= 8 * len(c.times)
		*c = chunk{}
		s.unused = append(s.unused, number)
	case full:
		s.open[c.size] = append(s.open[c.size], number)
	}
}

// block is the memory of a handle.
func (s *slab) block(handle uint32) []int64 {
	c := &s.chunks[handle/chunkBlocks]
	size := minBlock << c.size
	start := int(handle%chunkBlocks) * size
	return c.times[start : start+size : start+size]
}
