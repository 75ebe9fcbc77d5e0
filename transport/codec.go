package transport

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
)

// frame is a message on its way: bytes from a pool, to which gRPC returns them
// once they are written, or from the heap where they are few.
type frame struct {
	out *[]byte    // to send
	in  mem.Buffer // received; free it after the last read
}

const (
	// leastBuffer is the size of the smallest buffers in a pool; gRPC returns none of
	// less than a KiB. Each tier has four times as many bytes, up to 256 KiB.
	leastBuffer = 4 << 10
	tiers       = 4
)

// pool recycles buffers for frames. gRPC's own clears them, from 32 KiB on with a
// megabyte each, as it can't know that they are written from end to end.
type pool struct{ tiers [tiers]sync.Pool }

// Get returns a buffer of that length, with whatever was in it.
func (p *pool) Get(length int) *[]byte {
	for i, size := 0, leastBuffer; i < tiers; i, size = i+1, 4*size {
		if length > size {
			continue
		}
		if b, ok := p.tiers[i].Get().(*[]byte); ok {
			*b = (*b)[:length]
			return b
		}
		b := make([]byte, length, size)
		return &b
	}
	b := make([]byte, length)
	return &b
}

// Put takes back a buffer.
func (p *pool) Put(b *[]byte) {
	for i, size := 0, leastBuffer; i < tiers; i, size = i+1, 4*size {
		if cap(*b) == size {
			p.tiers[i].Put(b)
			return
		}
	}
}

// plainFrame is of the heap.
func plainFrame(size int) *frame {
	b := make([]byte, size)
	return &frame{out: &b}
}

// rawCodec passes frames through as they are. Their bytes are a protobuf
// message already, so the content type may say proto.
type rawCodec struct{ pool *pool }

func (rawCodec) Name() string { return "proto" }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("transport: can't marshal a %T", v)
	}
	return mem.BufferSlice{mem.NewBuffer(f.out, c.pool)}, nil
}

func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("transport: can't unmarshal a %T", v)
	}
	f.in = data.MaterializeToBuffer(c.pool)
	return nil
}
