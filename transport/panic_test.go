package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

// A panic while a frame is sent reaches whoever asked, and not the whole process, as
// it would by unlocking a mutex twice. The next frame goes out.
func TestAPanicWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := still()
		frames := 0
		p.on(newLink(t, func(*link, []byte) {
			if frames++; frames == 1 {
				panic("send")
			}
		}))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nothing panics")
				}
			}()
			_, _ = p.put(hit(1), time.Hour)
		}()
		if !p.mu.TryLock() {
			t.Fatal("the mutex is still held")
		}
		if p.sending {
			t.Error("nothing would be sent any more")
		}
		p.mu.Unlock()
	})
}
