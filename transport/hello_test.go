package transport_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// logbook is what a peer logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logTo makes a peer log its warnings, or more, into l.
func logTo(l *logbook, level slog.Level) func(*transport.PeerConfig) {
	return func(c *transport.PeerConfig) {
		c.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
	}
}

// Replicas that don't belong together refuse each other: with one warning that
// says what differs, without a hit decided, and without spinning.
func TestHelloMismatch(t *testing.T) {
	tests := []struct {
		name  string
		owner transport.Hello
		want  string
	}{
		{"cluster", transport.Hello{Cluster: "other", Fingerprint: 7, Boot: 1}, `cluster \"test\"`},
		{"no cluster", transport.Hello{Fingerprint: 7, Boot: 1}, `cluster \"test\"`},
		{"digest key", transport.Hello{Cluster: "test", Fingerprint: 8, Boot: 1}, "DigestKey"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				owner := &echo{w: w}
				w.serve(owner, tt.owner)
				var log logbook
				peer := w.dial(logTo(&log, slog.LevelInfo))
				for range 100 {
					w.ask(peer, 1, transport.ErrUnavailable)
					if peer.Condition().Connected {
						t.Fatal("connected")
					}
					time.Sleep(100 * time.Millisecond)
				}
				if n := w.dials.Load(); n < 7 || n > 25 {
					t.Errorf("%d attempts in 10 s", n)
				}
				if n := owner.decided.Load(); n != 0 {
					t.Errorf("%d hits were decided", n)
				}
				if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "WARN") || !strings.Contains(text, tt.want) {
					t.Errorf("logged\n%swant one warning with %q", text, tt.want)
				}
			})
		})
	}
}

// Cluster names are free text.
func TestHelloWithStrangeName(t *testing.T) {
	bubble(t, func(w *world) {
		strange := transport.Hello{Cluster: "\x00\xff größe\r\n", Fingerprint: 1<<64 - 1, Boot: 1<<64 - 1}
		w.serve(&echo{w: w}, strange)
		w.ask(w.dial(func(c *transport.PeerConfig) { c.Hello = strange }), 1)
	})
}

// A peer that goes and comes back is worth a line each time, not one for every
// attempt.
func TestLogOfAPeerThatGoes(t *testing.T) {
	bubble(t, func(w *world) {
		var log logbook
		w.serve(&echo{w: w}, hello)
		peer := w.dial(logTo(&log, slog.LevelInfo))
		for i := range 3 {
			w.connects(peer, 2*time.Second)
			time.Sleep(10 * time.Second)
			w.owner.Kill()
			time.Sleep(20 * time.Second)
			w.owner.Restart()
			w.serve(&echo{w: w}, hello)
			text := log.String()
			if broke, gone := strings.Count(text, "stream to peer broke"), strings.Count(text, "can't reach peer"); broke != i+1 || gone != i+1 {
				t.Fatalf("logged\n%swant one line of a broken stream and one of a peer gone for each of %d times", text, i+1)
			}
		}
	})
}
