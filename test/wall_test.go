package test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// wallReaders are the only functions of transport, handoff and cluster that see the
// clock on the wall, and why. All else goes by the time since a node's start.
var wallReaders = map[string]string{
	"cluster Start":      "the origin of the node's clock, and the epoch of calendar windows",
	"cluster openGossip": "the newer of two boots; outrank makes up for a clock that is wrong",
	"cluster newPulse":   "to notice a suspension, in which monotonic clocks may stand still",
	"cluster pulse.next": "the same",
}

// checkWall finds what else reads it: time.Now, which has both clocks in it, and what
// leaves the one on the wall of a time.
func checkWall(files []source) []string {
	var complaints []string
	for _, s := range files {
		if s.isTest() || !slices.Contains([]string{"transport", "handoff", "cluster"}, s.top()) {
			continue
		}
		for _, d := range s.syntax.Decls {
			where := declared(d)
			if wallReaders[s.top()+" "+where] != "" {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if what := readsWall(n); what != "" {
					complaints = append(complaints, fmt.Sprintf("%s: %s: %s: reads the clock on the wall, which may be set; use the node's", s.name, where, what))
				}
				return true
			})
		}
	}
	return complaints
}

// readsWall names what in n reads the clock on the wall, if it does.
func readsWall(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch x, _ := sel.X.(*ast.Ident); {
	case x != nil && x.Name == "time":
		if sel.Sel.Name == "Now" {
			return "time.Now"
		}
	case strings.HasPrefix(sel.Sel.Name, "Unix"):
		return "." + sel.Sel.Name
	case sel.Sel.Name == "Round" && len(call.Args) == 1:
		if zero, ok := call.Args[0].(*ast.BasicLit); ok && zero.Value == "0" {
			return ".Round(0)"
		}
	}
	return ""
}

// declared is what a declaration declares: Func, Type.Method, or else "a variable".
func declared(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok {
		return "a variable"
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "." + f.Name.Name
	}
	return f.Name.Name
}
