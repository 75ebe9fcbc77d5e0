package test

import (
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// documents are the pages for readers: those at the root and in docs.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	add := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	top, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range top {
		add(name)
	}
	err = filepath.WalkDir("../docs", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".md" {
			add(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 9 {
		t.Fatalf("only %d pages", len(pages))
	}
	return pages
}

// codeBlock is a block of code with its language, "" for none.
type codeBlock struct{ page, language, code string }

func codeBlocks(t *testing.T) []codeBlock {
	t.Helper()
	var blocks []codeBlock
	pages := documents(t)
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		for _, m := range regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$").FindAllStringSubmatch(pages[page], -1) {
			blocks = append(blocks, codeBlock{page, m[1], m[2]})
		}
	}
	return blocks
}

// bare is code without its comments and the spaces that only align it.
func bare(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		if at := regexp.MustCompile(`(^|\s)//`).FindStringIndex(line); at != nil {
			line = line[:at[0]]
		}
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

// TestDocsGoIsTested: every Go block of a page stands in an Example, but for
// comments, so it compiles and most often runs.
func TestDocsGoIsTested(t *testing.T) {
	var examples strings.Builder
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if base := filepath.Base(name); err == nil && strings.HasPrefix(base, "example") && strings.HasSuffix(base, "_test.go") {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			examples.WriteString(bare(string(text)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, b := range codeBlocks(t) {
		if b.language != "go" {
			continue
		}
		if found++; !strings.Contains(examples.String(), bare(b.code)) {
			t.Errorf("this block of %s is in no Example:\n%s", b.page, b.code)
		}
	}
	if found < 10 {
		t.Errorf("only %d Go blocks were found", found)
	}
}

// TestDocsBlocksAreKnown: every other block is YAML that can be read, a shell's that
// TestDocsCommands looks at, or a drawing or transcript without a language.
func TestDocsBlocksAreKnown(t *testing.T) {
	for _, b := range codeBlocks(t) {
		switch b.language {
		case "go", "sh", "":
		case "yaml":
			var v any
			if err := yaml.Unmarshal([]byte(b.code), &v); err != nil {
				t.Errorf("%s: %v in\n%s", b.page, err, b.code)
			}
		default:
			t.Errorf("%s has a block in %q, which nothing checks", b.page, b.language)
		}
	}
}

// TestDocsLinks: every relative link of a page leads to a file that is there, and to a
// heading if it names one.
func TestDocsLinks(t *testing.T) {
	for page, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if anchor != "" && !hasHeading(t, file, anchor) {
				t.Errorf("%s: %s has no heading %q", page, file, anchor)
			}
		}
	}
}

func hasHeading(t *testing.T, file, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// TestDocsCommands: every command of a shell block, those in the text that begin with
// go, bash or cd, and those that make the figures of a table or chart can be run: the
// file or the package is there, .ci/run runs the script, the program has the flags, and
// the demo the route.
func TestDocsCommands(t *testing.T) {
	c := commands{T: t, demo: filepath.Join(t.TempDir(), "demo"), help: map[string]string{}}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", c.demo, "../cmd/demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	c.suite = string(run)
	checked := 0
	for _, b := range codeBlocks(t) {
		if b.language == "sh" {
			for line := range strings.Lines(strings.ReplaceAll(b.code, "\\\n", " ")) {
				checked += c.line(b.page, line)
			}
		}
	}
	for page, text := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:go (?:run|test|vet|build|get)|bash|cd) [^`]+)`").FindAllStringSubmatch(text, -1) {
			checked += c.line(page, m[1])
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands were found", checked)
	}
	figures := 0
	for page, text := range documents(t) {
		for _, m := range regexp.MustCompile("<!-- figures: (.*?) -->").FindAllStringSubmatch(text, -1) {
			figures += c.line(page, m[1])
		}
	}
	if figures < 8 {
		t.Errorf("only %d commands were found that make figures", figures)
	}
}

// commands knows what a command needs.
type commands struct {
	*testing.T
	demo  string            // the program
	help  map[string]string // of its commands
	suite string            // .ci/run
}

// line checks the commands of a line, and returns how many there are.
func (c *commands) line(page, line string) int {
	c.Helper()
	line, _, _ = strings.Cut(line, " #")
	checked := 0
	inner := regexp.MustCompile(`\$\(([^)]*)\)`)
	for _, m := range inner.FindAllStringSubmatch(line, -1) {
		checked += c.line(page, m[1])
	}
	line = inner.ReplaceAllString(line, "it")
	dir := ".."
	for _, part := range regexp.MustCompile(`\s*(?:&&|\|\||[;|]| & )\s*`).Split(strings.TrimSpace(line), -1) {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		checked++
		if words[0] == "cd" && len(words) == 2 {
			dir = filepath.Join(dir, words[1])
			continue
		}
		if why := c.wrong(dir, words); why != "" {
			c.Errorf("%s: %q: %s", page, part, why)
		}
	}
	return checked
}

// wrong says why a command can't be run in dir, or "".
func (c *commands) wrong(dir string, words []string) string {
	switch words[0] {
	case "go":
		return c.wrongGo(dir, words[1:])
	case "bash":
		_, err := os.Stat(filepath.Join(dir, words[1]))
		name := filepath.Base(words[1])
		switch {
		case err != nil:
			return err.Error()
		case words[1] == ".ci/run", words[1] == "cmd/demo/transcripts" && strings.Contains(c.suite, "bash .ci/seeds"):
			return ""
		case !strings.Contains(c.suite, "bash .ci/"+name):
			return "nothing runs it: .ci/run doesn't"
		}
		return ""
	case "docker", "docker-compose", "kubectl":
		return wrongFiles(dir, words)
	case "curl":
		return c.wrongRoute(words[len(words)-1])
	case "head", "base64": // which make a secret
		return ""
	}
	return "nothing checks this command"
}

func (c *commands) wrongGo(dir string, words []string) string {
	if len(words) == 2 && words[0] == "get" && words[1] == module {
		return "" // TestEmbed does
	}
	if !slices.Contains([]string{"run", "test", "vet", "build"}, words[0]) {
		return "nothing checks go " + words[0]
	}
	at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ".") })
	if at < 0 {
		return "it names no package"
	}
	if words[at] == "./cmd/demo" && words[0] == "run" {
		return c.wrongFlags(words[at+1:])
	}
	list := exec.Command("go", "list", words[at])
	list.Dir = dir
	if out, err := list.CombinedOutput(); err != nil || strings.Contains(string(out), "matched no packages") {
		return string(out)
	}
	return ""
}

// wrongFlags holds the arguments of the demo to its help.
func (c *commands) wrongFlags(args []string) string {
	command := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if _, ok := c.help[command]; !ok {
		out, err := exec.Command(c.demo, strings.Fields(command+" -h")...).Output()
		if err != nil {
			return err.Error()
		}
		c.help[command] = string(out)
	}
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); strings.HasPrefix(name, "-") && name != "-h" && !strings.Contains(c.help[command], "\n  "+name) {
			return "there is no flag " + name
		}
	}
	return ""
}

// wrongFiles wants what follows -f to be there.
func wrongFiles(dir string, words []string) string {
	for i, word := range words[:len(words)-1] {
		if word == "-f" {
			if _, err := os.Stat(filepath.Join(dir, words[i+1])); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

// wrongRoute asks the demo whether it has one; it is the load balancer's on port 8080 that
// the pages speak of.
func (c *commands) wrongRoute(url string) string {
	_, path, found := strings.Cut(strings.Trim(url, `'"`), ":8080")
	if !found {
		return "it asks nobody on port 8080"
	}
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return err.Error()
	}
	known := []string{"/test", "/resource/test", "/resource/other", "/slow", "/try", "/cluster", "/healthz", "/readyz", "/continents", "/_shoal/"}
	if !slices.Contains(known, r.URL.Path) && !slices.ContainsFunc([]string{"/tutorial/", "/tour/", "/snippet/"}, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
		return "the demo has no such route"
	}
	return ""
}
