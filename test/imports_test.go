// Package test holds what spans the packages of Shoal: stories of whole
// clusters on an in-memory network, checks on real sockets and real hosts, and
// here, in imports_test.go, the rules of the house that no compiler keeps.
//
// The rules are read off the syntax of every Go file of the repository, in
// nested modules and behind build tags too, which `go list` would leave out:
//
//   - which package may import which, and which other modules (the table rules);
//   - no Go file at the root: cluster/ is the entry point;
//   - bucket and ring never read a clock: `now` is an argument;
//   - transport, handoff and cluster read the clock on the wall in a few named
//     functions alone (wall_test.go), so a step of it can't matter elsewhere;
//   - a core package has no mutable package-level variable, so that any number
//     of nodes can live in one process, and in one synctest bubble;
//   - every package says in its package comment what it is for.
//
// Each rule is a function from parsed files to a list of complaints, and
// TestRulesCanFail feeds each of them code that breaks it.
package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/shoal-dev/shoal"

	memberlist   = "github.com/hashicorp/memberlist"
	consistent   = "github.com/buraksezer/consistent"
	xxhash       = "github.com/cespare/xxhash/v2"
	siphash      = "github.com/dchest/siphash"
	grpc         = "google.golang.org/grpc"
	protobuf     = "google.golang.org/protobuf"
	errorDetails = "google.golang.org/genproto/googleapis/rpc/errdetails"
	rapid        = "pgregory.net/rapid"
	mysql        = "github.com/go-sql-driver/mysql"
	yamlV4       = "go.yaml.in/yaml/v4"

	anything = "*"

	// Lines of package comment, blank ones not counted. The main packages are
	// the core ones: a reader starts there.
	minCommentLines     = 10
	minMainCommentLines = 20
)

// A rule says what the code below one top-level folder may import besides the
// standard library and its own folder. Test files may import test and testThird
// as well.
type rule struct {
	core      bool     // what a user of the library links; the strict rules hold here
	ours      []string // top-level folders of this repository
	third     []string // import paths, with everything below them
	testOurs  []string
	testThird []string
}

var (
	libraries = []string{"bucket", "ring", "handoff", "transport", "cluster", "httpmw", "grpcmw", "contrib"}
	coreThird = []string{memberlist, consistent, grpc, errorDetails, protobuf, xxhash, siphash}

	// rules is the table of arrows. A nested module of contrib, cmd or test may
	// bring any third party: it never reaches a user's go.mod. Nor does what only cmd
	// imports, here the demo's database driver, as TestEmbed says: Go leaves out
	// what no package needs that the user imports.
	rules = map[string]rule{
		"bucket":    {core: true, third: []string{siphash}, testThird: []string{rapid}},
		"ring":      {core: true, third: []string{consistent, xxhash}, testThird: []string{rapid}},
		"handoff":   {core: true},
		"transport": {core: true, ours: []string{"bucket"}, third: []string{grpc, protobuf}, testOurs: []string{anything}, testThird: []string{rapid}},
		"httpmw":    {core: true, ours: []string{"bucket"}, testOurs: []string{anything}, testThird: []string{rapid}},
		"grpcmw":    {core: true, ours: []string{"bucket"}, third: []string{grpc, protobuf, errorDetails}, testOurs: []string{anything}, testThird: []string{rapid}},
		"cluster":   {core: true, ours: []string{"bucket", "ring", "handoff", "transport"}, third: coreThird, testOurs: []string{anything}, testThird: []string{rapid}},
		"contrib":   {ours: libraries, third: []string{anything}, testOurs: []string{anything}},
		"cmd":       {ours: libraries, third: append([]string{mysql}, coreThird...), testOurs: []string{anything}, testThird: []string{rapid, yamlV4}},
		"test":      {ours: []string{anything}, third: append([]string{rapid, yamlV4}, coreThird...)},
	}
)

// source is one parsed Go file. name is slash-separated and relative to the
// root of the repository; nested says that the file is in a module below it.
type source struct {
	name   string
	nested bool
	syntax *ast.File
}

func (s source) top() string  { top, _, _ := strings.Cut(s.name, "/"); return top }
func (s source) dir() string  { return path.Dir(s.name) }
func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }
func (s source) core() bool   { return rules[s.top()].core }

var checks = []struct {
	name  string
	check func([]source) []string
}{
	{"arrows", checkArrows},
	{"clock", checkClock},
	{"wall", checkWall},
	{"variables", checkVariables},
	{"comments", checkComments},
}

func TestRules(t *testing.T) {
	files := load(t, "..")
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, complaint := range c.check(files) {
				t.Error(complaint)
			}
		})
	}
}

// load parses every Go file below root. It insists on having found the root of
// the module and this very file: a check of nothing must not pass.
func load(t *testing.T, root string) []source {
	t.Helper()
	if mod, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("%s is not the root of %s (%v)", root, module, err)
	}
	var files []source
	nested := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := path.Base(name)
			if name != "." && (base[0] == '.' || base[0] == '_' || slices.Contains([]string{"testdata", "vendor", "node_modules"}, base)) {
				return fs.SkipDir
			}
			_, err := os.Stat(filepath.Join(root, name, "go.mod"))
			nested[name] = name != "." && (err == nil || nested[path.Dir(name)])
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		s, err := parse(name, string(src))
		if err != nil {
			t.Errorf("cannot be checked: %v", err)
			return nil
		}
		s.nested = nested[s.dir()]
		files = append(files, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(s source) bool { return s.name == "test/imports_test.go" }) {
		t.Fatal("the walk over the repository has not met test/imports_test.go")
	}
	return files
}

func parse(name, src string) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	return source{name: name, syntax: f}, err
}

// checkArrows holds every import against the table rules.
func checkArrows(files []source) []string {
	var complaints []string
	for _, s := range files {
		if s.dir() == "." {
			complaints = append(complaints, s.name+": no Go file belongs at the root; cluster/ is the entry point")
			continue
		}
		r, known := rules[s.top()]
		if !known {
			complaints = append(complaints, fmt.Sprintf("%s: top-level folder %q is in no rule; add it to the table in test/imports_test.go", s.name, s.top()))
			continue
		}
		for _, imp := range s.syntax.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				complaints = append(complaints, fmt.Sprintf("%s: import %s: %v", s.name, imp.Path.Value, err))
			} else if why := forbidden(s, r, p); why != "" {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", s.name, p, why))
			}
		}
	}
	return complaints
}

// forbidden says why s must not import p, or "".
func forbidden(s source, r rule, p string) string {
	ours, third, who := r.ours, r.third, s.top()
	if s.isTest() {
		ours, third, who = slices.Concat(ours, r.testOurs), slices.Concat(third, r.testThird), "a test of "+who
	}
	if below(p, module) {
		top, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p, module), "/"), "/")
		if top == s.top() || slices.Contains(ours, top) || slices.Contains(ours, anything) {
			return ""
		}
		return fmt.Sprintf("of ours %s may import %s besides itself", who, list(ours))
	}
	if first, _, _ := strings.Cut(p, "/"); p != "C" && !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if s.nested && !r.core || slices.ContainsFunc(third, func(t string) bool { return t == anything || below(p, t) }) {
		return ""
	}
	return fmt.Sprintf("of others %s may import %s directly", who, list(third))
}

func below(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return "only " + strings.Join(names, ", ")
}

// checkClock finds what reads or waits for a clock in bucket and ring.
func checkClock(files []source) []string {
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	var complaints []string
	for _, s := range files {
		if s.isTest() || s.top() != "bucket" && s.top() != "ring" {
			continue
		}
		name := "" // under which this file knows package time
		for _, imp := range s.syntax.Imports {
			if imp.Path.Value == `"time"` {
				if name = "time"; imp.Name != nil {
					name = imp.Name.Name
				}
			}
		}
		if name == "." {
			complaints = append(complaints, s.name+": a dot import of time hides its clock")
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(clocks, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name {
				complaints = append(complaints, fmt.Sprintf("%s: time.%s: %s never reads a clock; take now as an argument", s.name, sel.Sel.Name, s.top()))
			}
			return true
		})
	}
	return complaints
}

// constantCalls return what nobody can change.
var constantCalls = []string{
	"errors.New", "fmt.Errorf", "status.Error", "status.Errorf",
	"netip.MustParseAddr", "netip.MustParsePrefix", "regexp.MustCompile", "strings.NewReplacer",
}

// checkVariables allows these package-level variables in a core package, and no
// other: `var _`, embedded files, errors (named err.. or Err..), and unexported
// constants that Go cannot spell as such: a constantCalls result, an array of
// fixed size without maps, slices, channels or pointers in its type, a gRPC
// service description. None of them may be assigned to, not even by a test.
// A pool is not allowed either: what it keeps goes from one bubble to another.
func checkVariables(files []source) []string {
	var complaints []string
	vars := map[string]map[string]bool{} // folder → names
	for _, s := range files {
		if !s.core() || s.isTest() || ast.IsGenerated(s.syntax) {
			continue
		}
		if vars[s.dir()] == nil {
			vars[s.dir()] = map[string]bool{}
		}
		for _, d := range s.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, n := range v.Names {
					vars[s.dir()][n.Name] = n.Name != "_"
					var value ast.Expr
					if len(v.Values) == len(v.Names) {
						value = v.Values[i]
					}
					if n.Name != "_" && !embedded(g.Doc) && !embedded(v.Doc) && !constant(n, value) {
						complaints = append(complaints, fmt.Sprintf("%s: package-level var %s may be mutable state; make it a const, a field or a function, or see checkVariables for what is allowed", s.name, n.Name))
					}
				}
			}
		}
	}
	for _, s := range files {
		for _, n := range written(s.syntax) {
			if s.core() && vars[s.dir()][n] {
				complaints = append(complaints, fmt.Sprintf("%s: assigns to %s, which is a package-level var (if it is a local one, rename it)", s.name, n))
			}
		}
	}
	return complaints
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func constant(name *ast.Ident, value ast.Expr) bool {
	if strings.HasPrefix(strings.ToLower(name.Name), "err") {
		return value != nil
	}
	if name.IsExported() {
		return false
	}
	switch v := value.(type) {
	case *ast.CallExpr:
		return slices.Contains(constantCalls, qualified(v.Fun))
	case *ast.CompositeLit:
		a, ok := v.Type.(*ast.ArrayType)
		return ok && !shared(a) || slices.Contains([]string{"grpc.ServiceDesc", "grpc.StreamDesc"}, qualified(v.Type))
	}
	return false
}

// shared says whether a type, as written, refers to memory outside the value.
func shared(typ ast.Expr) bool {
	found := false
	ast.Inspect(typ, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ArrayType:
			found = found || n.Len == nil
		case *ast.MapType, *ast.ChanType, *ast.StarExpr:
			found = true
		case *ast.FuncType:
			return false
		}
		return true
	})
	return found
}

func qualified(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

// written lists the variables that f assigns to, whole or in part.
func written(f *ast.File) []string {
	var names []string
	add := func(targets ...ast.Expr) {
		for _, e := range targets {
			for e != nil {
				switch x := e.(type) {
				case *ast.Ident:
					names, e = append(names, x.Name), nil
				case *ast.IndexExpr:
					e = x.X
				case *ast.SelectorExpr:
					e = x.X
				case *ast.ParenExpr:
					e = x.X
				default: // through a pointer: not the variable itself
					e = nil
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.IncDecStmt:
			add(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				add(n.Key, n.Value)
			}
		}
		return true
	})
	return names
}

// checkComments wants a package comment of some length from every package; a
// folder of tests alone may have it in a test file.
func checkComments(files []source) []string {
	byDir := map[string][]source{}
	for _, s := range files {
		byDir[s.dir()] = append(byDir[s.dir()], s)
	}
	var complaints []string
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		in := byDir[dir]
		if code := slices.DeleteFunc(slices.Clone(in), source.isTest); len(code) > 0 {
			in = code
		}
		doc := ""
		for _, s := range in {
			if text := strings.TrimSpace(s.syntax.Doc.Text()); len(text) > len(doc) {
				doc = text
			}
		}
		want := minCommentLines
		if rules[dir].core {
			want = minMainCommentLines
		}
		lines := 0
		for line := range strings.Lines(doc) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		name := in[0].syntax.Name.Name
		if lines < want {
			complaints = append(complaints, fmt.Sprintf("%s: the package comment has %d lines that are not blank; at least %d should say what the package is for, how it works and what it promises", dir, lines, want))
		} else if name != "main" && !strings.HasPrefix(doc, "Package "+name+" ") {
			complaints = append(complaints, fmt.Sprintf("%s: the package comment should begin with %q", dir, "Package "+name+" "))
		}
	}
	return complaints
}

// TestRulesCanFail gives each rule code that breaks it, and code close by that
// does not. want is a part of the only complaint; "" means none.
func TestRulesCanFail(t *testing.T) {
	imports := func(p string) string { return "package p\nimport _ \"" + p + "\"\n" }
	ours := func(p string) string { return imports(module + "/" + p) }
	commented := func(lines int) string {
		return "// Package p is\n" + strings.Repeat("// more\n//\n", lines-1) + "package p\n"
	}
	clock := "package p\nimport \"time\"\n"
	tests := []struct {
		check func([]source) []string
		file  string // a leading ! puts it into a nested module
		src   string
		want  string
	}{
		{checkArrows, "doc.go", "package shoal\n", "no Go file belongs at the root"},
		{checkArrows, "internal/x/x.go", "package x\n", `"internal" is in no rule; add it to the table`},
		{checkArrows, "bucket/a.go", imports("math/bits"), ""},
		{checkArrows, "bucket/a.go", imports("C"), "imports C: of others bucket may import only " + siphash},
		{checkArrows, "bucket/a.go", imports(siphash), ""},
		{checkArrows, "bucket/a.go", imports(siphash + "x"), "of others bucket may import only"},
		{checkArrows, "bucket/a.go", imports(xxhash), "of others bucket may import only"},
		{checkArrows, "bucket/a.go", imports(rapid), "of others bucket may import only"},
		{checkArrows, "!bucket/a.go", imports(xxhash), "of others bucket may import only"},
		{checkArrows, "bucket/a.go", ours("ring"), "of ours bucket may import nothing besides itself"},
		{checkArrows, "bucket/a.go", ours("bucket/internal/x"), ""},
		{checkArrows, "bucket/a.go", "//go:build never\n\n" + ours("cluster"), "of ours bucket may import nothing"},
		{checkArrows, "bucket/a_test.go", imports(rapid), ""},
		{checkArrows, "bucket/a_test.go", imports(grpc), "of others a test of bucket may import only"},
		{checkArrows, "bucket/a_test.go", ours("test/simnet"), "of ours a test of bucket may import nothing"},
		{checkArrows, "ring/a.go", imports(consistent), ""},
		{checkArrows, "ring/a.go", ours("bucket"), "of ours ring may import nothing"},
		{checkArrows, "transport/a.go", ours("bucket"), ""},
		{checkArrows, "transport/a.go", imports(grpc + "/codes"), ""},
		{checkArrows, "transport/a.go", ours("ring"), "of ours transport may import only bucket"},
		{checkArrows, "transport/a.go", imports(memberlist), "of others transport may import only"},
		{checkArrows, "httpmw/a.go", ours("cluster"), "of ours httpmw may import only bucket"},
		{checkArrows, "httpmw/a.go", imports(grpc), "of others httpmw may import nothing"},
		{checkArrows, "httpmw/a_test.go", ours("cluster"), ""},
		{checkArrows, "grpcmw/a.go", imports(errorDetails), ""},
		{checkArrows, "grpcmw/a.go", ours("transport"), "of ours grpcmw may import only bucket"},
		{checkArrows, "cluster/a.go", imports(memberlist), ""},
		{checkArrows, "cluster/a.go", imports("github.com/hashicorp/serf"), "of others cluster may import only"},
		{checkArrows, "cluster/a.go", ours("httpmw"), "of ours cluster may import only bucket, ring, handoff, transport"},
		{checkArrows, "cluster/a.go", ours("test/simnet"), "of ours cluster may import only"},
		{checkArrows, "cluster/a.go", imports(module), "of ours cluster may import only"},
		{checkArrows, "cluster/a_test.go", ours("test/simnet"), ""},
		{checkArrows, "contrib/prom/a.go", imports("github.com/prometheus/client_golang/prometheus"), ""},
		{checkArrows, "contrib/prom/a.go", ours("cmd/demo"), "of ours contrib may import only"},
		{checkArrows, "cmd/demo/a.go", ours("test/simnet"), "of ours cmd may import only"},
		{checkArrows, "cmd/demo/a.go", ours("contrib/prom"), ""},
		{checkArrows, "cmd/demo/a.go", imports(mysql), ""},
		{checkArrows, "cluster/a.go", imports(mysql), "of others cluster may import only"},
		{checkArrows, "test/simnet/a.go", ours("cmd/demo"), ""},
		{checkArrows, "test/bench/a.go", imports("github.com/example/peer"), "of others test may import only"},
		{checkArrows, "!test/bench/a.go", imports("github.com/example/peer"), ""},

		{checkClock, "bucket/a.go", clock + "var d = time.Second // never time.Now()\n", ""},
		{checkClock, "bucket/a.go", clock + "func f() { _ = time.Now() }\n", "time.Now: bucket never reads a clock"},
		{checkClock, "ring/x/a.go", clock + "var now = time.Since\n", "time.Since: ring never reads a clock"},
		{checkClock, "ring/a.go", "package p\nimport t \"time\"\nvar now = t.Until\n", "time.Until"},
		{checkClock, "ring/a.go", "package p\nimport . \"time\"\n", "a dot import of time"},
		{checkClock, "bucket/a_test.go", clock + "var now = time.Now\n", ""},
		{checkClock, "cluster/a.go", clock + "var now = time.Now\n", ""},

		{checkVariables, "bucket/a.go", "package p\nvar n int\n", "package-level var n may be mutable state"},
		{checkVariables, "bucket/a.go", "package p\nvar m = map[string]int{}\n", "var m may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar s = []int{1}\n", "var s may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar now = time.Now\n", "var now may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar p = sync.Pool{}\n", "var p may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar a = [2]map[int]int{}\n", "var a may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar Table = [...]int{1, 2}\n", "var Table may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar errLast error\n", "var errLast may be mutable"},
		{checkVariables, "bucket/a.go", "package p\nvar a = [...]int{1}\nfunc f() { a[0]++ }\n", "assigns to a"},
		{checkVariables, "bucket/a.go", "package p\nvar a = [...]struct{ n int }{{1}}\nfunc f() { a[0].n = 2 }\n", "assigns to a"},
		{checkWall, "cluster/a.go", clock + "func f() time.Time { return time.Now() }\n", "f: time.Now"},
		{checkWall, "cluster/a.go", clock + "func (n *Node) Start() time.Time { return time.Now() }\n", "Node.Start: time.Now"},
		{checkWall, "cluster/a.go", clock + "func Start() time.Time { return time.Now() }\n", ""},
		{checkWall, "handoff/a.go", clock + "func Start() time.Time { return time.Now() }\n", "handoff/a.go: Start: time.Now"},
		{checkWall, "transport/a.go", "package p\nfunc f(t T) int64 { return t.UnixMilli() }\n", "f: .UnixMilli"},
		{checkWall, "transport/a.go", "package p\nvar f = func(t T) T { return t.Round(0) }\n", "a variable: .Round(0)"},
		{checkWall, "transport/a.go", clock + "func f(t time.Time) (time.Duration, time.Duration) { return time.Since(t), time.Second.Round(7) }\n", ""},
		{checkWall, "transport/a_test.go", clock + "func f() time.Time { return time.Now() }\n", ""},
		{checkVariables, "bucket/a.go", "package p\nvar ErrX = errors.New(\"x\")\nfunc f() { ErrX = nil }\n", "assigns to ErrX"},
		{checkVariables, "bucket/a.go", "package p\nvar a, b = [...]int{1}, [...]func(*int){nil}\nfunc f() int { a := a[0]; return a }\n", ""},
		{checkVariables, "bucket/a.go", "package p\nvar (\n\t_ I = (*T)(nil)\n\tErrX = errors.New(\"x\")\n\tre = regexp.MustCompile(\"x\")\n)\n", ""},
		{checkVariables, "bucket/a.go", "package p\n//go:embed a.txt\nvar text string\n", ""},
		{checkVariables, "bucket/a_test.go", "package p\nvar update = flag.Bool(\"update\", false, \"\")\n", ""},
		{checkVariables, "cmd/demo/a.go", "package p\nvar n int\n", ""},

		{checkComments, "bucket/a.go", commented(minMainCommentLines), ""},
		{checkComments, "bucket/a.go", commented(minMainCommentLines - 1), "bucket: the package comment has 19 lines"},
		{checkComments, "bucket/x/a.go", commented(minCommentLines), ""},
		{checkComments, "contrib/prom/a.go", "package p\n", "contrib/prom: the package comment has 0 lines"},
		{checkComments, "cmd/demo/a.go", strings.Replace(commented(minCommentLines), "Package p", "It", 1), `should begin with "Package p "`},
	}
	for _, tt := range tests {
		name, nested := strings.CutPrefix(tt.file, "!")
		s, err := parse(name, tt.src)
		if err != nil {
			t.Fatal(err)
		}
		s.nested = nested
		got := tt.check([]source{s})
		ok := len(got) == 0
		if tt.want != "" {
			ok = len(got) == 1 && strings.Contains(got[0], tt.want)
		}
		if !ok {
			t.Errorf("%s with\n%s\ncomplaints %q, want one with %q", tt.file, tt.src, got, tt.want)
		}
	}
}
