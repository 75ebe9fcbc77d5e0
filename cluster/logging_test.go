package cluster

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestGossipLogsAtItsLevels(t *testing.T) {
	for line, want := range map[string]string{
		"[DEBUG] memberlist: Stream connection from=10.0.0.1\n": `level=DEBUG msg="gossip: Stream connection from=10.0.0.1"` + "\n",
		"[INFO] memberlist: Suspect a has failed":               `level=INFO msg="gossip: Suspect a has failed"` + "\n",
		"[WARN] memberlist: Refuting a dead message":            `level=WARN msg="gossip: Refuting a dead message"` + "\n",
		"[ERR] memberlist: Failed to send gossip":               `level=WARN msg="gossip: Failed to send gossip"` + "\n",
		"[ERROR] Failed to shutdown":                            `level=WARN msg="gossip: Failed to shutdown"` + "\n",
		"a line of no level":                                    `level=INFO msg="gossip: a line of no level"` + "\n",
		"\n":                                                    `level=INFO msg="gossip: "` + "\n",
	} {
		var got bytes.Buffer
		log := slog.New(slog.NewTextHandler(&got, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		}))
		gossipLogger(log).Print(line)
		if got.String() != want {
			t.Errorf("%q was logged as %q, want %q", line, got.String(), want)
		}
	}
}
