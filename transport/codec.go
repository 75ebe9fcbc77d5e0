package transport

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is a message on its way: bytes from a pool, to which gRPC returns them
// once they are written, or from the heap where they are few.
type frame struct {
	out *[]byte    // to send
	in  mem.Buffer // received; free it after the last read
}

// newFrame takes size bytes from the pool. They hold whatever was in them.
func newFrame(size int) *frame {
	return &frame{out: mem.DefaultBufferPool().Get(size)}
}

// rawCodec passes frames through as they are. Their bytes are a protobuf
// message already, so the content type may say proto.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("transport: can't marshal a %T", v)
	}
	return mem.BufferSlice{mem.NewBuffer(f.out, mem.DefaultBufferPool())}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("transport: can't unmarshal a %T", v)
	}
	f.in = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
