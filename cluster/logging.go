package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"
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
