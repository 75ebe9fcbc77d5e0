package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// gossipLogger makes memberlist's logger out of ours.
func gossipLogger(l *slog.Logger) *log.Logger {
	return log.New(gossipLog{l}, "", 0)
}

// gossipLog turns the lines of memberlist, "[WARN] memberlist: ...", into
// records of the same level. Its errors are no more than warnings here: a peer
// that can't be reached is nothing to wake somebody for.
type gossipLog struct{ log *slog.Logger }

func (g gossipLog) Write(line []byte) (int, error) {
	level, text := slog.LevelInfo, bytes.TrimSpace(line)
	for prefix, l := range map[string]slog.Level{
		"[DEBUG] ": slog.LevelDebug,
		"[INFO] ":  slog.LevelInfo,
		"[WARN] ":  slog.LevelWarn,
		"[ERR] ":   slog.LevelWarn,
		"[ERROR] ": slog.LevelWarn,
	} {
		if rest, ok := bytes.CutPrefix(text, []byte(prefix)); ok {
			level, text = l, rest
		}
	}
	text = bytes.TrimPrefix(text, []byte("memberlist: "))
	g.log.Log(context.Background(), level, "gossip: "+string(text))
	return len(line), nil
}

const (
	// logBurst messages of one kind pass at once, and then one every logEvery.
	logBurst = 10
	logEvery = time.Second
	// maxLogKinds bounds the kinds that are told apart.
	maxLogKinds = 256
)

// throttled returns a logger that lets the messages of one kind pass only now and then:
// a peer that sends nonsense, or gossip that loses every packet, must not fill a disk. A
// kind is a level and what the message says before its first colon, so all of gossip is
// one at each level. The next that passes says how many didn't, as "suppressed".
func throttled(l *slog.Logger) *slog.Logger {
	return slog.New(throttle{l.Handler(), &logKinds{kinds: map[logKind]*logged{}}})
}

type throttle struct {
	slog.Handler
	kinds *logKinds
}

type logKinds struct {
	mu    sync.Mutex
	kinds map[logKind]*logged
}

type logKind struct {
	level slog.Level
	text  string
}

// logged is a token bucket: when it will be full again.
type logged struct {
	full       time.Time
	suppressed int
}

// Enabled is the user's Handler's, unless that panics.
func (t throttle) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return t.Handler.Enabled(ctx, level)
}

func (t throttle) Handle(ctx context.Context, r slog.Record) (err error) {
	defer func() {
		if p := recover(); p != nil { // what the user's handler does is no reason to stop
			err = fmt.Errorf("cluster: Config.Log: %v", p)
		}
	}()
	text, _, _ := strings.Cut(r.Message, ":")
	suppressed, ok := t.kinds.take(logKind{r.Level, text}, r.Time)
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return t.Handler.Handle(ctx, r)
}

// take says whether a message may pass, and how many of its kind didn't before.
func (k *logKinds) take(kind logKind, now time.Time) (suppressed int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.kinds[kind]
	if l == nil {
		if len(k.kinds) == maxLogKinds {
			clear(k.kinds)
		}
		l = &logged{}
		k.kinds[kind] = l
	}
	if l.full.Before(now) {
		l.full = now
	}
	if l.full.Sub(now) > (logBurst-1)*logEvery {
		l.suppressed++
		return 0, false
	}
	l.full = l.full.Add(logEvery)
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

// WithAttrs and WithGroup keep the limits.

func (t throttle) WithAttrs(attrs []slog.Attr) slog.Handler {
	return throttle{t.Handler.WithAttrs(attrs), t.kinds}
}

func (t throttle) WithGroup(name string) slog.Handler {
	return throttle{t.Handler.WithGroup(name), t.kinds}
}
