package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// parsePolicy reads a RateLimit-Policy: "20 per 1 second";q=20;w=1, of the IETF's draft
// 11, or 20;w=1, of the earlier ones. A name in quotes that is a limit in words says
// more than quota and window, and is believed.
func parsePolicy(header string) (limits []bucket.Limit, err error) {
	for _, item := range split(header, ',') {
		parts := split(item, ';')
		name, quoted := strings.CutPrefix(parts[0], `"`)
		name = strings.TrimSuffix(name, `"`)
		if named, err := bucket.ParseLimits(name); quoted && err == nil && len(named) == 1 {
			limits = append(limits, named[0])
			continue
		}
		values := map[string]string{}
		if !quoted {
			values["q"] = parts[0]
		}
		for _, p := range parts[1:] {
			field, value, _ := strings.Cut(p, "=")
			values[strings.TrimSpace(field)] = strings.TrimSpace(value)
		}
		quota, err1 := strconv.ParseInt(values["q"], 10, 64)
		window, err2 := strconv.ParseInt(values["w"], 10, 32)
		if err1 != nil || err2 != nil || quota < 0 || window < 1 {
			return nil, fmt.Errorf("the RateLimit-Policy %q has no quota and window", item)
		}
		limits = append(limits, bucket.Limit{Count: quota, Per: time.Duration(window) * time.Second})
	}
	return limits, nil
}

// split cuts at a separator outside quotes, and trims.
func split(s string, separator byte) (parts []string) {
	quoted, begin := false, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s), s[i] == separator && !quoted:
			parts = append(parts, strings.TrimSpace(s[begin:i]))
			begin = i + 1
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return parts
}
