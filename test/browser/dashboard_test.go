package browser

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestDashboard goes through the page as somebody does who tries Shoal: sends load, adds
// a replica, stops one, kills one, splits the cluster and heals it.
func TestDashboard(t *testing.T) {
	url := startDemo(t)
	p := show(t, url, 1280, 900, "light")
	complaints := p.listen()
	p.until(`document.querySelectorAll("#replicas > li").length === 3`)
	p.settles(3)

	p.send("nonsense", 120)
	p.until(`document.getElementById("fault").textContent.startsWith("limit: ")`)
	if !evaluate[bool](p, `document.activeElement.name === "limit" && document.activeElement.getAttribute("aria-invalid") === "true"`) {
		t.Error("a bad limit isn't pointed out")
	}

	p.send("20/second", 600)
	p.happens("load 1: 300.s over 5 keys, limit 20 per 1 second each")
	p.until(`/limit is 100/.test(document.getElementById("chartAdmitted").getAttribute("aria-label"))`)
	before := evaluate[string](p, `document.getElementById("chartAdmitted").toDataURL()`)
	p.until(figure("admitted") + ` > 90`)
	p.until(figure("refused") + ` > 150`)
	if evaluate[string](p, `document.getElementById("chartAdmitted").toDataURL()`) == before {
		t.Error("the chart stands still")
	}
	p.until(`document.querySelectorAll("#denied > li").length === 5`)
	p.admitsNothingOver()

	p.press("#add")
	p.happens("replica-4 has joined")
	p.happens("hand-off of \\d+ partitions took")
	p.settles(4)
	p.keepsToTheLimit("after one has joined")
	p.picture("light")

	p.press(card("replica-2") + " .stop")
	p.happens("replica-2 has handed over what it counted, and left")
	p.settles(3)
	p.keepsToTheLimit("after one has left")

	p.press(card("replica-3") + " .kill")
	p.until(`/held by nobody/.test(document.querySelector(".wheel canvas").getAttribute("aria-label"))`)
	p.picture("killed")
	p.happens("the others have given up replica-3")
	p.settles(2)
	p.until(`/^guaranteed: at most/.test(document.getElementById("bound").textContent)`)
	p.keepsToTheLimit("after a crash")

	p.press("#add")
	p.happens("replica-2 has joined")
	p.settles(3)
	p.press("#split")
	p.until(`document.querySelectorAll(".wheel").length === 2`)
	p.happens("each side is a cluster of its own")
	p.until(`/side A/.test(document.getElementById("replicas").textContent) && /side B/.test(document.getElementById("replicas").textContent)`)
	p.until(figure("admitted") + ` > 110`) // each side gives all of it
	p.keepsToTheLimit("while it is split")
	p.picture("split")
	p.press("#heal")
	p.happens("all are one cluster again")
	p.settles(3)
	p.keepsToTheLimit("after it has healed")

	p.send("20/second", 600)
	p.until(`document.getElementById("bound").textContent === "guaranteed: 0"`)
	p.admitsNothingOver()
	p.press("#end")
	p.happens("load \\d+ is over: .*, 0 over the limit")

	dark := show(t, url, 1280, 900, "dark")
	dark.settles(3)
	dark.picture("dark")
	phone := show(t, url, 390, 844, "light")
	phone.settles(3)
	phone.picture("phone")
	for _, all := range complaints() {
		t.Error("the page complains: " + all)
	}
}

// figure is an expression for a number of the page.
func figure(id string) string {
	return fmt.Sprintf(`Number(document.getElementById(%q).textContent.replaceAll(",", ""))`, id)
}

// card is a selector of a replica's.
func card(name string) string {
	return fmt.Sprintf(`#replicas > li:has([aria-label="Stop %s"])`, name)
}

// send fills in the panel and sends the load, with the keyboard.
func (p page) send(limit string, seconds int) {
	p.t.Helper()
	for name, value := range map[string]string{"rate": "300", "keys": "5", "skew": "0", "limit": limit, "seconds": fmt.Sprint(seconds)} {
		evaluate[bool](p, fmt.Sprintf(`document.querySelector("#load [name=%s]").select(), true`, name))
		p.do(chromedp.KeyEvent(value))
	}
	p.do(chromedp.KeyEvent(kb.Enter))
}

// settles waits until that many replicas hold all partitions.
func (p page) settles(replicas int) {
	p.t.Helper()
	p.until(fmt.Sprintf(`(() => {
		const label = document.querySelector(".wheel canvas")?.getAttribute("aria-label") ?? "";
		const held = [...label.matchAll(/replica-\d+ holds (\d+)/g)].map(m => Number(m[1]));
		return document.querySelectorAll(".wheel").length === 1 && held.length === %d && held.reduce((a, b) => a + b, 0) === 4096;
	})()`, replicas))
}

// keepsToTheLimit reads what is over, and beside it what may be: nothing, but for what a
// crash, a split or a machine that is too busy to answer accounts for.
func (p page) keepsToTheLimit(when string) {
	p.t.Helper()
	said := evaluate[[]string](p, `["over", "bound", "reason"].map(id => document.getElementById(id).textContent)`)
	p.t.Logf("%s: %s over the limit (%s)", when, said[0], said[1])
	if evaluate[bool](p, `document.getElementById("proof").classList.contains("broken")`) {
		p.t.Errorf("%s: %s over the limit, %s. %s", when, said[0], said[1], said[2])
	}
	if said[1] == "guaranteed: 0" && said[0] != "0" {
		p.t.Errorf("%s: %s over the limit", when, said[0])
	}
}

// admitsNothingOver reads 0, of a load that has run for three seconds while nothing happened
// to the replicas. On a machine so busy that one of them didn't answer in time it sends
// another load.
func (p page) admitsNothingOver() {
	p.t.Helper()
	for range 10 {
		p.until(`/^[3-9] |^\d\d/.test(Math.floor(document.getElementById("progress").value * 600) + " ")`)
		p.keepsToTheLimit("at rest")
		if p.text("#bound") == "guaranteed: 0" {
			return // and what is over is 0
		}
		p.send("20/second", 600)
		p.until(`document.getElementById("progress").value * 600 < 2`)
	}
	p.t.Error("the machine is too busy to show anything")
}

// listen collects what goes wrong in the page: exceptions, and what its own policy or the
// server refuses, but for the command that this test has refused.
func (p page) listen() func() []string {
	p.t.Helper()
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(p.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			if !strings.Contains(e.Entry.URL, "/api/load") {
				complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return complaints
	}
}
