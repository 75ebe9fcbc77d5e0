package envoyrls

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/shoal-dev/shoal/bucket"
)

// MaxSize is the largest size of one file, in bytes: that of a Kubernetes ConfigMap.
const MaxSize = 1 << 20

// Config is a configuration in the format of envoyproxy/ratelimit, as a Source. It is
// immutable and safe for concurrent use.
//
//	domain: edge
//	descriptors:
//	  - key: remote_address          # each address by itself
//	    rate_limit: {unit: second, requests_per_unit: 10}
//	  - key: remote_address
//	    value: 50.0.0.5              # this one
//	    rate_limit: {unit: second, requests_per_unit: 0}
//	  - key: path
//	    value: /api/*                # any number of *, each for any characters
//	    share_threshold: true        # all that match count together
//	    descriptors:                 # of descriptors with another entry
//	      - key: tenant
//	        shadow_mode: true        # counts, and lets pass
//	        rate_limit:
//	          name: tenant
//	          replaces: [{name: fair_use}]
//	          unit: minute           # second, minute, hour, day, week, month or year
//	          requests_per_unit: 600
//	  - key: internal
//	    rate_limit: {unlimited: true}
//
// An entry with its value is tried first, then the wildcards in the order of the file,
// then the key alone; what matches is followed, and nothing else. quota_mode and
// metadata are known too. detailed_metric and value_to_metric are read and change
// nothing, as there are no statistics by descriptor.
//
// A limit is a fixed window that begins at multiples of its length since the Unix
// epoch. Its rule has the name that [Rules] would find it by, such as
// "edge/path=%2Fapi%2F*/tenant", so its state outlives a change of its numbers, and
// the move to a rules file where that has the same limit. (Names over 256 bytes end in
// a digest.)
type Config struct {
	domains map[string]*tree
	rules   []*bucket.Rule
}

// ParseConfig reads the text of one file, which has one domain; name stands for it in
// errors. Each rule is made with the options, as bucket.WithFailurePolicy or
// bucket.WithMode(bucket.Shadow), which is the format's global shadow mode. The error
// joins a *rules.Fault, with line and column, for each thing that is wrong, or for the
// first hundred.
func ParseConfig(name string, data []byte, options ...bucket.RuleOption) (*Config, error) {
	b := newBuilder(options)
	b.read(name, data)
	return b.config()
}

// LoadConfig reads all files that a pattern of filepath.Glob matches, in the order of
// their names. Several may have parts of one domain. The errors are those of
// ParseConfig for all files, and of package os; that nothing matches is an error.
func LoadConfig(pattern string, options ...bucket.RuleOption) (*Config, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("envoyrls: %q: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("envoyrls: there is no file %q", pattern)
	}
	slices.Sort(paths)
	b := newBuilder(options)
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			b.faults = append(b.faults, err)
			continue
		}
		b.read(path, data)
	}
	return b.config()
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("envoyrls: %w", err)
	case !info.Mode().IsRegular(): // a pipe would keep its reader waiting
		return nil, fmt.Errorf("envoyrls: %s is no regular file", path)
	case info.Size() > MaxSize:
		return nil, fmt.Errorf("envoyrls: %s is over 1 MiB; split it", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("envoyrls: %w", err)
	}
	return data, nil
}

// Find makes a Config a Source.
func (c *Config) Find(domain string, entries []*common.RateLimitDescriptor_Entry) (Match, bool) {
	return search(c.domains, domain, entries)
}

// All goes over the rules in the order of the files, for instance to change their
// modes.
func (c *Config) All() iter.Seq[*bucket.Rule] { return slices.Values(c.rules) }
