package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestDashboardIsForEverybody: names for whoever hears the page, keys for whoever has no
// mouse, contrast for whoever sees little, room for whoever holds a phone, and nothing
// from elsewhere.
func TestDashboardIsForEverybody(t *testing.T) {
	url := startDemo(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			p := show(t, url, 1280, 900, scheme)
			p.settles(3)
			p.send("5/second", 60)
			p.until(`document.querySelectorAll("#denied > li").length === 5`)
			testNames(t, p)
			testTabs(t, p)
			testContrast(t, p)
			if origins := evaluate[[]string](p, `performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith(location.origin))`); len(origins) > 0 {
				t.Errorf("comes from elsewhere: %q", origins)
			}
		})
	}
	t.Run("phone", func(t *testing.T) {
		for _, width := range []int64{320, 390} {
			p := show(t, url, width, 800, "light")
			p.settles(3)
			if wide := evaluate[int](p, "document.documentElement.scrollWidth"); wide > int(width) {
				t.Errorf("%d pixels wide on a screen of %d", wide, width)
			}
			small := evaluate[[]string](p, `[...document.querySelectorAll("button, input")].filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML)`)
			if len(small) > 0 {
				t.Errorf("too small for a thumb: %q", small)
			}
		}
	})
	t.Run("theme", func(t *testing.T) {
		p := show(t, url, 1280, 900, "light")
		ground := "getComputedStyle(document.body).backgroundColor"
		light := evaluate[string](p, ground)
		p.press("#theme")
		dark := evaluate[string](p, ground)
		if light == dark || !evaluate[bool](p, `document.getElementById("theme").getAttribute("aria-pressed") === "true"`) {
			t.Errorf("%s, and after the button %s", light, dark)
		}
		p.do(chromedp.Reload())
		if kept := evaluate[string](p, ground); kept != dark {
			t.Errorf("after a reload: %s", kept)
		}
	})
}

// testNames asks the browser for what it tells screen readers.
func testNames(t *testing.T, p page) {
	t.Helper()
	tree, err := chromedp.Run(p.ctx, func(ctx context.Context, tab *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		t.Fatal(err)
	}
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	found, names := map[string]int{}, map[string]bool{}
	for _, n := range tree.Nodes {
		role, name := text(n.Role), text(n.Name)
		switch role {
		case "button", "textbox", "spinbutton", "image", "img", "progressbar", "region", "log", "link", "canvas":
			if n.Ignored {
				continue
			}
			found[role]++
			if name == "" {
				t.Errorf("a %s has no name", role)
			} else if role == "button" && names[name] {
				t.Errorf("two buttons are called %q", name)
			}
			names[name] = names[name] || role == "button"
		}
	}
	if found["button"] < 11 || found["textbox"]+found["spinbutton"] != 5 || found["region"] < 8 || found["log"] != 1 || found["image"]+found["img"] < 4 {
		t.Errorf("found %v", found)
	}
	live := evaluate[int](p, `document.querySelectorAll("[aria-live=polite], [role=alert], [role=status], output").length`)
	if live < 4 {
		t.Errorf("%d places are announced", live)
	}
}

// testTabs goes through the page by the tab key, which must reach every control, and show
// where it is.
func testTabs(t *testing.T, p page) {
	t.Helper()
	const mark = `(e => e ? (e.id || e.name || e.getAttribute("aria-label") || e.className || e.tagName) : "")`
	want := evaluate[[]string](p, `[...document.querySelectorAll("a[href], button:not(:disabled), input, [tabindex='0']")].map(`+mark+`)`)
	p.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur(); window.scrollTo(0, 0); undefined`))
	reached := map[string]bool{}
	for range 2 * len(want) {
		p.do(chromedp.KeyEvent(kb.Tab))
		at := evaluate[[]string](p, `[`+mark+`(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]`)
		reached[at[0]] = true
		if at[1] == "none" && at[0] != "BODY" {
			t.Errorf("nothing shows that %s has the focus", at[0])
		}
	}
	for _, name := range want {
		if !reached[name] {
			t.Errorf("the tab key doesn't reach %s; it reaches %v", name, reached)
		}
	}
	if len(want) < 14 {
		t.Errorf("only %q can be reached", want)
	}
}

// testContrast computes the contrast of all text with what is behind it (WCAG 2.2, 1.4.3).
func testContrast(t *testing.T, p page) {
	t.Helper()
	poor := evaluate[[]string](p, `(() => {
		const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
		const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
		const poor = [];
		let seen = 0;
		for (const e of document.querySelectorAll("body *")) {
			if (e.closest(":disabled") || !e.getClientRects().length) continue;
			const own = e.matches("input") ? e.value : [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
			if (!own) continue;
			let ground = e;
			while (ground && parse(getComputedStyle(ground).backgroundColor)[3] < 1) ground = ground.parentElement;
			const [a, b] = [parse(getComputedStyle(e).color), parse(getComputedStyle(ground ?? document.body).backgroundColor)].map(light).sort((x, y) => y - x);
			const ratio = (a + .05) / (b + .05);
			seen++;
			if (ratio < 4.5) poor.push(own + ": " + ratio.toFixed(2));
		}
		if (seen < 60) poor.push("only " + seen + " texts were looked at");
		return poor;
	})()`)
	if len(poor) > 0 {
		t.Error(fmt.Sprint("too little contrast: ", poor))
	}
}
