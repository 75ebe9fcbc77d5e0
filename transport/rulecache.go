package transport

import "github.com/shoal-dev/shoal/bucket"

// maxCachedRules bounds the rules that one stream remembers. A peer that brings
// more different ones makes the owner decode them again, and nothing worse.
const maxCachedRules = 1024

// ruleCache remembers the rules that came over one stream by their encoding, so
// that a rule is decoded and checked once and not with every frame.
type ruleCache struct {
	rules map[string]*bucket.Rule
}

func (c *ruleCache) get(encoding []byte) (*bucket.Rule, error) {
	if r, ok := c.rules[string(encoding)]; ok {
		return r, nil
	}
	r, err := bucket.DecodeRule(encoding)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if c.rules == nil || len(c.rules) >= maxCachedRules {
		c.rules = make(map[string]*bucket.Rule)
	}
	c.rules[string(encoding)] = r
	return r, nil
}
